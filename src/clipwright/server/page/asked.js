// What the page was asked for: the box, the chips, the filters; written into the address and read from it.

import { queryText } from "./query.js";

/** @typedef {import("./query.js").Chip} Chip */
/**
 * Dates as YYYY-MM-DD, both included. match: "" for all, best first; "relevant"; "outstanding".
 * @typedef {{after: string, before: string, camera: string, match: string,
 *   near: {latitude: number, longitude: number, kilometres: number} | null}} Filters
 */
/**
 * photo: the id of the one that is shown large.
 * @typedef {{view: "search" | "classify", text: string, chips: Chip[], filters: Filters, unique: boolean,
 *   photo: number | null}} Asked
 */

/** @type {Filters} */
export const NO_FILTERS = { after: "", before: "", camera: "", match: "", near: null };

/** @type {Asked} */
export const NOTHING = { view: "search", text: "", chips: [], filters: NO_FILTERS, unique: true, photo: null };

const THRESHOLDS = { relevant: { threshold: 0.5 }, outstanding: { adaptive: true } };

/** The part of the address after "?". Uploads are left out: nobody else has them. @param {Asked} asked */
export function toAddress({ view, text, chips, filters, unique, photo }) {
  const address = new URLSearchParams();
  if (view !== "search") address.set("view", view);
  if (text.trim()) address.set("q", text);
  for (const { sign, kind, value } of chips) {
    if (kind !== "upload")
      address.append(sign > 0 ? "more" : "less", kind === "photo" ? `photo:${value}` : `words:${value}`);
  }
  for (const name of ["after", "before", "camera", "match"]) if (filters[name]) address.set(name, filters[name]);
  if (filters.near)
    address.set("near", [filters.near.latitude, filters.near.longitude, filters.near.kilometres].join());
  if (!unique) address.set("unique", "no");
  if (photo !== null) address.set("photo", String(photo));
  return address.toString();
}

/** @param {string} text @returns {Asked} */
export function fromAddress(text) {
  const address = new URLSearchParams(text);
  /** @type {Chip[]} */
  const chips = [];
  for (const [name, value] of address) {
    const found = /^(photo:(?=\d+$)|words:(?=.*\S))(.*)$/s.exec(value);
    if (!found || (name !== "more" && name !== "less")) continue;
    chips.push({ sign: name === "more" ? 1 : -1, kind: found[1] === "photo:" ? "photo" : "words", value: found[2] });
  }
  const near = (address.get("near") ?? "").split(",").map(Number);
  const match = address.get("match") ?? "";
  const date = (/** @type {string} */ name) => /^\d{4}-\d\d-\d\d$/.exec(address.get(name) ?? "")?.[0] ?? "";
  return {
    view: address.get("view") === "classify" ? "classify" : "search",
    text: address.get("q") ?? "",
    chips,
    filters: {
      after: date("after"),
      before: date("before"),
      camera: address.get("camera") ?? "",
      match: match in THRESHOLDS ? match : "",
      near:
        near.length === 3 && near.every(Number.isFinite)
          ? { latitude: near[0], longitude: near[1], kilometres: near[2] }
          : null,
    },
    unique: address.get("unique") !== "no",
    photo: /^\d+$/.test(address.get("photo") ?? "") ? Number(address.get("photo")) : null,
  };
}

/** The day after a date: the server's "before" leaves its own day out. @param {string} date */
function dayAfter(date) {
  const day = new Date(`${date}T00:00:00Z`);
  day.setUTCDate(day.getUTCDate() + 1);
  return day.toISOString().slice(0, 10);
}

/** The body of POST /v1/search. @param {Asked} asked @param {number} limit @param {number} offset */
export function searchBody({ text, chips, filters, unique }, limit, offset) {
  const query = queryText(text, chips);
  const { after, before, camera, match, near } = filters;
  return {
    ...(query && { query, ...THRESHOLDS[match] }),
    limit,
    offset,
    unique,
    filters: {
      ...(after && { after }),
      ...(before && { before: dayAfter(before) }),
      ...(camera && { camera }),
      ...(near && { near }),
    },
  };
}

/** Whether anything narrows what is shown. @param {Filters} filters */
export const hasFilters = (filters) => Object.keys(NO_FILTERS).some((name) => filters[name]);
