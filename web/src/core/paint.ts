/** Planes of numbers to pixels, and what is known of their values. Nothing here knows a canvas but by its pixels. */

import { VALUES } from "./float16";

/** What stands in a map, worked out once. Values are as stored: times `scale` they are in the map's unit. */
export interface Statistics {
  /** How often each bit pattern occurs. */
  counts: Uint32Array;
  minimum: number;
  maximum: number;
  /** Greatest finite |value|; 0 where all are zero or undefined. */
  greatest: number;
  undefined: number;
  /** Values that are neither 0 nor undefined. */
  some: number;
}

/** `cover`: one byte a pixel, 1 where it counts; by default all do. */
export function statisticsOf(bits: Uint16Array, cover: Uint8Array | null = null): Statistics {
  const counts = new Uint32Array(65536);
  if (cover) for (let i = 0; i < bits.length; i++) counts[bits[i] as number]! += cover[i] as number;
  else for (let i = 0; i < bits.length; i++) counts[bits[i] as number]!++;
  let minimum = Infinity;
  let maximum = -Infinity;
  let missing = 0;
  let some = 0;
  for (let b = 0; b < 65536; b++) {
    const n = counts[b] as number;
    if (!n) continue;
    const value = VALUES[b] as number;
    if (!Number.isFinite(value)) {
      missing += n;
      continue;
    }
    if (value !== 0) some += n;
    if (value < minimum) minimum = value;
    if (value > maximum) maximum = value;
  }
  if (minimum > maximum) minimum = maximum = 0;
  return { counts, minimum, maximum, greatest: Math.max(-minimum, maximum, 0), undefined: missing, some };
}

const LARGEST = 0x7bff;
const NEGATIVE = 0x8000;

/** The percentile (0..100) of |value| over what is neither 0 nor undefined: the value itself, no mean of two. */
export function percentile(found: Statistics, p: number): number {
  if (p <= 0 || !found.some) return 0;
  const wanted = Math.max(1, Math.ceil((found.some * Math.min(p, 100)) / 100));
  let seen = 0;
  // Positive bit patterns rise with their value.
  for (let b = 1; b <= LARGEST; b++) {
    seen += (found.counts[b] as number) + (found.counts[b | NEGATIVE] as number);
    if (seen >= wanted) return VALUES[b] as number;
  }
  return found.greatest;
}

/** The percentile at which a |value| lies: the inverse of `percentile`. */
export function rankOf(found: Statistics, value: number): number {
  if (!found.some) return 0;
  let seen = 0;
  for (let b = 1; b <= LARGEST && (VALUES[b] as number) <= value; b++) {
    seen += (found.counts[b] as number) + (found.counts[b | NEGATIVE] as number);
  }
  return (100 * seen) / found.some;
}

/** How many values that are not 0 lie in each of `bins` equal steps of |value| from 0 to the greatest. */
export function histogram(found: Statistics, bins: number): Float64Array {
  const made = new Float64Array(bins);
  if (!(found.greatest > 0)) return made;
  for (let b = 1; b <= LARGEST; b++) {
    const n = (found.counts[b] as number) + (found.counts[b | NEGATIVE] as number);
    if (n) made[Math.min(bins - 1, Math.floor(((VALUES[b] as number) / found.greatest) * bins))]! += n;
  }
  return made;
}

/** Colours of a map, by a table of all bit patterns. */
export function paintMap(bits: Uint16Array, table: Uint32Array, out: Uint32Array): void {
  for (let i = 0; i < bits.length; i++) out[i] = table[bits[i] as number] as number;
}

const HATCH = [0xff767676, 0xffb0b0b0] as const;

/** Nothing where a cover is 0. */
export function clearOutside(cover: Uint8Array, out: Uint32Array): void {
  for (let i = 0; i < cover.length; i++) if (!cover[i]) out[i] = 0;
}

/** Stripes in grey over what is undefined. */
export function hatchUndefined(bits: Uint16Array, width: number, height: number, out: Uint32Array): void {
  const band = Math.max(2, Math.round(Math.min(width, height) / 60));
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      // The exponent of infinities and NaN is all ones.
      if (((bits[i] as number) & 0x7c00) === 0x7c00) out[i] = HATCH[Math.floor((x + y) / band) % 2 === 0 ? 0 : 1];
    }
  }
}

/** Colours of labels; what is beyond the table is left out. */
export function paintLabels(labels: Uint8Array | Uint16Array, table: Uint32Array, out: Uint32Array): void {
  for (let i = 0; i < labels.length; i++) out[i] = table[labels[i] as number] ?? 0;
}

/** One colour where a mask is set, within a rectangle; nothing elsewhere. */
export function paintMask(
  mask: Uint8Array,
  width: number,
  colour: number,
  out: Uint32Array,
  rect: { x: number; y: number; width: number; height: number },
): void {
  for (let y = rect.y; y < rect.y + rect.height; y++) {
    for (let x = rect.x, i = y * width + rect.x; x < rect.x + rect.width; x++, i++) out[i] = mask[i] ? colour : 0;
  }
}

/** Red, green and blue bytes [H W 3] as pixels. */
export function paintPicture(rgb: Uint8Array, out: Uint32Array): void {
  for (let i = 0, j = 0; i < out.length; i++, j += 3) {
    out[i] = ((255 << 24) | ((rgb[j + 2] as number) << 16) | ((rgb[j + 1] as number) << 8) | (rgb[j] as number)) >>> 0;
  }
}

/** A picture without its colours, by luma (Rec. 709), in place. */
export function toGrey(pixels: Uint8ClampedArray): void {
  for (let i = 0; i < pixels.length; i += 4) {
    const luma = 0.2126 * (pixels[i] as number) + 0.7152 * (pixels[i + 1] as number) + 0.0722 * (pixels[i + 2] as number);
    pixels[i] = pixels[i + 1] = pixels[i + 2] = luma;
  }
}

/** Share of Σ max(map, 0) that lies on each label, the most first; outside `without` where it is given. */
export function sharesByLabel(
  bits: Uint16Array,
  labels: Uint8Array | Uint16Array,
  without: Uint8Array | null,
): { label: number; share: number }[] {
  const weights = VALUES.map((v) => (Number.isFinite(v) ? Math.max(v, 0) : 0));
  const sums = new Float64Array(256 ** labels.BYTES_PER_ELEMENT);
  for (let i = 0; i < bits.length; i++) {
    if (!without?.[i]) sums[labels[i] as number]! += weights[bits[i] as number] as number;
  }
  const total = sums.reduce((a, b) => a + b, 0);
  const found = [...sums.entries()].filter(([, sum]) => sum > 0).map(([label, sum]) => ({ label, share: sum / total }));
  return found.sort((a, b) => b.share - a.share);
}
