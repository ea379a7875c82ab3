/** A mask that is being drawn: its pixels, what changed last, and steps back. */

import { all, fillBox, fillPolygon, type Box, History, pixelsIn, type Rect, stroke } from "../../core/masks";
import type { Point, Size } from "../../core/zoom";

export class Drawing {
  mask: Uint8Array;
  /** Rises with each change; canvases then repaint `changed`. */
  version = $state(0);
  changed: Rect;
  pixels = $state(0);
  /** Rises with each step that has ended. */
  settled = $state(0);
  canUndo = $state(false);
  canRedo = $state(false);
  #history = new History();

  constructor(readonly size: Size) {
    this.mask = new Uint8Array(size.width * size.height);
    this.changed = all(size);
    this.#history.keep(this.mask);
  }

  stroke(from: Point, to: Point, radius: number, value: 0 | 1): void {
    this.#touch(stroke(this.mask, this.size, from, to, radius, value));
  }

  box(box: Box, value: 0 | 1): void {
    this.#touch(fillBox(this.mask, this.size, box, value));
  }

  polygon(points: readonly Point[], value: 0 | 1): void {
    this.#touch(fillPolygon(this.mask, this.size, points, value));
  }

  /** Sets the pixels of another mask. */
  add(inside: (i: number) => boolean, value: 0 | 1): void {
    for (let i = 0; i < this.mask.length; i++) if (inside(i)) this.mask[i] = value;
    this.#touch(all(this.size));
  }

  clear(): void {
    this.mask.fill(0);
    this.#touch(all(this.size));
    this.end();
  }

  /** Ends what counts as one step. */
  end(): void {
    this.#history.keep(this.mask);
    this.#count();
  }

  undo(): void {
    if (this.#history.undo(this.mask)) this.#touch(all(this.size));
    this.#count();
  }

  redo(): void {
    if (this.#history.redo(this.mask)) this.#touch(all(this.size));
    this.#count();
  }

  #touch(rect: Rect): void {
    this.changed = rect;
    this.version++;
  }

  #count(): void {
    this.pixels = pixelsIn(this.mask);
    this.settled++;
    this.canUndo = this.#history.canUndo;
    this.canRedo = this.#history.canRedo;
  }
}
