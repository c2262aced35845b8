// Labels as bars: how probable each is, said in number and length.

import { element } from "./elements.js";
import { percent } from "./words.js";

/** The answer that none of the labels fits. */
const NONE = "none of these";

/** @param {{label: string, probability: number, similarity: number}[]} labels best first */
export function labelBars(labels) {
  return element(
    "ol",
    { className: "bars" },
    ...labels.map((score, place) => {
      const bar = element("span", { className: "bar" });
      bar.style.width = `${score.probability * 100}%`;
      const kind = [place === 0 && "best", score.label === NONE && "none"].filter(Boolean).join(" ");
      return element(
        "li",
        { className: kind, title: `similarity ${score.similarity.toFixed(3)}` },
        element("span", { className: "label" }, score.label),
        element("span", { className: "share" }, percent(score.probability)),
        element("span", { className: "track", ariaHidden: "true" }, bar),
      );
    }),
  );
}

const KEPT = "clipwright.labels";

/** The labels of the last time. */
export const keptLabels = () => localStorage.getItem(KEPT) ?? "";
export const keepLabels = (/** @type {string} */ text) => localStorage.setItem(KEPT, text);

/** Labels between commas or line ends, each once. @param {string} text */
export const labelsOf = (text) => [
  ...new Set(
    text
      .split(/[,\n]/)
      .map((label) => label.trim())
      .filter(Boolean),
  ),
];
