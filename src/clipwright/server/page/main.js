// The page: its parts are made here and told of each other.

import { onKeyNeeded, Unreachable } from "./api.js";
import { hasFilters } from "./asked.js";
import { Asking } from "./asking.js";
import { byId, element } from "./elements.js";
import { FilterPanel } from "./filters.js";
import { Library } from "./library.js";
import { clearInstead, isAboutQuery, sayAbove, sayEmpty, sayFailed, sayNothingFound } from "./notices.js";
import { PhotoGrid } from "./photo_grid.js";
import { Results } from "./results.js";
import { SearchBox } from "./search_box.js";
import { onPictures } from "./uploads.js";
import { count, number } from "./words.js";

/** Milliseconds: what is typed may be wrong for so long before the page says so, and a search may take so long before
 * the old pictures fade. */
const UNFINISHED = 700;
const SLOW = 350;
/** Below this relevance, the best photograph does not show what was asked for. */
const FAINT = 0.25;
/** At this, it is as likely to show it as not. */
const GOOD = 0.5;
const GONE = 3000;

onKeyNeeded(async () => (await import("./key_form.js")).askForKey());

let said = 0;
/** Tells those who listen rather than look. @param {string} text */
function say(text) {
  clearTimeout(said);
  said = setTimeout(() => (byId("live").textContent = text), 250);
}

const asking = new Asking();
const results = new Results();
const library = new Library(say);
const box = new SearchBox(asking, say);
const grid = new PhotoGrid(byId("grid"), (hit) => asking.address({ photo: hit.id }));
new FilterPanel(asking);

/** Makes something when it is first wanted: what most visits do without is not loaded with the page.
 * @template T @param {() => Promise<T>} make @returns {() => Promise<T>} */
function once(make) {
  /** @type {Promise<T> | null} */
  let made = null;
  return () => (made ??= make());
}
const viewer = once(async () => new (await import("./viewer.js")).Viewer(asking, results, grid, box));
const classify = once(async () => new (await import("./classify_view.js")).ClassifyView(say));

let waiting = 0;
const later = (/** @type {() => void} */ act, /** @type {number} */ time) => {
  clearTimeout(waiting);
  waiting = setTimeout(act, time);
};
const search = () => results.search(asking.now);
const isSearching = () => Boolean(asking.now.text.trim() || asking.now.chips.length);

function showView() {
  const classifies = asking.now.view === "classify";
  byId("search-view").hidden = classifies;
  byId("classify-view").hidden = !classifies;
  byId("search").classList.toggle("away", classifies);
  byId("to-search").ariaCurrent = classifies ? null : "page";
  byId("to-classify").ariaCurrent = classifies ? "page" : null;
  if (classifies) classify().then((view) => view.open());
}

function sayCount() {
  const { hits, all, order } = results;
  const good = hits.filter((hit) => (hit.relevance ?? 1) >= GOOD).length;
  const known = !isSearching() && !hasFilters(asking.now.filters) && library.state?.photographs;
  const found = known
    ? count(known)
    : `${number(hits.length)}${all ? "" : "+"} photograph${all && hits.length === 1 ? "" : "s"}`;
  const rest =
    order === "newest"
      ? "newest first"
      : good && good < hits.length
        ? `${number(good)} likely, best first`
        : "best first";
  byId("count").textContent = hits.length ? `${found}, ${rest}` : "";
  if (!unasked) say(hits.length ? found : "Nothing found");
}

/** What stands in the grid's place, or above it, now that the results are there. */
function sayFound() {
  const { hits, order } = results;
  const { state } = library;
  const faint = order === "relevance" && hits.length > 0 && Math.max(...hits.map((hit) => hit.relevance ?? 1)) < FAINT;
  if (state && !state.searchable && state.photographs && state.reason) sayAbove(state.reason, "wrong");
  else sayAbove(faint ? "No photograph stands out for this. These come nearest." : "");
  if (hits.length) clearInstead();
  else if (state && !state.photographs) sayEmpty(state, () => library.update());
  else if (state || isSearching() || hasFilters(asking.now.filters)) sayNothingFound(asking);
  byId("bar").hidden = !hits.length && !hasFilters(asking.now.filters);
}

