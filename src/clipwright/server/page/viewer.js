// One photograph, large: with what is known of it, shots that are nearly the same, others like it, and labels.

import { ask } from "./api.js";
import { byId, element, icon } from "./elements.js";
import { keepLabels, keptLabels, labelBars, labelsOf } from "./label_bars.js";
import { alternative, bytes, kilometres, moment, number, place, relevance } from "./words.js";

/** @typedef {import("./results.js").Photo} Photo */
/** @typedef {import("./results.js").Hit} Hit */

/** Sides that pictures are asked for in: few, so that each is made once. */
const SIDES = [1024, 1600, 2400];
/** Small pictures are shown no larger than so many times their size. */
const LARGEST = 3;
const ALIKE = 12;
const TYPED = 300;
/** Pixels that a finger moves sideways to turn to the next one. */
const SWIPE = 60;

export class Viewer {
  /**
   * @param {import("./asking.js").Asking} asking @param {import("./results.js").Results} results
   * @param {import("./photo_grid.js").PhotoGrid} grid @param {import("./search_box.js").SearchBox} box
   */
  constructor(asking, results, grid, box) {
    this.asking = asking;
    this.results = results;
    this.grid = grid;
    this.box = box;
    this.dialog = /** @type {HTMLDialogElement} */ (byId("viewer"));
    this.picture = /** @type {HTMLImageElement} */ (byId("picture"));
    this.labels = /** @type {HTMLTextAreaElement} */ (byId("viewer-labels"));
    /** @type {Hit | null} what was opened; the shown photograph may be one that it stands for */
    this.hit = null;
    /** @type {Photo | null} */
    this.photo = null;
    this.busy = new AbortController();
    this.labelling = new AbortController();
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      asking.closePhoto();
    });
    this.dialog.addEventListener("keydown", (event) => this.onKey(event));
    byId("close").onclick = () => asking.closePhoto();
    byId("previous").onclick = () => this.step(-1);
    byId("next").onclick = () => this.step(1);
    byId("by-this").onclick = () => asking.change({ text: "", chips: [this.chip(1)], photo: null });
    byId("add-this").onclick = () => box.add(this.chip(1));
    byId("without-this").onclick = () => box.add(this.chip(-1));
    new ResizeObserver(() => this.fit()).observe(byId("stage"));
    let touched = 0;
    byId("stage").addEventListener(
      "touchstart",
      (/** @type {TouchEvent} */ event) => (touched = event.changedTouches[0].clientX),
      { passive: true },
    );
    byId("stage").addEventListener("touchend", (/** @type {TouchEvent} */ event) => {
      const moved = event.changedTouches[0].clientX - touched;
      if (Math.abs(moved) > SWIPE && (visualViewport?.scale ?? 1) === 1) this.step(moved < 0 ? 1 : -1);
    });
    let typed = 0;
    this.labels.addEventListener("input", () => {
      keepLabels(this.labels.value);
      clearTimeout(typed);
      typed = setTimeout(() => this.label(), TYPED);
    });
    byId("viewer-unknown").addEventListener("input", () => this.label());
    asking.addEventListener("change", () => this.follow());
    results.addEventListener("found", () => this.drawSteps());
    this.follow();
  }

  /** Opens, changes or closes with what is asked. */
  async follow() {
    const { photo } = this.asking.now;
    if (photo === null) return this.close();
    if (photo === this.photo?.id) return undefined;
    const hit = this.results.hits.find((hit) => hit.id === photo);
    if (hit) return this.show(hit, hit);
    const folder = this.results.hits.find((hit) => hit.folded.some((other) => other.id === photo));
    if (folder)
      return this.show(
        folder.folded.find((other) => other.id === photo),
        folder,
      );
    try {
      const found = await ask("GET", `/v1/photos/${photo}`);
      if (this.asking.now.photo === photo)
        this.show(found, { similarity: null, relevance: null, folded: [], ...found });
    } catch (error) {
      if (this.asking.now.photo !== photo) return undefined;
      this.asking.change({ photo: null }, "replace");
      this.box.say(error.message);
    }
    return undefined;
  }

  /** @param {Photo} photo @param {Hit} hit */
  show(photo, hit) {
    this.busy.abort();
    this.busy = new AbortController();
    this.photo = photo;
    this.hit = hit;
    if (!this.dialog.open) {
      this.dialog.showModal();
      this.dialog.focus();
      this.labels.value = keptLabels();
      document.documentElement.classList.add("viewing");
    }
    this.drawPicture(photo);
    this.drawFacts(photo, hit);
    this.drawFolded(photo, hit);
    this.drawSteps();
    this.drawAlike(photo);
    this.label();
  }

  close() {
    if (!this.dialog.open) return;
    this.busy.abort();
    this.labelling.abort();
    this.dialog.close();
    document.documentElement.classList.remove("viewing");
    this.picture.removeAttribute("src");
    const index = this.place();
    this.photo = this.hit = null;
    this.grid.refit();
    if (index >= 0) this.grid.focus(index);
    else this.box.input.focus({ preventScroll: true });
  }

  /** @param {Photo} photo */
  drawPicture(photo) {
    const { signal } = this.busy;
    this.fit();
    this.picture.alt = alternative(photo);
    this.picture.src = photo.thumbnail;
    const note = byId("stage-note");
    note.textContent = "";
    const wish = Math.max(byId("stage").clientWidth, byId("stage").clientHeight) * devicePixelRatio;
    const side = SIDES.find((side) => side >= wish) ?? SIDES.at(-1);
    const address = sized(photo, side);
    const sharp = new Image();
    sharp.src = address;
    sharp.decode().then(
      () => {
        if (signal.aborted) return;
        this.picture.src = sharp.src;
        this.prefetch(side);
      },
      async () => {
        const refusal = await ask("GET", address, { signal }).catch((error) => error);
        if (!signal.aborted) note.textContent = `Only a small copy can be shown. ${refusal?.message ?? ""}`;
      },
    );
  }

  /** Has the next picture ready. @param {number} side */
  prefetch(side) {
    const next = this.results.hits[this.place() + 1];
    if (next && this.place() >= 0) new Image().src = sized(next, side);
  }

  /** Gives the picture its place at once, so that nothing moves when it comes. */
  fit() {
    if (!this.photo) return;
    const { clientWidth, clientHeight } = byId("stage");
    const { width, height } = this.photo;
    const scale = Math.min(clientWidth / width, clientHeight / height, LARGEST);
    this.picture.style.width = `${Math.round(width * scale)}px`;
    this.picture.style.height = `${Math.round(height * scale)}px`;
  }

  /** @param {Photo} photo @param {Hit} hit */
  drawFacts(photo, hit) {
    byId("viewer-name").textContent = photo.name;
    const pixels = (photo.width * photo.height) / 1e6;
    const facts = [
      ["When", photo.taken && moment(photo.taken)],
      ["Camera", photo.camera],
      ["Lens", photo.lens],
      [
        "Size",
        `${number(photo.width)} × ${number(photo.height)}${pixels >= 0.1 ? `, ${pixels.toFixed(1)} megapixels` : ""}`,
      ],
      ["File", `${photo.format}, ${bytes(photo.bytes)}`],
      ["Where", photo.latitude !== null && place(photo.latitude, photo.longitude)],
      ["Match", hit.relevance !== null && `${relevance(hit.relevance)} (relevance ${hit.relevance.toFixed(2)})`],
      ["Note", photo.offline && "Its disk is not connected."],
    ];
    const shown = facts.filter(([, value]) => value);
    byId("facts").replaceChildren(
      ...shown.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
    );
    const near = byId("near-this");
    near.hidden = photo.latitude === null;
    near.onclick = () => {
      const around = { latitude: photo.latitude, longitude: photo.longitude, kilometres: 1 };
      this.asking.change({ filters: { ...this.asking.now.filters, near: around }, photo: null });
    };
    near.title = `Photographs within ${kilometres(1)}`;
  }

  /** @param {Photo} photo @param {Hit} hit */
  drawFolded(photo, hit) {
    const shots = hit.folded.length ? [hit, ...hit.folded] : [];
    byId("folded-part").hidden = !shots.length;
    byId("folded").replaceChildren(
      ...shots.map((shot, place) => this.small(shot, `Shot ${place + 1} of ${shots.length}`, shot.id === photo.id)),
    );
  }

  /** @param {Photo} photo */
  async drawAlike(photo) {
    const { signal } = this.busy;
    const part = byId("alike");
    part.replaceChildren(
      ...Array.from({ length: 6 }, () => element("li", { className: "skeleton", ariaHidden: "true" })),
    );
    try {
      const answer = await ask("POST", "/v1/search", {
        body: { like: photo.id, limit: ALIKE + 1, unique: true },
        signal,
      });
      const others = answer.data.filter((/** @type {Photo} */ other) => other.id !== photo.id).slice(0, ALIKE);
      part.replaceChildren(...others.map((/** @type {Photo} */ other) => this.small(other, alternative(other), false)));
      byId("alike-part").hidden = !others.length;
    } catch {
      if (!signal.aborted) byId("alike-part").hidden = true;
    }
  }

  /**
   * A small picture that leads to its photograph.
   * @param {Photo} photo
   * @param {string} label
   * @param {boolean} shown
   */
  small(photo, label, shown) {
    const link = element(
      "a",
      { href: this.asking.address({ photo: photo.id }), ariaLabel: label },
      element("img", { src: photo.thumbnail, alt: "" }),
    );
    if (shown) link.setAttribute("aria-current", "true");
    link.onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.asking.change({ photo: photo.id }, "replace");
    };
    return element("li", {}, link);
  }

  /** The place of what is shown among the results, or -1. */
  place() {
    return this.hit ? this.results.hits.findIndex((hit) => hit.id === this.hit.id) : -1;
  }

  /** @param {number} by */
  step(by) {
    const next = this.results.hits[this.place() + by];
    if (this.place() >= 0 && next) this.asking.change({ photo: next.id }, "replace");
  }

  drawSteps() {
    if (!this.dialog.open) return;
    const place = this.place();
    const { hits, all } = this.results;
    byId("previous").disabled = place <= 0;
    byId("next").disabled = place < 0 || (place >= hits.length - 1 && all);
    if (!this.dialog.contains(document.activeElement)) this.dialog.focus(); // it was on a button that is off now
    byId("step").textContent = place < 0 ? "" : `${number(place + 1)} of ${number(hits.length)}${all ? "" : "+"}`;
    if (place >= hits.length - 5) this.results.more();
  }

  onKey(/** @type {KeyboardEvent} */ event) {
    if (event.target === this.labels || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    this.step(step);
  }

  chip(/** @type {1 | -1} */ sign) {
    return { sign, kind: /** @type {const} */ ("photo"), value: String(this.photo.id) };
  }

  /** What the labels say of the shown photograph. */
  async label() {
    this.labelling.abort(); // what was asked before is of other labels, or of another photograph
    this.labelling = new AbortController();
    const { signal } = this.labelling;
    if (!this.photo) return undefined;
    const out = byId("viewer-bars");
    const labels = labelsOf(this.labels.value);
    if (!labels.length) return out.replaceChildren();
    const body = { images: [`photo:${this.photo.id}`], labels, unknown: byId("viewer-unknown").checked };
    try {
      const { data } = await ask("POST", "/v1/classify", { body, signal });
      out.replaceChildren(
        data[0].error
          ? element("p", { className: "wrong" }, data[0].error.message)
          : labelBars(data[0].labels.slice(0, 8)),
      );
    } catch (error) {
      if (!signal.aborted) out.replaceChildren(element("p", { className: "wrong" }, icon("alert"), error.message));
    }
    return undefined;
  }
}

/** Where a photograph comes from at a size. @param {Photo} photo @param {number} side */
const sized = ({ picture }, side) => `${picture}${picture.includes("?") ? "&" : "?"}side=${side}`;
