/** Which images are shown, in which order, and where in the grid: apart from drawing them. */

import type { ImageInfo } from "./api";
import { stem } from "./words";

export type Order = "name" | "error" | "accuracy" | "size";

export interface Scores {
  mean_iou: number | null;
  pixel_accuracy: number | null;
}

export interface Wish {
  text: string;
  truthOnly: boolean;
  order: Order;
  reversed: boolean;
}

const names = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Images that a wish lets through, in its order. Images without a score come last, whichever way round. */
export function arranged(
  images: readonly ImageInfo[],
  wish: Wish,
  scores: (image: ImageInfo) => Scores | undefined,
): ImageInfo[] {
  const words = wish.text.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = images.filter(
    (image) => (!wish.truthOnly || image.truth) && words.every((word) => image.name.toLowerCase().includes(word)),
  );
  const measure: Record<Exclude<Order, "name">, (image: ImageInfo) => number | null | undefined> = {
    error: (image) => scores(image)?.mean_iou,
    accuracy: (image) => scores(image)?.pixel_accuracy,
    size: (image) => image.width * image.height,
  };
  const way = wish.reversed ? -1 : 1;
  const byName = (a: ImageInfo, b: ImageInfo) => names.compare(a.name, b.name);
  if (wish.order === "name") return kept.sort((a, b) => way * byName(a, b));
  const of = measure[wish.order];
  return kept.sort((a, b) => {
    const [x, y] = [of(a), of(b)];
    const [lacksX, lacksY] = [x === null || x === undefined, y === null || y === undefined];
    if (lacksX || lacksY) return Number(lacksX) - Number(lacksY) || byName(a, b);
    return way * ((x as number) - (y as number)) || byName(a, b);
  });
}

export interface Grid {
  columns: number;
  /** Of a tile with the gap beside it, in pixels. */
  tile: number;
  row: number;
  rows: number;
}

/** Tiles of at least `wanted` pixels in a width, stretched to fill it. `shape`: width over height of a thumbnail. */
export function grid(n: number, width: number, wanted: number, shape: number, caption: number): Grid {
  const columns = Math.max(1, Math.floor(width / wanted));
  const tile = width / columns;
  return { columns, tile, row: Math.round(tile / shape) + caption, rows: Math.ceil(n / columns) };
}

/** First and one-past-last index of the tiles to draw, one row more on either side. */
export function visible(layout: Grid, n: number, top: number, height: number): [number, number] {
  const first = Math.max(0, Math.floor(top / layout.row) - 1);
  const last = Math.ceil((top + height) / layout.row) + 1;
  return [Math.min(n, first * layout.columns), Math.min(n, last * layout.columns)];
}

/** Where a key leads from an index of n in so many columns; null for a key that is not the grid's. */
export function step(key: string, at: number, n: number, columns: number, page: number): number | null {
  const by: Record<string, number> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -columns,
    ArrowDown: columns,
    PageUp: -columns * page,
    PageDown: columns * page,
  };
  if (n === 0) return null;
  if (key === "Home") return 0;
  if (key === "End") return n - 1;
  const move = by[key];
  if (move === undefined) return null;
  const to = at + move;
  // A step off the first or last row stays, as in lists of files; a page stops at the ends.
  if (to < 0 || to >= n) return key.startsWith("Page") || Math.abs(move) === 1 ? Math.min(n - 1, Math.max(0, to)) : at;
  return to;
}

/** Files of truth and the images with their stems; files without one, or with several, are given back as lost. */
export function paired<File extends { name: string }>(
  files: readonly File[],
  images: readonly ImageInfo[],
): { pairs: [ImageInfo, File][]; lost: File[] } {
  const byStem = new Map<string, ImageInfo[]>();
  for (const image of images) byStem.set(stem(image.name), [...(byStem.get(stem(image.name)) ?? []), image]);
  const pairs: [ImageInfo, File][] = [];
  const lost: File[] = [];
  for (const file of files) {
    const found = byStem.get(stem(file.name)) ?? [];
    if (found.length === 1) pairs.push([found[0] as ImageInfo, file]);
    else lost.push(file);
  }
  return { pairs, lost };
}
