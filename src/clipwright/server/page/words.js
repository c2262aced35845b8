// How the page says numbers, dates and facts.

const NUMBER = new Intl.NumberFormat("en");
const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeZone: "UTC" });
const MOMENT = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeStyle: "short", timeZone: "UTC" });

export const number = (/** @type {number} */ value) => NUMBER.format(value);

/** "1 photograph", "24 photographs" @param {number} value */
export const count = (value, noun = "photograph") => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

/** The camera's clock knows no time zone: it is shown as it stands. */
const clock = (/** @type {string} */ taken) => new Date(/Z|[+-]\d\d:?\d\d$/.test(taken) ? taken : `${taken}Z`);
export const day = (/** @type {string} */ taken) => DAY.format(clock(taken));
export const moment = (/** @type {string} */ taken) => MOMENT.format(clock(taken));

export const bytes = (/** @type {number} */ value) =>
  value < 1e6 ? `${Math.max(1, Math.round(value / 1e3))} kB` : `${(value / 1e6).toFixed(1)} MB`;

/** "52.520° N, 13.405° E" */
export function place(/** @type {number} */ latitude, /** @type {number} */ longitude, digits = 3) {
  const part = (/** @type {number} */ value, /** @type {string} */ positive, /** @type {string} */ negative) =>
    `${Math.abs(value).toFixed(digits)}° ${value < 0 ? negative : positive}`;
  return `${part(latitude, "N", "S")}, ${part(longitude, "E", "W")}`;
}

export const kilometres = (/** @type {number} */ value) =>
  value < 1 ? `${Math.round(value * 1000)} m` : `${value < 10 ? Number(value.toFixed(1)) : Math.round(value)} km`;

/** What a relevance means: at one half a photograph is as relevant as not. @param {number} value */
export const relevance = (value) =>
  value >= 0.8 ? "very likely" : value >= 0.5 ? "likely" : value >= 0.25 ? "possible" : "unlikely";

/** No share is said to be nothing, or all. @param {number} value */
export const percent = (value) =>
  value < 0.001 ? "< 0.1 %" : value > 0.999 ? "> 99.9 %" : `${(value * 100).toFixed(value < 0.0995 ? 1 : 0)} %`;

/** What stands for a picture where it cannot be seen. @param {{name: string, taken: string | null}} photo */
export const alternative = (photo) => (photo.taken ? `${photo.name}, ${day(photo.taken)}` : photo.name);
