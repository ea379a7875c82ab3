/** A map as panels draw it: its numbers, what is known of them, and its region. */

import type { Explained, Result } from "../../core/api";
import { arrayOf } from "../../core/client";
import { type Statistics, statisticsOf } from "../../core/paint";

export interface Plane {
  bits: Uint16Array;
  width: number;
  height: number;
  /** value = stored · scale. */
  scale: number;
  found: Statistics;
  region: Uint8Array | null;
  /** One byte a pixel, 1 where it is shown; null where it is shown everywhere. */
  cover: Uint8Array | null;
}

/** Fetches the map of a result, or of a job's preview. Null where the result has none that lies on the picture. */
export async function planeOf(from: { key: string } | { job: string }, result: Result<Explained>): Promise<Plane | null> {
  const { map, region } = result.arrays;
  if (!map || map.dtype !== "float16" || map.shape.length !== 2) return null;
  // Of the two, the one that is there first is looked at while the other is under way.
  const [[bits, found], inside] = await Promise.all([
    arrayOf(from, map).then((read) => [read as Uint16Array, statisticsOf(read as Uint16Array)] as const),
    region ? arrayOf(from, region) : null,
  ]);
  const [height = 0, width = 0] = map.shape;
  return { bits, width, height, scale: map.scale, found, region: inside as Uint8Array | null, cover: null };
}
