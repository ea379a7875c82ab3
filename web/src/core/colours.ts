/** From values to colours: 65,536 of them, one for each bit pattern of float16, so that painting is one look-up. */

import type { Rgb } from "./api";
import { VALUES } from "./float16";

export type ColourMap = "auto" | "sequential" | "diverging" | "grey";
export type Sign = "both" | "positive" | "negative" | "absolute";

/** How maps are shown. Percentiles are of |value| over what is neither 0 nor undefined. */
export interface Look {
  colours: ColourMap;
  sign: Sign;
  /** Percentile below which nothing is drawn. */
  from: number;
  /** Percentile at which the colours end. */
  to: number;
  /** Whether small values let the picture through. */
  growing: boolean;
  opacity: number;
}

export const USUAL: Look = { colours: "auto", sign: "both", from: 0, to: 100, growing: true, opacity: 0.9 };

export interface Tables {
  sequential: Rgb[];
  diverging: Rgb[];
}

/** Power of |value| with which opacity grows, as in figures: half the greatest value is well seen. */
const GROWTH = 0.7;

/** Red, green, blue, alpha as ImageData holds them, in one number of the machine's order (little-endian everywhere). */
export function packed([r, g, b]: Rgb, alpha = 255): number {
  return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** Colours from the lowest value to the highest, and what those are in shares of the limit. */
export interface Ramp {
  colours: Rgb[];
  low: -1 | 0;
  high: 0 | 1;
}

/** `signed`: whether the map has negative values. */
export function rampOf(look: Pick<Look, "colours" | "sign">, tables: Tables, signed: boolean): Ramp {
  const both = look.sign === "both" && signed;
  const kind = look.colours === "auto" ? (both || look.sign === "negative" ? "diverging" : "sequential") : look.colours;
  const low = both || look.sign === "negative" ? -1 : 0;
  const high = look.sign === "negative" ? 0 : 1;
  if (kind === "diverging") {
    const half = tables.diverging.length / 2;
    const colours = both
      ? tables.diverging
      : look.sign === "negative"
        ? tables.diverging.slice(0, half)
        : tables.diverging.slice(half);
    return { colours, low, high };
  }
  const table = kind === "grey" ? grey() : tables.sequential;
  // A map of one hue tells greater from smaller only; where both signs are shown it runs from lowest to highest.
  return { colours: look.sign === "negative" ? [...table].reverse() : table, low, high };
}

function grey(): Rgb[] {
  return Array.from({ length: 256 }, (_, i): Rgb => [i, i, i]);
}

/** Colour of each bit pattern. limit, from: of stored |value|: where colours end, and below what nothing is drawn. */
export function lookUp(ramp: Ramp, look: Pick<Look, "sign" | "growing">, limit: number, from: number): Uint32Array {
  const made = new Uint32Array(65536);
  const { low, high, colours } = ramp;
  // What is watched for changes is slow to read.
  const { sign, growing } = look;
  const span = high - low;
  const last = colours.length - 1;
  const solid = Uint32Array.from(colours, (c) => packed(c, 0));
  const alphas = new Uint32Array(256);
  for (let i = 0; i < 256; i++) alphas[i] = ((growing ? Math.round(255 * (i / 255) ** GROWTH) : 255) << 24) >>> 0;
  if (!(limit > 0)) return made;
  for (let bits = 0; bits < 65536; bits++) {
    const value = VALUES[bits] as number;
    if (value !== value) continue;
    const size = value < 0 ? -value : value;
    if (size < from) continue;
    let t = size / limit;
    if (t > 1) t = 1;
    if (sign === "both") {
      if (value < 0 && low === 0) continue;
    } else if (sign === "positive") {
      if (value <= 0) continue;
    } else if (sign === "negative") {
      if (value >= 0) continue;
    }
    const signed = sign === "absolute" || value > 0 ? t : -t;
    const at = Math.round(((signed - low) / span) * last);
    made[bits] = ((solid[at] as number) | (alphas[Math.round(t * 255)] as number)) >>> 0;
  }
  return made;
}

/** CSS gradient of a ramp, left to right. */
export function gradient(ramp: Ramp): string {
  const n = 17;
  const stops = Array.from({ length: n }, (_, i) => css(ramp.colours[Math.round((i / (n - 1)) * (ramp.colours.length - 1))] as Rgb));
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

export const css = ([r, g, b]: Rgb): string => `rgb(${r} ${g} ${b})`;

/** Colours of labels by index. Others than `only` are paler; labels beyond the table are drawn in grey. */
export function palette(colours: readonly Rgb[], only: number | null = null, size = 256): Uint32Array {
  const made = new Uint32Array(size).fill(packed([150, 150, 150]));
  for (let i = 0; i < Math.min(colours.length, size); i++) {
    made[i] = packed(colours[i] as Rgb, only === null || only === i ? 255 : 50);
  }
  return made;
}
