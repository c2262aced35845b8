// The panel of filters: when, with which camera, where, and how well a photograph must match.

import { ask } from "./api.js";
import { NO_FILTERS } from "./asked.js";
import { byId, element, icon } from "./elements.js";
import { count, kilometres, number, place } from "./words.js";

/** @typedef {import("./asked.js").Filters} Filters */

/** The distance slider goes in equal steps of the exponent, from 100 m to 1,000 km. */
const distance = (/** @type {number} */ step) => Number((10 ** step).toPrecision(2));
const PLACES = 12;

export class FilterPanel {
  /** @param {import("./asking.js").Asking} asking */
  constructor(asking) {
    this.asking = asking;
    this.form = /** @type {HTMLFormElement} */ (byId("filter-form"));
    this.fields = /** @type {any} */ (this.form.elements);
    this.places = byId("places");
    this.years = byId("years");
    /** @type {{cameras: any[], years: any[], places: any[]}} */
    this.facets = { cameras: [], years: [], places: [] };
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.read());
    byId("clear-filters").onclick = () => asking.change({ filters: NO_FILTERS, unique: true });
    asking.addEventListener("change", () => this.draw());
    byId("filters").addEventListener(
      "beforetoggle",
      (/** @type {any} */ event) => event.newState === "open" && this.load(),
    );
    this.draw();
  }

  /** What there is to choose from. */
  async load() {
    this.facets = await ask("GET", "/v1/index/facets").catch(() => this.facets);
    const { cameras, years, places } = this.facets;
    const chosen = this.asking.now.filters.camera;
    const names = cameras.map((camera) => camera.name);
    if (chosen && !names.includes(chosen)) names.unshift(chosen);
    this.fields.camera.replaceChildren(
      element("option", { value: "" }, "Any camera"),
      ...names.map((name) => {
        const known = cameras.find((camera) => camera.name === name);
        return element("option", { value: name }, known ? `${name} (${number(known.photographs)})` : name);
      }),
    );
    byId("camera-part").hidden = !names.length;
    const most = Math.max(...years.map((year) => year.photographs));
    this.years.replaceChildren(...[...years].sort((a, b) => a.year - b.year).map((year) => this.year(year, most)));
    this.places.replaceChildren(...places.slice(0, PLACES).map((found) => this.place(found)));
    this.draw();
  }

  /** @param {{year: number, photographs: number}} year @param {number} most */
  year({ year, photographs }, most) {
    const bar = element("span", { className: "bar" });
    bar.style.height = `${Math.max(6, (100 * photographs) / most)}%`;
    const chosen = () => this.change({ after: `${year}-01-01`, before: `${year}-12-31` });
    const label = `${year}: ${count(photographs)}`;
    const button = element(
      "button",
      { type: "button", title: label, ariaLabel: label, onclick: chosen },
      element("span", { className: "column" }, bar),
      `${year}`,
    );
    button.dataset.year = String(year);
    return element("li", {}, button);
  }

  /** @param {{latitude: number, longitude: number, kilometres: number, photographs: number, photo: number}} found */
  place({ latitude, longitude, kilometres: wide, photographs, photo }) {
    const at = { latitude: Number(latitude.toFixed(4)), longitude: Number(longitude.toFixed(4)) };
    const said = place(latitude, longitude, 1);
    const button = element(
      "button",
      {
        type: "button",
        className: "place",
        onclick: () => this.change({ near: { ...at, kilometres: Math.max(1, Math.ceil(wide)) } }),
      },
      element("img", { src: `/v1/photos/${photo}/thumbnail`, alt: "", loading: "lazy" }),
      element("span", {}, said),
      element("small", {}, count(photographs)),
    );
    button.dataset.at = `${at.latitude},${at.longitude}`;
    return element("li", {}, button);
  }

  /** @param {Partial<Filters>} changes */
  change(changes) {
    this.asking.change({ filters: { ...this.asking.now.filters, ...changes } });
  }

  /** What the form says becomes what is asked. */
  read() {
    const { after, before, camera, match, latitude, longitude, wide, fold } = this.fields;
    const given =
      latitude.value !== "" && longitude.value !== "" && latitude.validity.valid && longitude.validity.valid;
    const near = given
      ? {
          latitude: Number(latitude.value),
          longitude: Number(longitude.value),
          kilometres: distance(Number(wide.value)),
        }
      : null;
    this.asking.change(
      {
        filters: { after: after.value, before: before.value, camera: camera.value, match: match.value, near },
        unique: fold.checked,
      },
      "type",
    );
    this.sayDistance();
  }

  sayDistance() {
    byId("distance").textContent = kilometres(distance(Number(this.fields.wide.value)));
  }

  /** What is asked becomes what the form says, but for the field that somebody is in. */
  draw() {
    const { filters, unique } = this.asking.now;
    const { near } = filters;
    const values = {
      after: filters.after,
      before: filters.before,
      camera: filters.camera,
      latitude: near?.latitude ?? "",
      longitude: near?.longitude ?? "",
      ...(near && { wide: Math.log10(near.kilometres) }),
    };
    for (const [name, value] of Object.entries(values)) {
      if (this.fields[name] !== document.activeElement) this.fields[name].value = value;
    }
    this.fields.match.value = filters.match;
    this.fields.fold.checked = unique;
    this.sayDistance();
    for (const button of this.places.querySelectorAll("button")) {
      button.ariaPressed = String(!!near && button.dataset.at === `${near.latitude},${near.longitude}`);
    }
    for (const button of this.years.querySelectorAll("button")) {
      const year = Number(button.dataset.year);
      const inside =
        (filters.after || filters.before) &&
        (!filters.after || year >= Number(filters.after.slice(0, 4))) &&
        (!filters.before || year <= Number(filters.before.slice(0, 4)));
      button.ariaPressed = String(!!inside);
    }
    this.drawActive();
  }

  /** The filters that are on, each to be taken off. */
  drawActive() {
    const { filters, unique } = this.asking.now;
    const { after, before, camera, match, near } = filters;
    const around = near && `within ${kilometres(near.kilometres)} of ${place(near.latitude, near.longitude, 2)}`;
    const on = [
      { said: after && `from ${after}`, off: { after: "" } },
      { said: before && `to ${before}`, off: { before: "" } },
      { said: camera, off: { camera: "" } },
      { said: around, off: { near: null } },
      { said: match && (match === "relevant" ? "relevant only" : "what stands out"), off: { match: "" } },
    ].filter(({ said }) => said);
    const chips = on.map(({ said, off }) => activeChip(said, () => this.change(off)));
    if (!unique) chips.push(activeChip("every single shot", () => this.asking.change({ unique: true })));
    byId("active").replaceChildren(...chips);
    byId("active").hidden = !chips.length;
    byId("filter-count").textContent = on.length ? String(on.length) : "";
  }
}

/** @param {string} said @param {() => void} off */
function activeChip(said, off) {
  const button = element(
    "button",
    { type: "button", ariaLabel: `Remove the filter ${said}`, onclick: off },
    said,
    icon("close"),
  );
  return element("li", {}, button);
}
