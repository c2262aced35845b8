// What is asked for, as a text of clipwright's query language (docs/concepts/query-language.md).

/**
 * A term that stands beside the box: words, a photograph of the index by its id, or an upload by its name.
 * @typedef {{sign: 1 | -1, kind: "words" | "photo" | "upload", value: string}} Chip
 */

/** Words as they stand, whatever is in them. @param {string} text */
export const quoted = (text) => `"${text.replaceAll('"', '""')}"`;

/** @param {Chip} chip */
export const termOf = (chip) => (chip.kind === "words" ? quoted(chip.value) : `${chip.kind}:${chip.value}`);

/** The text without what stands in quotes. @param {string} text */
const bare = (text) => text.replace(/"[^"]*"?|[“„][^“”]*[“”]?/g, "«»");

/** Whether a text has AND, OR, NOT or brackets, to which + and - do not join. @param {string} text */
export const isLogic = (text) => /(^|[\s()])(AND|OR|NOT)(?=[\s()]|$)|[()]/.test(bare(text));

/**
 * The whole query: what stands in the box, joined with the chips. Empty where nothing is asked for.
 *
 * Chips are added and taken away. Where the box holds logic, they become one more condition; where there is nothing
 * that they could be taken from, they are what must not be seen.
 * @param {string} text
 * @param {Chip[]} chips
 */
export function queryText(text, chips) {
  text = text.trim();
  const more = chips.filter((chip) => chip.sign > 0).map(termOf);
  const less = chips.filter((chip) => chip.sign < 0).map(termOf);
  if (!isLogic(text)) {
    const sum = [text, ...more].filter(Boolean).join(" + ");
    return sum ? [sum, ...less].join(" - ") : less.map((term) => `NOT ${term}`).join(" AND ");
  }
  const others = more.length ? [[more.join(" + "), ...less].join(" - ")] : less.map((term) => `NOT ${term}`);
  return others.length ? [`(${text})`, ...others].join(" AND ") : text;
}

/**
 * The terms of what stands in the box as chips, the last one with this sign if it is the only one; null where it is
 * more than a sum of words and photographs.
 * @param {string} text
 * @param {1 | -1} sign
 * @returns {Chip[] | null}
 */
export function chipsOf(text, sign) {
  if (isLogic(text) || !text.trim()) return null;
  const parts = text.trim().match(/(?:"(?:[^"]|"")*"|[^\s"]+|")+|\s+/g) ?? [];
  /** @type {Chip[]} */
  const chips = [];
  let words = [];
  let next = /** @type {1 | -1} */ (1);
  const close = () => {
    const value = words.join(" ");
    if (!value) return false;
    const photo = /^photo:(\d+)$/i.exec(value);
    const literal = /^"((?:[^"]|"")*)"$/.exec(value);
    if (photo) chips.push({ sign: next, kind: "photo", value: photo[1] });
    else if (literal) chips.push({ sign: next, kind: "words", value: literal[1].replaceAll('""', '"') });
    else if (/^[\d.]+:|^"|"$/.test(value)) return false;
    else chips.push({ sign: next, kind: "words", value });
    words = [];
    return true;
  };
  for (const part of parts.filter((part) => part.trim())) {
    if (part !== "+" && part !== "-") words.push(part);
    else if (!close()) return null;
    else next = part === "+" ? 1 : -1;
  }
  if (!close()) return null;
  if (chips.length === 1) chips[0].sign = sign;
  return chips;
}
