/** Masks that a person draws: one byte a pixel of the image, changed in place, with the rectangle that changed. */

import type { Point, Size } from "./zoom";

export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

const NOTHING: Rect = { x: 0, y: 0, width: 0, height: 0 };

export const all = ({ width, height }: Size): Rect => ({ x: 0, y: 0, width, height });

function clipped(left: number, top: number, right: number, bottom: number, { width, height }: Size): Rect {
  const x = Math.max(0, Math.floor(left));
  const y = Math.max(0, Math.floor(top));
  const made = { x, y, width: Math.min(width, Math.ceil(right)) - x, height: Math.min(height, Math.ceil(bottom)) - y };
  return made.width > 0 && made.height > 0 ? made : NOTHING;
}

/** A round brush drawn from one place to another; pixels whose centre it covers, and the one it begins in. */
export function stroke(mask: Uint8Array, size: Size, from: Point, to: Point, radius: number, value: 0 | 1): Rect {
  const rect = clipped(
    Math.min(from.x, to.x) - radius - 1,
    Math.min(from.y, to.y) - radius - 1,
    Math.max(from.x, to.x) + radius + 1,
    Math.max(from.y, to.y) + radius + 1,
    size,
  );
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length = dx * dx + dy * dy;
  const reach = radius * radius;
  for (let y = rect.y; y < rect.y + rect.height; y++) {
    for (let x = rect.x; x < rect.x + rect.width; x++) {
      const px = x + 0.5 - from.x;
      const py = y + 0.5 - from.y;
      const t = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
      const ox = px - t * dx;
      const oy = py - t * dy;
      if (ox * ox + oy * oy <= reach) mask[y * size.width + x] = value;
    }
  }
  const x = Math.floor(to.x);
  const y = Math.floor(to.y);
  if (x >= 0 && y >= 0 && x < size.width && y < size.height) mask[y * size.width + x] = value;
  return rect;
}

/** The pixels whose centres lie in a polygon, by the even-odd rule. */
export function fillPolygon(mask: Uint8Array, size: Size, points: readonly Point[], value: 0 | 1): Rect {
  if (points.length < 3) return NOTHING;
  const xs = points.map((p) => p.x);
  const ys = points.map((p) => p.y);
  const rect = clipped(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys), size);
  for (let y = rect.y; y < rect.y + rect.height; y++) {
    const at = y + 0.5;
    const crossings: number[] = [];
    for (let i = 0; i < points.length; i++) {
      const a = points[i] as Point;
      const b = points[(i + 1) % points.length] as Point;
      if (a.y > at !== b.y > at) crossings.push(a.x + ((at - a.y) * (b.x - a.x)) / (b.y - a.y));
    }
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      // A pixel is inside where its centre lies left of the second crossing, and not left of the first.
      const start = Math.max(0, Math.ceil((crossings[i] as number) - 0.5));
      const stop = Math.min(size.width, Math.ceil((crossings[i + 1] as number) - 0.5));
      if (stop > start) mask.fill(value, y * size.width + start, y * size.width + stop);
    }
  }
  return rect;
}

/** Rows top ≤ y < bottom, columns left ≤ x < right. */
export function fillBox(mask: Uint8Array, size: Size, [top, left, bottom, right]: Box, value: 0 | 1): Rect {
  const rect = clipped(left, top, right, bottom, size);
  for (let y = rect.y; y < rect.y + rect.height; y++) {
    mask.fill(value, y * size.width + rect.x, y * size.width + rect.x + rect.width);
  }
  return rect;
}

/** top, left, bottom, right; the last two are just outside. */
export type Box = [number, number, number, number];

/** The box that two places span, at least a pixel, inside the image. */
export function boxBetween(a: Point, b: Point, size: Size): Box {
  const at = (v: number, most: number) => Math.min(Math.max(Math.floor(v), 0), most - 1);
  return [
    at(Math.min(a.y, b.y), size.height),
    at(Math.min(a.x, b.x), size.width),
    at(Math.max(a.y, b.y), size.height) + 1,
    at(Math.max(a.x, b.x), size.width) + 1,
  ];
}

export function pixelsIn(mask: Uint8Array): number {
  let n = 0;
  for (let i = 0; i < mask.length; i++) n += mask[i] ? 1 : 0;
  return n;
}