/** Whether the last search was not asked for by the person, but because there are new photographs. */
let unasked = false;

asking.addEventListener("change", (/** @type {any} */ event) => {
  const { now } = asking;
  document.title = [now.text.trim(), "clipwright"].filter(Boolean).join(" · ");
  const before = event.detail;
  if (now.view !== before.view) showView();
  if (now.photo !== null) viewer();
  if (["text", "chips", "filters", "unique"].some((name) => now[name] !== before[name])) {
    unasked = false;
    search();
  }
});

results.addEventListener("begin", () => later(() => byId("grid").classList.add("waits"), SLOW));
results.addEventListener("found", async (/** @type {any} */ event) => {
  clearTimeout(waiting);
  byId("skeletons").hidden = true;
  await grid.show(results.hits, { all: results.all, fresh: event.detail.fresh });
  byId("grid").classList.remove("waits");
  sayFound();
  sayCount();
});
results.addEventListener("failed", (/** @type {any} */ event) => {
  const { error } = event.detail;
  byId("skeletons").hidden = true;
  const tell = () => {
    byId("grid").classList.remove("waits");
    if (results.hits.length) sayAbove(error.message, "wrong");
    else sayFailed(error, search);
    say(error.message);
    if (error instanceof Unreachable) later(search, GONE);
  };
  later(tell, isAboutQuery(error) && asking.typing ? UNFINISHED : 0);
});

grid.addEventListener("end", () => results.more());
grid.addEventListener("leave", () => box.focus());
grid.addEventListener("open", (/** @type {any} */ event) => asking.change({ photo: event.detail.id }));
grid.addEventListener("pick", (/** @type {any} */ event) => {
  const { hit, sign } = event.detail;
  box.add({ sign, kind: "photo", value: String(hit.id) });
});

library.addEventListener("change", (/** @type {any} */ event) => {
  const atTop = scrollY < innerHeight / 2 && asking.now.photo === null;
  if (event.detail.grown && (!results.hits.length || (!isSearching() && atTop))) {
    unasked = results.hits.length > 0;
    search();
  } else if (!results.loading && !results.error) {
    sayFound();
    if (results.hits.length) sayCount();
  }
});

onPictures(byId("veil"), (files) => {
  if (asking.now.view === "classify") classify().then((view) => view.add(files));
  else box.addFiles(files);
});

for (const view of /** @type {const} */ (["search", "classify"])) {
  byId(`to-${view}`).onclick = (/** @type {MouseEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    asking.change({ view, photo: null });
  };
}

box.input.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" && results.hits.length) {
    event.preventDefault();
    grid.focus();
  }
});
addEventListener("keydown", (event) => {
  const within = /** @type {any} */ (event.target);
  const types =
    within.matches("input:not([type=range]), textarea, select") && !(within === box.input && !box.input.value);
  if (event.key !== "/" || event.ctrlKey || event.metaKey || types || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  asking.change({ view: "search" }, "replace");
  box.focus();
});

const SIZE = "clipwright.size";
const size = byId("size");
size.value = localStorage.getItem(SIZE) ?? size.value;
grid.height = Number(size.value);
size.oninput = () => {
  localStorage.setItem(SIZE, size.value);
  grid.resize(Number(size.value));
};

byId("skeletons").replaceChildren(...Array.from({ length: 24 }, () => element("span", { className: "skeleton" })));
showView();
// On a telephone, this would bring up a keyboard over the photographs.
if (matchMedia("(hover: hover)").matches && asking.now.photo === null) box.input.focus();
search();
if (asking.now.photo !== null) viewer();
library.look();
