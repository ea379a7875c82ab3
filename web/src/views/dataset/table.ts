/** Numbers of an evaluation as tables show them: sorted, normalised, and within what a screen holds. */

import type { Evaluated } from "../../core/api";

export type ClassRow = Evaluated["classes"][number];
export type Column = keyof ClassRow;
export type Norm = "row" | "column" | "raw";

/** The measures of a class that lie in 0..1. */
export const MEASURES = ["iou", "dice", "precision", "recall", "boundary_f"] as const;

/** Rows with their class indices, by a column; what is undefined comes last, whichever way round. */
export function sorted(rows: readonly ClassRow[], by: Column | "index", down: boolean): [number, ClassRow][] {
  const indexed = rows.map((row, i) => [i, row] as [number, ClassRow]);
  const way = down ? -1 : 1;
  return indexed.sort(([i, a], [j, b]) => {
    if (by === "index") return way * (i - j);
    const [x, y] = [a[by], b[by]];
    if (x === null || y === null) return Number(x === null) - Number(y === null) || i - j;
    if (typeof x === "string" || typeof y === "string") return way * String(x).localeCompare(String(y));
    return way * (x - y) || i - j;
  });
}

/** Shares in 0..1 of a confusion matrix: of the row's truth, of the column's prediction, or of all pixels; null of 0. */
export function normalised(counts: readonly (readonly number[])[], norm: Norm): (number | null)[][] {
  const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
  const rows = counts.map(sum);
  const columns = counts.map((_, j) => sum(counts.map((row) => row[j] ?? 0)));
  const all = sum(rows);
  return counts.map((row, i) =>
    row.map((n, j) => {
      const of = norm === "row" ? (rows[i] as number) : norm === "column" ? (columns[j] as number) : all;
      return of > 0 ? n / of : null;
    }),
  );
}

/** Classes of a matrix that are worth a row: those that occur; of more than `most`, those confused most, in order. */
export function worth(counts: readonly (readonly number[])[], most: number): number[] {
  const size = counts.map((row, i) => {
    let all = 0;
    let wrong = 0;
    for (let j = 0; j < counts.length; j++) {
      const both = (row[j] ?? 0) + (counts[j]?.[i] ?? 0);
      all += both;
      if (j !== i) wrong += both;
    }
    return { i, all, wrong };
  });
  const occurring = size.filter((one) => one.all > 0);
  if (occurring.length <= most) return occurring.map((one) => one.i);
  return occurring
    .sort((a, b) => b.wrong - a.wrong)
    .slice(0, most)
    .map((one) => one.i)
    .sort((a, b) => a - b);
}

/** Where an arrow key leads in a grid of so many rows and columns; null for a key that is not its own. */
export function cellStep(key: string, at: readonly [number, number], rows: number, columns: number): [number, number] | null {
  const [r, c] = at;
  const to: Record<string, [number, number]> = {
    ArrowLeft: [r, c - 1],
    ArrowRight: [r, c + 1],
    ArrowUp: [r - 1, c],
    ArrowDown: [r + 1, c],
    Home: [r, 0],
    End: [r, columns - 1],
    PageUp: [0, c],
    PageDown: [rows - 1, c],
  };
  const next = to[key];
  return next ? [clamp(next[0], rows), clamp(next[1], columns)] : null;
}

const clamp = (i: number, n: number) => Math.min(Math.max(i, 0), n - 1);

/** The greatest confusions off the diagonal, most pixels first. */
export function confusions(counts: readonly (readonly number[])[], n: number): [number, number, number][] {
  return counts
    .flatMap((row, i) => row.map((pixels, j) => [i, j, pixels] as [number, number, number]))
    .filter(([i, j, pixels]) => i !== j && pixels > 0)
    .sort((a, b) => b[2] - a[2])
    .slice(0, n);
}

/** A number of pixels in as few letters as a cell has room for: 950, 1.2k, 34k, 1.2M. */
export function short(n: number): string {
  if (n < 1000) return String(n);
  const [value, unit] = n < 1e6 ? [n / 1e3, "k"] : [n / 1e6, "M"];
  // 9.96 would be written 10.0.
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)}${unit}`;
}