/** Whether two masks are the same, byte by byte; four are looked at together where they lie so. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  const words = a.byteOffset % 4 || b.byteOffset % 4 ? 0 : a.length >> 2;
  const [left, right] = [new Uint32Array(a.buffer, words ? a.byteOffset : 0, words), new Uint32Array(b.buffer, words ? b.byteOffset : 0, words)];
  for (let i = 0; i < words; i++) if (left[i] !== right[i]) return false;
  for (let i = words * 4; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Lengths of runs of equal bytes, beginning with unset ones: what undo keeps. */
export function toRuns(mask: Uint8Array): Uint32Array {
  const runs: number[] = [];
  let value = 0;
  let length = 0;
  for (let i = 0; i < mask.length; i++) {
    const now = mask[i] ? 1 : 0;
    if (now !== value) {
      runs.push(length);
      length = 0;
      value = now;
    }
    length++;
  }
  runs.push(length);
  return Uint32Array.from(runs);
}

export function fromRuns(runs: Uint32Array, mask: Uint8Array): void {
  let at = 0;
  for (let i = 0; i < runs.length; i++) {
    const length = runs[i] as number;
    mask.fill(i % 2 === 0 ? 0 : 1, at, at + length);
    at += length;
  }
}

/** States of a mask, to step back and forth. */
export class History {
  #states: Uint32Array[] = [];
  #at = -1;
  readonly #most: number;

  constructor(most = 64) {
    this.#most = most;
  }

  get canUndo(): boolean {
    return this.#at > 0;
  }

  get canRedo(): boolean {
    return this.#at + 1 < this.#states.length;
  }

  /** What was undone before is forgotten. */
  keep(mask: Uint8Array): void {
    this.#states = [...this.#states.slice(0, this.#at + 1), toRuns(mask)].slice(-this.#most);
    this.#at = this.#states.length - 1;
  }

