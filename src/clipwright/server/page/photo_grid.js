// The grid: rows of thumbnails, of which only those near the window are in the document.

import { element, icon } from "./elements.js";
import { justified } from "./justified.js";
import { sections } from "./sections.js";
import { alternative } from "./words.js";
import { PHOTO_TYPE } from "./uploads.js";

/** @typedef {import("./results.js").Hit} Hit */
/** @typedef {import("./justified.js").Row & {title: string}} GridRow */

/** New rows are shown once the pictures of the first one are there, but no later than this, in milliseconds. */
const TOGETHER = 70;
/** What lies beyond the window is only fetched when nothing new has come for so long: somebody may be typing. */
const REST = 250;
/** In a narrow window rows are no higher than this share of its width, so that photographs stand side by side. */
const NARROW = 0.4;
/** Pixels of a section's title, and above it. */
const TITLE = 36;
const BETWEEN = 18;
/** Rows are kept this many window heights above and below. */
const BEYOND = 1;

/** Sends "open" (detail: Hit), "pick" (detail: {hit, sign}), "end" (near the last row) and "leave" (upwards). */
export class PhotoGrid extends EventTarget {
  /** @param {HTMLElement} place @param {(hit: Hit) => string} addressOf */
  constructor(place, addressOf) {
    super();
    this.place = place;
    this.addressOf = addressOf;
    /** @type {Hit[]} */
    this.hits = [];
    /** @type {GridRow[]} */
    this.rows = [];
    this.all = true;
    this.height = 190;
    /** The hit that Tab leads to. */
    this.current = 0;
    /** Rows in the document, by their place. @type {Map<number, HTMLElement>} */
    this.drawn = new Map();
    /** Cells by the photograph's id. @type {Map<number, HTMLElement>} */
    this.cells = new Map();
    this.turn = 0;
    this.width = 0;
    this.beyond = BEYOND;
    this.resting = 0;
    place.addEventListener("keydown", (event) => this.onKey(event));
    place.addEventListener("click", (event) => this.onClick(event));
    place.addEventListener("focusin", (event) => this.onFocus(event));
    place.addEventListener("dragstart", (event) => this.onDrag(event));
    addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.refit()).observe(place);
    addEventListener("resize", () => this.draw());
  }

  /**
   * Shows these. fresh: something else than before, from its beginning; else the same, and more.
   * @param {Hit[]} hits @param {{all: boolean, fresh: boolean}} how
   */
  async show(hits, { all, fresh }) {
    const turn = ++this.turn;
    if (fresh) {
      this.giveUp(hits);
      await this.firstPictures(hits, all);
      if (turn !== this.turn) return;
      const stays = this.place.contains(document.activeElement) ? this.hits[this.current]?.id : null;
      this.current = Math.max(
        0,
        hits.findIndex((hit) => hit.id === stays),
      );
      this.beyond = 0;
      clearTimeout(this.resting);
      this.resting = setTimeout(() => {
        this.beyond = BEYOND;
        this.draw();
      }, REST);
      if (scrollY > 0 && !stays) scrollTo({ top: 0, behavior: "instant" });
    }
    this.hits = hits;
    this.all = all;
    this.layOut(fresh);
  }

  /** @param {number} height of a row, as wished */
  resize(height) {
    this.height = height;
    this.layOut();
  }

  /** Stops loading pictures that will not be shown: they are in the way of those that will. @param {Hit[]} hits */
  giveUp(hits) {
    const ids = new Set(hits.map((hit) => hit.id));
    for (const [id, cell] of this.cells) {
      const picture = cell.querySelector("img");
      if (ids.has(id) || picture.complete) continue;
      picture.onerror = null;
      picture.removeAttribute("src");
      this.cells.delete(id);
    }
  }

  /**
   * Makes the cells of the first row and waits a little for their pictures.
   * @param {Hit[]} hits
   * @param {boolean} all
   */
  async firstPictures(hits, all) {
    const tiles = this.rowsOf(hits, all)[0]?.tiles ?? [];
    const pictures = tiles.map((tile) => this.cellOf(hits[tile.index]).querySelector("img").decode());
    const late = new Promise((done) => setTimeout(done, TOGETHER));
    await Promise.race([Promise.allSettled(pictures), late]);
  }

  /** Lays out again where the width has changed; not behind a photograph, where only the scroll bar went. */
  refit() {
    if (this.place.clientWidth !== this.width && !document.querySelector("#viewer[open]")) this.layOut();
  }

  /** The rows of these hits, those of each section below its title. @param {Hit[]} hits @param {boolean} all */
  rowsOf(hits, all) {
    const gap = parseFloat(getComputedStyle(this.place).gap) || 0;
    this.width = this.place.clientWidth;
    if (!this.width) return [];
    const byMonth = hits[0]?.similarity === null ? sections(hits) : [];
    const parts = byMonth.length ? byMonth : [{ title: "", start: 0, end: hits.length }];
    /** @type {GridRow[]} */
    const rows = [];
    for (const { title, start, end } of parts) {
      const height = Math.min(this.height, this.width * NARROW);
      const wish = { width: this.width, height, gap, all: all || end < hits.length };
      const above = rows.length ? rows.at(-1).top + rows.at(-1).height + gap : 0;
      const room = title ? TITLE + (rows.length ? BETWEEN : 0) : 0;
      justified(hits.slice(start, end), wish).forEach(({ top, height, tiles }, place) => {
        const shifted = tiles.map((tile) => ({ ...tile, index: tile.index + start }));
        rows.push({ top: above + room + top, height, tiles: shifted, title: place ? "" : title });
      });
    }
    return rows;
  }

  /** Works the rows out again, and draws those that are not as they were. */
  layOut(fresh = false) {
    const before = this.rows;
    this.rows = this.rowsOf(this.hits, this.all);
    const last = this.rows.at(-1);
    this.place.style.height = `${last ? last.top + last.height : 0}px`;
    this.place.setAttribute("aria-rowcount", String(this.all ? this.rows.length : -1));
    const focused = this.place.contains(document.activeElement);
    for (const [place, line] of this.drawn) {
      if (!fresh && JSON.stringify(before[place]) === JSON.stringify(this.rows[place])) continue;
      line.remove();
      this.drawn.delete(place);
    }
    this.draw();
    const ids = new Set(this.hits.map((hit) => hit.id));
    for (const [id, cell] of this.cells) if (!ids.has(id) || !cell.isConnected) this.cells.delete(id);
    if (focused && !this.place.contains(document.activeElement)) this.focus();
  }

  /** Puts the rows near the window into the document, and takes the others out. */
  draw() {
    const { top } = this.place.getBoundingClientRect();
    const [from, to] = [-top - innerHeight * this.beyond, -top + innerHeight * (1 + this.beyond)];
    const kept = this.rowOf(this.current);
    this.rows.forEach((row, place) => {
      const near = (row.top < to && row.top + row.height > from) || place === kept;
      if (near && !this.drawn.has(place)) this.drawRow(row, place);
      else if (!near && this.drawn.has(place)) {
        for (const tile of row.tiles) this.cells.delete(this.hits[tile.index].id);
        this.drawn.get(place).remove();
        this.drawn.delete(place);
      }
    });
    const last = this.rows.at(-1);
    if (!this.all && (!last || last.top < to)) this.dispatchEvent(new Event("end"));
  }

  /** @param {GridRow} row @param {number} place */
  drawRow(row, place) {
    const line = element("div", { className: "row", role: "row", ariaRowIndex: String(place + 1) });
    line.style.transform = `translateY(${row.top}px)`;
    line.style.height = `${row.height}px`;
    if (row.title) line.append(element("div", { className: "title", role: "rowheader" }, row.title));
    for (const tile of row.tiles) {
      const cell = this.cellOf(this.hits[tile.index]);
      cell.dataset.index = String(tile.index);
      cell.style.left = `${tile.left}px`;
      cell.style.width = `${tile.width}px`;
      /** @type {HTMLElement} */ (cell.firstElementChild).tabIndex = tile.index === this.current ? 0 : -1;
      line.append(cell);
    }
    this.drawn.set(place, line);
    const after = [...this.drawn.keys()].filter((other) => other > place);
    this.place.insertBefore(line, after.length ? this.drawn.get(Math.min(...after)) : null);
  }

  /** A photograph's cell: the one that is there, so that its picture stays, or a new one. @param {Hit} hit */
  cellOf(hit) {
    let cell = this.cells.get(hit.id);
    if (!cell) this.cells.set(hit.id, (cell = this.newCell(hit)));
    const [link, badge] = /** @type {any} */ ([cell.firstElementChild, cell.querySelector(".more")]);
    link.href = this.addressOf(hit);
    badge.hidden = !hit.folded.length;
    badge.lastChild.data = `+${hit.folded.length}`;
    const folded = hit.folded.length ? `, and ${hit.folded.length} alike` : "";
    link.firstElementChild.alt = alternative(hit) + folded;
    return cell;
  }

  newCell(/** @type {Hit} */ hit) {
    const picture = element("img", { decoding: "async", draggable: false, src: hit.thumbnail });
    picture.onerror = () => picture.classList.add("lost");
    const more = element("span", { className: "more", ariaHidden: "true" }, icon("stack"), "");
    const offline =
      hit.offline && element("span", { className: "offline", title: "Its disk is not connected" }, icon("offline"));
    const pick = element(
      "button",
      { type: "button", className: "pick", tabIndex: -1, title: "Add to the search (+)" },
      icon("plus"),
    );
    pick.ariaLabel = `Add ${hit.name} to the search`;
    return element(
      "div",
      { className: "cell", role: "gridcell" },
      element("a", { draggable: true }, picture, more, offline),
      pick,
    );
  }

  /** The place of the row that holds a hit. @param {number} index */
  rowOf(index) {
    return this.rows.findIndex((row) => row.tiles.some((tile) => tile.index === index));
  }

  /** Leads the keyboard to a hit. @param {number} [index] */
  focus(index = this.current) {
    index = Math.min(index, this.hits.length - 1);
    const row = this.rows[this.rowOf(index)];
    if (!row) return;
    this.current = index;
    const { top } = this.place.getBoundingClientRect();
    const above = document.querySelector("header").getBoundingClientRect().bottom + 12;
    const titled = top + row.top - (row.title ? TITLE : 0);
    if (titled < above) scrollBy({ top: titled - above, behavior: "instant" });
    else if (top + row.top + row.height > innerHeight - 12) {
      scrollBy({ top: top + row.top + row.height - innerHeight + 12, behavior: "instant" });
    }
    this.draw();
    this.linkAt(index)?.focus({ preventScroll: true });
  }

  /** @param {number} index @returns {HTMLElement | null} */
  linkAt(index) {
    return this.place.querySelector(`[data-index="${index}"] > a`);
  }

  /** @param {Event} event @returns {number} the hit that an event is about, or -1 */
  indexOf(event) {
    const cell = /** @type {HTMLElement} */ (event.target).closest(".cell");
    return cell ? Number(/** @type {HTMLElement} */ (cell).dataset.index) : -1;
  }

  onFocus(/** @type {FocusEvent} */ event) {
    const index = this.indexOf(event);
    if (index < 0) return;
    const before = this.linkAt(this.current);
    if (before) before.tabIndex = -1;
    this.current = index;
    this.linkAt(index).tabIndex = 0;
  }

  onClick(/** @type {MouseEvent} */ event) {
    const index = this.indexOf(event);
    if (index < 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const hit = this.hits[index];
    if (/** @type {HTMLElement} */ (event.target).closest(".pick")) this.pick(hit, 1);
    else this.dispatchEvent(new CustomEvent("open", { detail: hit }));
  }

  /** @param {Hit} hit @param {1 | -1} sign */
  pick(hit, sign) {
    this.dispatchEvent(new CustomEvent("pick", { detail: { hit, sign } }));
  }

  onDrag(/** @type {DragEvent} */ event) {
    const hit = this.hits[this.indexOf(event)];
    if (!hit) return;
    event.dataTransfer.setData(PHOTO_TYPE, String(hit.id));
    event.dataTransfer.setDragImage(/** @type {HTMLElement} */ (event.target).querySelector("img"), 20, 20);
  }

  onKey(/** @type {KeyboardEvent} */ event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const index = this.indexOf(event);
    if (index < 0) return;
    const page = Math.max(1, Math.floor(innerHeight / (this.height * 1.3)));
    const to = {
      ArrowLeft: () => index - 1,
      ArrowRight: () => index + 1,
      ArrowUp: () => this.beside(index, -1),
      ArrowDown: () => this.beside(index, 1),
      PageUp: () => this.beside(index, -page),
      PageDown: () => this.beside(index, page),
      Home: () => 0,
      End: () => this.hits.length - 1,
    }[event.key];
    if (to) {
      event.preventDefault();
      const next = to();
      if (next < 0) this.dispatchEvent(new Event("leave"));
      else this.focus(next);
    } else if (event.key === "+" || event.key === "-") {
      event.preventDefault();
      this.pick(this.hits[index], event.key === "+" ? 1 : -1);
    }
  }

  /**
   * The hit that lies nearest, some rows further; -1 above the first row.
   * @param {number} index
   * @param {number} step
   */
  beside(index, step) {
    const from = this.rowOf(index);
    if (from + step < 0) return from === 0 ? -1 : this.beside(index, -from);
    const row = this.rows[Math.min(this.rows.length - 1, from + step)];
    const tile = this.rows[from].tiles.find((tile) => tile.index === index);
    const middle = tile.left + tile.width / 2;
    const away = (/** @type {import("./justified.js").Tile} */ other) =>
      Math.abs(other.left + other.width / 2 - middle);
    return row.tiles.reduce((best, other) => (away(other) < away(best) ? other : best)).index;
  }
}
