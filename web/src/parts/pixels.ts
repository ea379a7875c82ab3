/** Numbers to pixels: pictures, labels, differences and maps as RGBA, four bytes a pixel in rows. */

import type { Rgb } from "../core/api";

/** Power of the share with which opacity grows, as in figures. */
const GROWTH = 0.7;

export type Pixels = Uint8ClampedArray<ArrayBuffer>;

/** [H W 3] bytes with full opacity. */
export function fromRgb(rgb: ArrayLike<number>): Pixels {
  const n = rgb.length / 3;
  const out = new Uint8ClampedArray(n * 4);
  for (let i = 0; i < n; i++) {
    out[4 * i] = rgb[3 * i] as number;
    out[4 * i + 1] = rgb[3 * i + 1] as number;
    out[4 * i + 2] = rgb[3 * i + 2] as number;
    out[4 * i + 3] = 255;
  }
  return out;
}

/** Class indices in their classes' colours; what has no class is transparent. */
export function fromLabels(labels: ArrayLike<number>, colours: readonly Rgb[]): Pixels {
  const out = new Uint8ClampedArray(labels.length * 4);
  for (let i = 0; i < labels.length; i++) {
    const colour = colours[labels[i] as number];
    if (!colour) continue;
    out[4 * i] = colour[0];
    out[4 * i + 1] = colour[1];
    out[4 * i + 2] = colour[2];
    out[4 * i + 3] = 255;
  }
  return out;
}

/** b − a of two pictures [H W 3] in 0..1, averaged over red, green and blue: one number a pixel. */
export function difference(a: ArrayLike<number>, b: ArrayLike<number>): Float32Array {
  const out = new Float32Array(a.length / 3);
  for (let i = 0; i < out.length; i++) {
    let sum = 0;
    for (let c = 0; c < 3; c++) sum += (b[3 * i + c] as number) - (a[3 * i + c] as number);
    out[i] = sum / 765;
  }
  return out;
}

/** Where two label images differ: 1 there, 0 elsewhere. */
export function changed(a: ArrayLike<number>, b: ArrayLike<number>): Float32Array {
  const out = new Float32Array(a.length);
  for (let i = 0; i < out.length; i++) out[i] = a[i] === b[i] ? 0 : 1;
  return out;
}

/** The greatest finite |value|; 0 where there is none. */
export function greatest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i] as number);
    if (size > most && size < Infinity) most = size;
  }
  return most;
}

/** Values of −end..end in diverging colours, each as opaque as it is great; what is undefined is transparent. */
export function diverging(values: ArrayLike<number>, end: number, colours: readonly Rgb[]): Pixels {
  return coloured(values, (v) => 0.5 + v / (2 * end || 1), colours, (t) => 255 * Math.sqrt(Math.abs(2 * t - 1)));
}

/** Values of 0..end in sequential colours, each as opaque as it is great: what lies under it is seen where it is 0. */
export function sequential(values: ArrayLike<number>, end: number, colours: readonly Rgb[], opacity = 0.85): Pixels {
  const share = (v: number) => Math.max(0, v) / (end || 1);
  return coloured(values, share, colours, (t) => 255 * opacity * t ** GROWTH);
}

function coloured(
  values: ArrayLike<number>,
  place: (value: number) => number,
  colours: readonly Rgb[],
  alpha: (share: number) => number,
): Pixels {
  const out = new Uint8ClampedArray(values.length * 4);
  const last = colours.length - 1;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (Number.isNaN(value)) continue;
    const t = Math.min(1, Math.max(0, place(value)));
    const colour = colours[Math.round(t * last)];
    if (!colour) continue;
    out[4 * i] = colour[0];
    out[4 * i + 1] = colour[1];
    out[4 * i + 2] = colour[2];
    out[4 * i + 3] = alpha(t);
  }
  return out;
}

/** '#1a2b3c' of a colour, as colour inputs take it. */
export const hex = (colour: Rgb): string => `#${colour.map((c) => c.toString(16).padStart(2, "0")).join("")}`;

/** A colour of '#1a2b3c'. */
export function fromHex(text: string): Rgb {
  const n = Number.parseInt(text.slice(1), 16);
  return [(n >> 16) & 255, (n >> 8) & 255, n & 255];
}
