// Photographs in rows of one width, each row as high as its photographs make it.

/**
 * @typedef {{index: number, left: number, width: number}} Tile
 * @typedef {{top: number, height: number, tiles: Tile[]}} Row
 */

/** Narrower and wider pictures are cropped to these. */
const NARROWEST = 0.5;
const WIDEST = 3;

/** Width by height as it is shown. @param {{width: number, height: number}} photo */
const shape = ({ width, height }) => Math.min(WIDEST, Math.max(NARROWEST, width / height || 1));

/**
 * The rows that fill this width, near the wished height, to the pixel. A last row that is not full is left out unless
 * all photographs are there, so that nothing that is shown moves when more come.
 * @param {{width: number, height: number}[]} photos
 * @param {{width: number, height: number, gap: number, all: boolean}} wish
 * @returns {Row[]}
 */
export function justified(photos, { width, height, gap, all }) {
  /** @type {Row[]} */
  const rows = [];
  let top = 0;
  const close = (/** @type {number} */ start, /** @type {number} */ end, /** @type {number} */ sum) => {
    const room = width - gap * (end - start - 1);
    const fills = room / sum < height * 1.6;
    const tall = Math.max(1, Math.round(fills ? room / sum : height));
    const scale = fills ? room / sum : height;
    const tiles = [];
    let reached = 0;
    for (let index = start; index < end; index++) {
      const left = Math.round(reached);
      reached += shape(photos[index]) * scale;
      tiles.push({ index, left: left + gap * (index - start), width: Math.max(1, Math.round(reached) - left) });
    }
    rows.push({ top, height: tall, tiles });
    top += tall + gap;
  };

  let start = 0;
  let sum = 0;
  for (let index = 0; index < photos.length; index++) {
    const before = sum;
    sum += shape(photos[index]);
    const count = index - start + 1;
    const now = (width - gap * (count - 1)) / sum;
    if (now > height) continue;
    const shorter = (width - gap * (count - 2)) / before;
    if (count > 1 && shorter - height < height - now) {
      close(start, index, before);
      [start, sum] = [index, shape(photos[index])];
      if (width / sum <= height) {
        close(start, index + 1, sum);
        [start, sum] = [index + 1, 0];
      }
    } else {
      close(start, index + 1, sum);
      [start, sum] = [index + 1, 0];
    }
  }
  if (all && start < photos.length) close(start, photos.length, sum);
  return rows;
}
