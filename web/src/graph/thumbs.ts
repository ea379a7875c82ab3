/** Maps of a layer as small pictures. */

import { channels } from "./palette";

/** Values as pixels: `zero` at 0, towards the other two at the greatest |value|; null where a colour is no #rrggbb. */
export function coloured(
  values: Float32Array,
  negative: string,
  zero: string,
  positive: string,
): Uint8ClampedArray<ArrayBuffer> | null {
  const [low, mid, high] = [channels(negative), channels(zero), channels(positive)];
  if (!low || !mid || !high) return null;
  let greatest = 0;
  for (const v of values) if (Math.abs(v) > greatest && Number.isFinite(v)) greatest = Math.abs(v);
  const pixels = new Uint8ClampedArray(values.length * 4);
  values.forEach((v, i) => {
    const share = greatest && !Number.isNaN(v) ? Math.min(1, Math.abs(v) / greatest) : 0;
    const end = v < 0 ? low : high;
    for (let k = 0; k < 3; k++) {
      pixels[4 * i + k] = (mid[k] as number) * (1 - share) + (end[k] as number) * share;
    }
    pixels[4 * i + 3] = 255;
  });
  return pixels;
}
