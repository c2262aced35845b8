// What stands in the place of the grid when there is nothing to show, and above it when something is to be said.

import { Refusal, Unreachable } from "./api.js";
import { byId, element, icon } from "./elements.js";
import { hasFilters } from "./asked.js";

/** @typedef {{said: string, act: () => void}} Way */

/** @param {string} drawing @param {string} title @param {(string | Node)[]} lines @param {Way[]} ways */
function fill(drawing, title, lines, ways) {
  const buttons = ways.map(({ said, act }) => element("button", { type: "button", onclick: act }, said));
  byId("instead").replaceChildren(
    icon(drawing),
    element("h2", {}, title),
    ...lines.map((line) => element("p", {}, line)),
    element("div", { className: "ways" }, ...buttons),
  );
  byId("instead").hidden = false;
}

export const clearInstead = () => (byId("instead").hidden = true);

/** An index without photographs. @param {any} library @param {() => void} update */
export function sayEmpty(library, update) {
  const { roots, job } = library;
  if (job?.state === "running")
    fill("image", "Your photographs are being read", ["They appear here as they come."], []);
  else if (roots.length) {
    const names = roots.map((/** @type {any} */ root) => root.name).join(", ");
    fill(
      "image",
      "No photographs yet",
      [`The server may read ${names}. They stay where they are.`],
      [{ said: "Read the photographs", act: update }],
    );
  } else {
    const command = element("code", {}, "clipwright serve --root ~/Pictures");
    fill(
      "image",
      "No photographs yet",
      [element("span", {}, "Start the server with the folder that has them: ", command)],
      [],
    );
  }
}

/** Nothing answers what is asked. @param {import("./asking.js").Asking} asking */
export function sayNothingFound(asking) {
  const { text, chips, filters } = asking.now;
  /** @type {Way[]} */
  const ways = [];
  if (hasFilters(filters)) {
    ways.push({
      said: "Without filters",
      act: () => asking.change({ filters: { after: "", before: "", camera: "", match: "", near: null } }),
    });
  }
  if (text.trim() || chips.length) ways.push({ said: "All photographs", act: () => asking.reset() });
  const hint = hasFilters(filters)
    ? "No photograph passes all the filters."
    : "Try fewer or other words; NOT and AND leave out much.";
  fill("search", "Nothing found", [hint], ways);
}

/** A search that failed, while nothing else is shown. @param {Error} error @param {() => void} again */
export function sayFailed(error, again) {
  fill(
    "alert",
    error instanceof Unreachable ? "The server is gone" : "That did not work",
    [error.message],
    [{ said: "Try again", act: again }],
  );
}

/**
 * A line above the grid, in the place of the count; "" takes it away.
 * @param {string} text
 * @param {"hint" | "wrong"} [kind]
 */
export function sayAbove(text, kind = "hint") {
  const line = byId("above");
  line.className = kind;
  line.replaceChildren(...(text ? [icon(kind === "wrong" ? "alert" : "info"), element("span", {}, text)] : []));
  line.hidden = !text;
  byId("count").hidden = !!text;
  byId("bar").hidden &&= !text;
}

/** Whether a failure is about what was typed, and not about the server. @param {Error} error */
export const isAboutQuery = (error) => error instanceof Refusal && error.status >= 400 && error.status < 500;
