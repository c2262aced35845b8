// Photographs by month, for those that come newest first.

/** A month with fewer than this is joined with the ones before it. */
const FEWEST = 8;
const MONTH = new Intl.DateTimeFormat("en", { month: "long", timeZone: "UTC" });

/** @typedef {{title: string, start: number, end: number}} Section */

/**
 * "May 2024", "March to May 2024", "November 2023 to May 2024"
 * @param {string} newest
 * @param {string} oldest as YYYY-MM
 */
function titleOf(newest, oldest) {
  if (!newest) return "Without a date";
  const name = (/** @type {string} */ month) => MONTH.format(new Date(`${month}-01T00:00:00Z`));
  const year = (/** @type {string} */ month) => month.slice(0, 4);
  if (newest === oldest) return `${name(newest)} ${year(newest)}`;
  const from = year(newest) === year(oldest) ? name(oldest) : `${name(oldest)} ${year(oldest)}`;
  return `${from} to ${name(newest)} ${year(newest)}`;
}

/**
 * Where each section begins and ends. None where no photograph has a date.
 * @param {{taken: string | null}[]} photos newest first, those without a date last
 * @returns {Section[]}
 */
export function sections(photos) {
  /** @type {{newest: string, oldest: string, start: number, end: number}[]} */
  const found = [];
  photos.forEach(({ taken }, index) => {
    const month = taken?.slice(0, 7) ?? "";
    const last = found.at(-1);
    const joins = last && (month === last.oldest || (month && last.newest && last.end - last.start < FEWEST));
    if (joins) Object.assign(last, { oldest: month, end: index + 1 });
    else found.push({ newest: month, oldest: month, start: index, end: index + 1 });
  });
  if (!found.some(({ newest }) => newest)) return [];
  return found.map(({ newest, oldest, start, end }) => ({ title: titleOf(newest, oldest), start, end }));
}
