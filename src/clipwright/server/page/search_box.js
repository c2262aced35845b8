// The box to type in, and the chips in it: words and pictures that are added or taken away.

import { byId, element, icon } from "./elements.js";
import { dragsPhoto, keep, PHOTO_TYPE, upload } from "./uploads.js";
import { chipsOf } from "./query.js";

/** @typedef {import("./query.js").Chip} Chip */

export class SearchBox {
  /** @param {import("./asking.js").Asking} asking @param {(text: string) => void} say */
  constructor(asking, say) {
    this.asking = asking;
    this.say = say;
    this.input = /** @type {HTMLInputElement} */ (byId("query"));
    this.chips = byId("chips");
    this.more = byId("more");
    this.less = byId("less");
    this.input.addEventListener("input", () => asking.change({ text: this.input.value }, "type"));
    this.input.addEventListener("blur", () => asking.endTyping());
    this.input.addEventListener("keydown", (event) => this.onKey(event));
    byId("search").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      asking.endTyping();
    });
    this.more.onclick = () => this.textToChips(1);
    this.less.onclick = () => this.textToChips(-1);
    const chooser = byId("chooser");
    byId("choose").onclick = () => chooser.click();
    chooser.onchange = () => {
      this.addFiles([...chooser.files]);
      chooser.value = "";
    };
    const field = byId("field");
    field.addEventListener("dragover", (/** @type {DragEvent} */ event) => dragsPhoto(event) && event.preventDefault());
    field.addEventListener("drop", (/** @type {DragEvent} */ event) => {
      if (!dragsPhoto(event)) return;
      event.preventDefault();
      this.add({ sign: 1, kind: "photo", value: event.dataTransfer.getData(PHOTO_TYPE) });
    });
    asking.addEventListener("change", (/** @type {any} */ event) => this.draw(event.detail.chips));
    this.draw(null);
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  /** @param {Chip} chip */
  add(chip) {
    const others = this.asking.now.chips.filter((other) => other.kind !== chip.kind || other.value !== chip.value);
    this.asking.change({ chips: [...others, chip], view: "search", photo: null });
    this.say(`${chip.sign > 0 ? "Added" : "Taken away"}: ${nameOf(chip)}`);
  }

  /** Searches by pictures that a person brings. @param {File[]} files */
  async addFiles(files) {
    for (const file of files) this.add({ sign: 1, kind: "upload", value: (await keep(file)).name });
  }

  /** @param {1 | -1} sign */
  textToChips(sign) {
    const { text, chips } = this.asking.now;
    const made = chipsOf(text, sign);
    if (made) this.asking.change({ text: "", chips: [...chips, ...made] });
    this.input.focus();
  }

  onKey(/** @type {KeyboardEvent} */ event) {
    const { chips } = this.asking.now;
    if (event.key === "Backspace" && !this.input.value && chips.length)
      this.asking.change({ chips: chips.slice(0, -1) });
  }

  /** @param {Chip[] | null} before */
  draw(before) {
    const { text, chips } = this.asking.now;
    if (this.input.value !== text) this.input.value = text;
    this.more.hidden = this.less.hidden = !chipsOf(text, 1);
    if (chips === before) return;
    const focused = [...this.chips.children].findIndex((chip) => chip.contains(document.activeElement));
    this.chips.replaceChildren(...chips.map((chip) => this.chip(chip)));
    if (focused >= 0)
      (this.chips.children[Math.min(focused, chips.length - 1)]?.querySelector("button") ?? this.input).focus();
    this.input.placeholder = chips.length ? "and …" : "Search your photographs";
  }

  /** @param {Chip} chip */
  chip(chip) {
    const change = (/** @type {Chip[]} */ instead) =>
      this.asking.change({ chips: this.asking.now.chips.flatMap((other) => (other === chip ? instead : [other])) });
    const added = chip.sign > 0;
    const name = nameOf(chip);
    const sign = element(
      "button",
      {
        type: "button",
        className: "sign",
        ariaLabel: `${name}: ${added ? "added; take it away instead" : "taken away; add it instead"}`,
        title: added ? "Take away instead" : "Add instead",
        onclick: () => change([{ ...chip, sign: added ? -1 : 1 }]),
      },
      icon(added ? "plus" : "minus"),
      pictureOf(chip) ? element("img", { src: pictureOf(chip), alt: "" }) : element("span", {}, name),
    );
    const remove = element(
      "button",
      { type: "button", className: "remove", ariaLabel: `Remove ${name}`, title: "Remove", onclick: () => change([]) },
      icon("close"),
    );
    return element("li", { className: added ? "chip" : "chip less" }, sign, remove);
  }
}

/** @param {Chip} chip */
function nameOf({ kind, value }) {
  if (kind === "words") return value;
  return kind === "photo" ? `photograph ${value}` : (upload(value)?.file ?? value);
}

/** @param {Chip} chip */
function pictureOf({ kind, value }) {
  return kind === "words" ? "" : kind === "photo" ? `/v1/photos/${value}/thumbnail` : upload(value)?.url;
}
