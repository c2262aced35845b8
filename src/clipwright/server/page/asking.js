// What is asked for at the moment, kept in step with the address, so that back, forward and links work.

import { fromAddress, NOTHING, toAddress } from "./asked.js";

/** @typedef {import("./asked.js").Asked} Asked */

/** How long typing rests before the address is written: browsers allow few writes a second. */
const REST = 400;

/** Sends "change" with the Asked from before as detail; chips and filters that are as before are the same objects. */
export class Asking extends EventTarget {
  constructor() {
    super();
    /** @type {Asked} */
    this.now = fromAddress(location.search);
    this.typing = false;
    this.resting = 0;
    history.replaceState(this.memory(), "");
    addEventListener("popstate", (event) => {
      clearTimeout(this.resting);
      this.typing = false;
      const asked = fromAddress(location.search);
      this.set({ ...asked, chips: event.state?.chips ?? asked.chips });
    });
  }

  /** What the address leaves out, and whether going back leads to where a photograph was opened from. */
  memory(opened = false) {
    return { chips: this.now.chips, opened };
  }

  /**
   * Asks for something else. Each makes an entry in the history, but letters that are typed one after the other make
   * one together; "replace" stays on the entry.
   * @param {Partial<Asked>} changes
   * @param {"push" | "replace" | "type"} [how]
   */
  change(changes, how = "push") {
    if (how !== "type") this.endTyping();
    const opens = changes.photo != null && this.now.photo === null;
    this.set({ ...this.now, ...changes });
    if (how === "type") {
      if (!this.typing) history.pushState(this.memory(), "", this.address());
      this.typing = true;
      clearTimeout(this.resting);
      this.resting = setTimeout(() => this.write(), REST);
    } else if (how === "push") history.pushState(this.memory(opens), "", this.address());
    else history.replaceState({ ...history.state, ...{ chips: this.now.chips } }, "", this.address());
  }

  /** What is typed from now on is something new. */
  endTyping() {
    if (this.typing) this.write();
    this.typing = false;
  }

  /** Shows no photograph large any more: goes back to where it was opened, if that is where the person came from. */
  closePhoto() {
    if (history.state?.opened) history.back();
    else this.change({ photo: null }, "replace");
  }

  reset() {
    this.change({ ...NOTHING, view: this.now.view });
  }

  write() {
    clearTimeout(this.resting);
    history.replaceState(this.memory(), "", this.address());
  }

  /** The page's address for this, or for what is asked now. @param {Partial<Asked>} [changes] */
  address(changes = {}) {
    const search = toAddress({ ...this.now, ...changes });
    return location.pathname + (search && `?${search}`);
  }

  /** @param {Asked} asked */
  set(asked) {
    const before = this.now;
    const same = (/** @type {keyof Asked} */ name) => JSON.stringify(asked[name]) === JSON.stringify(before[name]);
    this.now = {
      ...asked,
      chips: same("chips") ? before.chips : asked.chips,
      filters: same("filters") ? before.filters : asked.filters,
    };
    this.dispatchEvent(new CustomEvent("change", { detail: before }));
  }
}
