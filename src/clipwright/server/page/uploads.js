// Pictures that a person brought along. They stay in this window's memory and go to no address but the server's.

/** Pictures are sent no larger than this: models look at a few hundred pixels. */
const SIDE = 640;

/** @typedef {{name: string, file: string, content: Blob, url: string}} Upload */
/** @type {Map<string, Upload>} */
const uploads = new Map();

export const upload = (/** @type {string} */ name) => uploads.get(name);

/** Keeps a picture under a name that queries can say. @param {File} file @returns {Promise<Upload>} */
export async function keep(file) {
  const content = await smaller(file);
  const name = `picture-${uploads.size + 1}`;
  const kept = { name, file: file.name || "pasted picture", content, url: URL.createObjectURL(content) };
  uploads.set(name, kept);
  return kept;
}

/** The files that belong to these chips, as api.js takes them. @param {import("./query.js").Chip[]} chips */
export function uploadsOf(chips) {
  const named = chips.filter((chip) => chip.kind === "upload" && uploads.has(chip.value));
  return named.map(
    (chip) => /** @type {[string, Blob, string]} */ ([chip.value, uploads.get(chip.value).content, chip.value]),
  );
}

/**
 * The picture at the size that is sent; as it is where the browser cannot read it, for the server may.
 * @param {Blob} file
 */
export async function smaller(file) {
  try {
    const picture = await createImageBitmap(file);
    const scale = SIDE / Math.max(picture.width, picture.height);
    if (scale >= 1 && file.size < 300_000) return file;
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(picture.width * Math.min(1, scale)));
    canvas.height = Math.max(1, Math.round(picture.height * Math.min(1, scale)));
    const context = canvas.getContext("2d");
    context.fillStyle = "white"; // what the server lays transparent pictures on
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    return await new Promise((done) => canvas.toBlob((blob) => done(blob ?? file), "image/jpeg", 0.92));
  } catch {
    return file;
  }
}

/**
 * Calls with the pictures that are dropped on the page or pasted into it, and with photographs of the grid that are
 * dragged onto the box; what else is dropped is left to the browser.
 * @param {HTMLElement} veil shown while pictures hang over the page
 * @param {(files: File[]) => void} take
 */
export function onPictures(veil, take) {
  let depth = 0;
  const has = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") && !dragsPhoto(event);
  const show = (/** @type {number} */ now) => {
    depth = Math.max(0, now);
    veil.hidden = !depth;
  };
  addEventListener("dragenter", (event) => has(event) && show(depth + 1));
  addEventListener("dragleave", (event) => has(event) && show(depth - 1));
  addEventListener("dragover", (event) => has(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    show(0);
    if (!has(event)) return;
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    take(files);
  });
}

export const PHOTO_TYPE = "application/x-clipwright-photo";
export const dragsPhoto = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes(PHOTO_TYPE);