  undo(mask: Uint8Array): boolean {
    if (!this.canUndo) return false;
    fromRuns(this.#states[--this.#at] as Uint32Array, mask);
    return true;
  }

  redo(mask: Uint8Array): boolean {
    if (!this.canRedo) return false;
    fromRuns(this.#states[++this.#at] as Uint32Array, mask);
    return true;
  }
}

/** Connected pieces of equal labels (sides and corners), numbered from 0 in reading order. */
export interface Pieces {
  ids: Int32Array;
  labels: number[];
  pixels: number[];
  /** x, y of each piece's first pixel in reading order. */
  first: Point[];
  boxes: Rect[];
}

/** Runs of equal labels, row by row: joining those that touch costs far less than joining pixels. */
interface Runs {
  start: number[];
  /** Just outside. */
  stop: number[];
  row: number[];
  label: number[];
}

export function piecesOf(labels: Uint8Array | Uint16Array, { width, height }: Size): Pieces {
  const runs: Runs = { start: [], stop: [], row: [], label: [] };
  const parents: number[] = [];
  const root = (i: number): number => {
    let r = i;
    while (parents[r] !== r) r = parents[r] as number;
    while (parents[i] !== r) {
      const next = parents[i] as number;
      parents[i] = r;
      i = next;
    }
    return r;
  };
  let above = 0;
  for (let y = 0; y < height; y++) {
    const first = runs.start.length;
    let over = above;
    for (let x = 0; x < width; ) {
      const label = labels[y * width + x] as number;
      const start = x;
      while (x < width && labels[y * width + x] === label) x++;
      const id = parents.push(parents.length) - 1;
      runs.start.push(start);
      runs.stop.push(x);
      runs.row.push(y);
      runs.label.push(label);
      // Runs of the row above that touch this one along a side or a corner.
      while (over < first && (runs.stop[over] as number) < start) over++;
      for (let o = over; o < first && (runs.start[o] as number) <= x; o++) {
        if (runs.label[o] !== label) continue;
        const one = root(o);
        const other = root(id);
        if (one < other) parents[other] = one;
        else parents[one] = other;
      }
    }
    above = first;
  }
  return numbered(runs, parents.map((_, i) => root(i)), { width, height });
}

function numbered({ start, stop, row, label }: Runs, roots: number[], { width, height }: Size): Pieces {
  const numbers = new Int32Array(roots.length).fill(-1);
  const made: Pieces = { ids: new Int32Array(width * height), labels: [], pixels: [], first: [], boxes: [] };
  for (let i = 0; i < roots.length; i++) {
    const x = start[i] as number;
    const end = stop[i] as number;
    const y = row[i] as number;
    let n = numbers[roots[i] as number] as number;
    if (n < 0) {
      n = numbers[roots[i] as number] = made.labels.length;
      made.labels.push(label[i] as number);
      made.pixels.push(0);
      made.first.push({ x, y });
      made.boxes.push({ x, y, width: 0, height: 0 });
    }
    made.ids.fill(n, y * width + x, y * width + end);
    made.pixels[n]! += end - x;
    const box = made.boxes[n] as Rect;
    const right = Math.max(box.x + box.width, end);
    box.x = Math.min(box.x, x);
    box.width = right - box.x;
    box.height = y - box.y + 1;
  }
  return made;
}

/** Edges x0, y0, x1, y1 around the pixels in `rect` that have the value; straight runs are one edge. */
export function edgesOf(plane: Uint8Array | Int32Array, value: number, { width }: Size, rect: Rect): Float32Array {
  const across: number[] = [];
  const down: number[] = [];
  // Each column remembers where its edge began.
  const begun = new Int32Array(rect.width + 1);
  let above: number[] = [];
  for (let y = rect.y; y <= rect.y + rect.height; y++) {
    const ends = y < rect.y + rect.height ? turnsOf(plane, value, y * width + rect.x, rect.width) : [];
    // Where one of two rows turns and the other does not, they begin or cease to differ.
    let start = -1;
    merge(above, ends, (x, up, low) => {
      if (low && !up) begun[x] = y;
      if (up && !low) down.push(rect.x + x, begun[x] as number, rect.x + x, y);
      if (up && low) return;
      if (start < 0) start = x;
      else {
        across.push(rect.x + start, y, rect.x + x, y);
        start = -1;
      }
    });
    above = ends;
  }
  return Float32Array.from([...across, ...down]);
}

/** Columns of a row at which it gets the value or loses it, in turn; what is beyond the row does not have it. */
function turnsOf(plane: Uint8Array | Int32Array, value: number, from: number, length: number): number[] {
  const turns: number[] = [];
  let inside = false;
  for (let x = 0; x < length; x++) {
    if ((plane[from + x] === value) !== inside) {
      inside = !inside;
      turns.push(x);
    }
  }
  if (inside) turns.push(length);
  return turns;
}

/** Numbers of two rising lists, in order, each once with whether it stands in the one and in the other. */
function merge(a: readonly number[], b: readonly number[], visit: (x: number, inA: boolean, inB: boolean) => void): void {
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const left = a[i] ?? Infinity;
    const right = b[j] ?? Infinity;
    visit(Math.min(left, right), left <= right, right <= left);
    if (left <= right) i++;
    if (right <= left) j++;
  }
}

/** Edges between pixels of different labels. */
export function bordersOf(labels: Uint8Array | Uint16Array, { width, height }: Size): Float32Array {
  const edges: number[] = [];
  for (let y = 1; y < height; y++) {
    let start = -1;
    for (let x = 0; x <= width; x++) {
      const edge = x < width && labels[y * width + x] !== labels[(y - 1) * width + x];
      if (edge && start < 0) start = x;
      if (!edge && start >= 0) {
        edges.push(start, y, x, y);
        start = -1;
      }
    }
  }
  for (let x = 1; x < width; x++) {
    let start = -1;
    for (let y = 0; y <= height; y++) {
      const edge = y < height && labels[y * width + x] !== labels[y * width + x - 1];
      if (edge && start < 0) start = y;
      if (!edge && start >= 0) {
        edges.push(x, start, x, y);
        start = -1;
      }
    }
  }
  return Float32Array.from(edges);
}

/** Labels of a mask's pixels with their shares, the most first. */
export function shares(labels: Uint8Array | Uint16Array, mask: Uint8Array): { label: number; share: number }[] {
  const counts = new Map<number, number>();
  let all = 0;
  for (let i = 0; i < mask.length; i++) {
    if (!mask[i]) continue;
    all++;
    counts.set(labels[i] as number, (counts.get(labels[i] as number) ?? 0) + 1);
  }
  return [...counts].map(([label, n]) => ({ label, share: n / all })).sort((a, b) => b.share - a.share);
}

/** The label that most pixels of a mask have; null of an empty one. */
export function commonest(labels: Uint8Array | Uint16Array, mask: Uint8Array): number | null {
  return shares(labels, mask)[0]?.label ?? null;
}
