// What a search found: the first photographs at once, more as they are asked for.

import { ask } from "./api.js";
import { searchBody } from "./asked.js";
import { uploadsOf } from "./uploads.js";

/**
 * @typedef {{id: number, name: string, width: number, height: number, format: string, taken: string | null,
 *   camera: string | null, lens: string | null, latitude: number | null, longitude: number | null, bytes: number,
 *   offline: boolean, thumbnail: string, picture: string}} Photo
 * @typedef {Photo & {similarity: number | null, relevance: number | null, folded: Photo[]}} Hit
 */

/** Enough for a first screen; fewer are sooner there. */
const FIRST = 40;
const MORE = 120;

/** Sends "begin", "found" (detail.fresh: whether they replace what was shown) and "failed" (detail.error). */
export class Results extends EventTarget {
  constructor() {
    super();
    /** @type {Hit[]} */
    this.hits = [];
    this.order = "newest";
    /** Whether these are all. */
    this.all = false;
    /** @type {import("./asked.js").Asked | null} */
    this.asked = null;
    this.busy = new AbortController();
    this.offset = 0;
    this.loading = false;
    /** Why what is shown is not what was asked for last. @type {Error | null} */
    this.error = null;
  }

  /** Looks for something else; what was being looked for is given up. @param {import("./asked.js").Asked} asked */
  async search(asked) {
    this.busy.abort();
    this.asked = asked;
    await this.load(FIRST, 0);
  }

  /** Adds the next ones, if there are any and none are on their way. */
  async more() {
    if (!this.loading && !this.all && this.offset) await this.load(MORE, this.offset);
  }

  /** @param {number} limit @param {number} offset */
  async load(limit, offset) {
    const busy = (this.busy = new AbortController());
    this.loading = true;
    const fresh = offset === 0;
    if (fresh) this.dispatchEvent(new Event("begin"));
    try {
      const answer = await this.find(searchBody(this.asked, limit, offset), busy.signal);
      if (busy.signal.aborted) return;
      this.loading = false;
      this.error = null;
      const known = new Set(fresh ? [] : this.hits.map((hit) => hit.id));
      this.hits = [...(fresh ? [] : this.hits), ...answer.data.filter((/** @type {Hit} */ hit) => !known.has(hit.id))];
      this.order = answer.order;
      this.offset = offset + answer.data.length;
      this.all = answer.data.length < limit;
      this.dispatchEvent(new CustomEvent("found", { detail: { fresh } }));
    } catch (error) {
      if (busy.signal.aborted) return;
      this.loading = false;
      this.error = error;
      this.dispatchEvent(new CustomEvent("failed", { detail: { error, fresh } }));
    }
  }

  /**
   * The server's answer; one without photographs where there is no index yet.
   * @param {any} body
   * @param {AbortSignal} signal
   */
  async find(body, signal) {
    try {
      return await ask("POST", "/v1/search", { body, files: uploadsOf(this.asked.chips), signal });
    } catch (error) {
      if (error.code === "no_index") return { data: [], order: "newest" };
      throw error;
    }
  }
}
