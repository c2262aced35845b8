// The index: how many photographs it has, and how far a run that brings it up to date has come.

import { ask } from "./api.js";
import { byId, element } from "./elements.js";
import { count, number } from "./words.js";

/** Seconds between questions while a run goes on, and otherwise. */
const SOON = 1;
const SELDOM = 30;

/** Sends "change" (detail.grown: whether there are other photographs than before). */
export class Library extends EventTarget {
  /** @param {(text: string) => void} say */
  constructor(say) {
    super();
    this.say = say;
    /** @type {any} */
    this.state = null;
    this.timer = 0;
    byId("update").onclick = () => this.update();
    byId("stop").onclick = () => this.stop();
    byId("show-failures").onclick = () => this.showFailures();
    byId("failures-close").onclick = () => byId("failures").close();
    addEventListener("visibilitychange", () => !document.hidden && this.look());
  }

  get running() {
    return this.state?.job?.state === "running" ? this.state.job : null;
  }

  /** Asks how things stand, and again later. */
  async look() {
    clearTimeout(this.timer);
    try {
      const before = this.state;
      this.state = await ask("GET", "/v1/index");
      if (before?.job?.state === "running" && !this.running) this.tellEnd();
      this.draw();
      const grown = before && before.photographs !== this.state.photographs;
      this.dispatchEvent(new CustomEvent("change", { detail: { grown } }));
    } catch {
      // a search says that the server is gone
    }
    this.timer = setTimeout(() => this.look(), (this.running ? SOON : SELDOM) * 1000);
  }

  tellEnd() {
    const { job } = this.state;
    const said = {
      done: "The index is up to date.",
      cancelled: "Stopped; what was read is kept.",
      failed: job?.error?.message ?? "The run failed.",
    }[job?.state];
    byId("library-note").textContent = said ?? "";
    if (said) this.say(said);
  }

  async update() {
    byId("library-note").textContent = "";
    try {
      await ask("POST", "/v1/index", { body: {} });
      this.say("Bringing the index up to date");
    } catch (error) {
      byId("library-note").textContent = error.message;
    }
    await this.look();
  }

  async stop() {
    const { running } = this;
    if (running) await ask("DELETE", `/v1/index/jobs/${encodeURIComponent(running.id)}`).catch(() => null);
    await this.look();
  }

  draw() {
    const { photographs, offline, model, roots, failures } = this.state;
    const job = this.running;
    const failed = Object.values(failures).reduce((/** @type {number} */ sum, value) => sum + Number(value), 0);
    byId("library-facts").replaceChildren(
      ...[
        ["Photographs", number(photographs) + (offline ? `, ${number(offline)} on disks that are not connected` : "")],
        ["Folders", roots.map((/** @type {any} */ root) => root.name).join(", ") || "none"],
        ["Model", model ?? "none"],
      ].flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
    );
    byId("update").hidden = !!job || !roots.length;
    const unread = byId("show-failures");
    unread.hidden = !failed;
    unread.textContent = `${count(failed, "file")} could not be read …`;
    const strip = byId("progress");
    strip.hidden = !job;
    if (!job) return;
    const unreadable = job.failed ? `, ${number(job.failed)} could not be read` : "";
    byId("progress-said").textContent = job.total
      ? `Reading photographs: ${number(job.done)} of ${number(job.total)}${unreadable}`
      : "Looking for photographs …";
    const bar = byId("progress-bar");
    if (job.total) bar.value = job.done / job.total;
    else bar.removeAttribute("value");
  }

  async showFailures() {
    const list = byId("failure-list");
    list.replaceChildren();
    byId("failures").showModal();
    try {
      const { data } = await ask("GET", "/v1/index/failures?limit=500");
      list.replaceChildren(
        ...data.map((/** @type {any} */ { name, message }) =>
          element("li", {}, element("strong", {}, name), element("span", {}, message)),
        ),
      );
    } catch (error) {
      list.replaceChildren(element("li", {}, error.message));
    }
  }
}
