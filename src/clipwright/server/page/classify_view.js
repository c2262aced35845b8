// The classify tab: pictures are dropped, labels typed, and bars say which fits.

import { ask } from "./api.js";
import { byId, element, icon, iconButton } from "./elements.js";
import { keepLabels, keptLabels, labelBars, labelsOf } from "./label_bars.js";
import { smaller } from "./uploads.js";
import { count } from "./words.js";

const TYPED = 300;
/** So many pictures go in one request. */
const TOGETHER = 8;
const SHOWN = 6;

export class ClassifyView {
  /** @param {(text: string) => void} say */
  constructor(say) {
    this.say = say;
    /** @type {{file: string, content: Blob, card: HTMLElement, out: HTMLElement}[]} */
    this.pictures = [];
    this.labels = /** @type {HTMLTextAreaElement} */ (byId("labels"));
    this.unknown = /** @type {HTMLInputElement} */ (byId("unknown"));
    this.cards = byId("cards");
    this.busy = new AbortController();
    this.labels.value ||= keptLabels(); // or what was typed while this was loaded
    keepLabels(this.labels.value);
    let typed = 0;
    const later = () => {
      clearTimeout(typed);
      typed = setTimeout(() => this.run(this.pictures), TYPED);
    };
    this.labels.addEventListener("input", () => {
      keepLabels(this.labels.value);
      later();
    });
    this.unknown.addEventListener("input", later);
    const chooser = byId("classify-chooser");
    byId("classify-choose").onclick = () => chooser.click();
    chooser.onchange = () => {
      this.add([...chooser.files]);
      chooser.value = "";
    };
    byId("classify-clear").onclick = () => {
      for (const picture of [...this.pictures]) this.remove(picture);
    };
    this.draw();
  }

  /** Shows that the labels may have changed elsewhere. */
  open() {
    if (this.labels.value === keptLabels()) return;
    this.labels.value = keptLabels();
    this.run(this.pictures);
  }

  /** @param {File[]} files */
  async add(files) {
    const added = [];
    for (const file of files) {
      const content = await smaller(file);
      const name = file.name || "pasted picture";
      const shown = element("img", { src: URL.createObjectURL(content), alt: name });
      shown.onerror = () => shown.replaceWith(element("div", { className: "unseen" }, icon("image")));
      const out = element("div", { className: "out" });
      const picture = { file: name, content, out, card: element("li", { className: "card" }) };
      picture.card.append(
        shown,
        element("div", { className: "said" }, element("h2", {}, name), out),
        iconButton("close", `Remove ${name}`, () => this.remove(picture)),
      );
      this.pictures.push(picture);
      this.cards.append(picture.card);
      added.push(picture);
      this.draw();
    }
    await this.run(added, false);
  }

  /** @param {ClassifyView["pictures"][number]} picture */
  remove(picture) {
    const place = this.pictures.indexOf(picture);
    this.pictures.splice(place, 1);
    picture.card.remove();
    this.draw();
    (
      this.cards.children[Math.min(place, this.pictures.length - 1)]?.querySelector("button") ?? byId("classify-choose")
    ).focus();
  }

  draw() {
    byId("classify-empty").hidden = this.pictures.length > 0;
    byId("classify-clear").hidden = !this.pictures.length;
    byId("label-hint").hidden = labelsOf(this.labels.value).length > 0 || !this.pictures.length;
  }

  /** Asks for these pictures' labels. @param {ClassifyView["pictures"]} pictures */
  async run(pictures, instead = true) {
    this.draw();
    if (instead) {
      this.busy.abort();
      this.busy = new AbortController();
    }
    const { signal } = this.busy;
    const labels = labelsOf(this.labels.value);
    if (!labels.length) {
      for (const { out } of pictures) out.replaceChildren();
      return;
    }
    for (let start = 0; start < pictures.length; start += TOGETHER) {
      const part = pictures.slice(start, start + TOGETHER);
      for (const { out } of part) out.classList.add("waits");
      const answers = await this.ask(part, labels, signal);
      if (signal.aborted) return;
      part.forEach(({ out }, place) => {
        const { labels, error } = answers[place];
        out.classList.remove("waits");
        out.replaceChildren(
          error
            ? element("p", { className: "wrong" }, icon("alert"), error.message)
            : labelBars(labels.slice(0, SHOWN)),
        );
      });
    }
    if (pictures.length) this.say(`${count(pictures.length, "picture")} classified`);
  }

  /**
   * @param {ClassifyView["pictures"]} part
   * @param {string[]} labels
   * @param {AbortSignal} signal
   * @returns {Promise<any[]>}
   */
  async ask(part, labels, signal) {
    const body = { labels, unknown: this.unknown.checked, partial: true };
    const files = part.map(({ content, file }) => /** @type {[string, Blob, string]} */ (["images", content, file]));
    try {
      return (await ask("POST", "/v1/classify", { body, files, signal })).data;
    } catch (error) {
      return part.map(() => ({ error }));
    }
  }
}
