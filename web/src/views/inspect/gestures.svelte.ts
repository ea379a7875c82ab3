/** Pointing in a picture: what each tool makes of presses, moves and releases, in image pixels with fractions. */

import { boxBetween } from "../../core/masks";
import { pixelAt, type Point } from "../../core/zoom";
import { inspect } from "../../state/inspect.svelte";
import { confusedAt } from "../../state/inspect/regions";
import { NONE, type Scene } from "../../state/inspect/scene.svelte";

export interface Keys {
  /** Adds to what is drawn. */
  shift: boolean;
  /** Takes from what is drawn. */
  alt: boolean;
  /** Whether the panel shows errors, so that a click means a confused region. */
  errors: boolean;
}

class Gestures {
  /** Corners of what is being drawn. */
  points = $state.raw<Point[]>([]);
  /** Id of the segment under the pointer. */
  hover = $state<number | null>(null);
  /** Where a brush is. */
  at = $state.raw<Point | null>(null);
  /** Whether the pixel stays where it was clicked. */
  held = $state(false);
  #down = false;
  /** Where somebody pointed before there was a prediction to point at. */
  #early: { scene: Scene; point: Point; keys: Keys } | null = null;

  /** The pointer is over a place, or over none. */
  move(point: Point | null): void {
    const { scene, tool } = inspect;
    const pixel = point && scene ? pixelAt(point, scene.size) : null;
    this.at = point;
    if (pixel?.x !== inspect.cursor?.x || pixel?.y !== inspect.cursor?.y) inspect.cursor = pixel;
    this.hover = tool === "segment" && pixel && scene?.pieces ? (scene.pieces.ids[pixel.y * scene.size.width + pixel.x] ?? null) : null;
    if (tool === "pixel" && pixel && !this.held && inspect.drawing === "ask" && scene?.labels) inspect.pointAt(pixel);
    if (this.#down && point) this.#drag(point);
  }

  down(point: Point, keys: Keys): void {
    const { tool, hand } = inspect;
    const { scene } = inspect;
    if (!scene) return;
    if (tool === "segment") this.#segment(point, keys);
    else if (tool === "pixel") this.#pixel(point);
    else if (tool === "polygon") this.#corner(point);
    else if (tool === "pan") return;
    else {
      this.#down = true;
      this.points = [point];
      if (tool === "brush" || tool === "erase") hand?.stroke(point, point, inspect.radius, this.#value(keys));
    }
  }

  #drag(point: Point): void {
    const { tool, hand } = inspect;
    const from = this.points.at(-1) ?? point;
    if (tool === "box") this.points = [this.points[0] ?? point, point];
    else if (tool === "lasso") this.points = [...this.points, point];
    else {
      hand?.stroke(from, point, inspect.radius, tool === "erase" ? 0 : 1);
      this.points = [point];
    }
  }

  up(keys: Keys): void {
    if (!this.#down) return;
    this.#down = false;
    const { tool, hand, scene } = inspect;
    const { points } = this;
    this.points = [];
    if (!scene || !hand) return;
    if (tool === "box" && points.length === 2) {
      const box = boxBetween(points[0] as Point, points[1] as Point, scene.size);
      if (inspect.drawing === "ask" && !keys.shift && !keys.alt) void inspect.poseAt({ kind: "box", box });
      else this.#drawn(() => hand.box(box, keys.alt ? 0 : 1));
    } else if (tool === "lasso" && points.length > 2) {
      this.#drawn(() => {
        if (inspect.drawing === "ask" && !keys.shift && !keys.alt) hand.clear();
        hand.polygon(points, keys.alt ? 0 : 1);
      });
    } else if (tool === "brush" || tool === "erase") this.#drawn(() => {});
  }

  /** Closes a polygon. */
  close(keys: Pick<Keys, "shift" | "alt">): void {
    const { points } = this;
    const { hand } = inspect;
    if (inspect.tool !== "polygon" || points.length < 3 || !hand) return;
    this.points = [];
    if (inspect.drawing === "ask" && !keys.shift && !keys.alt) {
      // In regions a pixel's centre has whole coordinates; here it lies half a pixel further.
      const round = (v: number) => Number((v - 0.5).toFixed(2));
      void inspect.poseAt({ kind: "polygon", points: points.map((p): [number, number] => [round(p.y), round(p.x)]) });
    } else this.#drawn(() => hand.polygon(points, keys.alt ? 0 : 1));
  }

  /** The prediction is there: where somebody pointed before that is taken up now. */
  settled(): void {
    const early = this.#early;
    this.#early = null;
    if (early && early.scene === inspect.scene) this.#segment(early.point, early.keys);
  }

  /** What is being dragged comes to nothing; corners that were set before stay. */
  abandon(): void {
    if (!this.#down) return;
    this.#down = false;
    this.points = [];
    const { tool, hand } = inspect;
    if (tool !== "brush" && tool !== "erase") return;
    hand?.end();
    hand?.undo();
  }

  /** Forgets what was begun; says whether there was anything. */
  drop(): boolean {
    const some = this.points.length > 0;
    this.abandon();
    this.points = [];
    return some;
  }

  get busy(): boolean {
    return this.points.length > 0;
  }

  get dragging(): boolean {
    return this.#down;
  }

  #value(keys: Keys): 0 | 1 {
    return inspect.tool === "erase" || keys.alt ? 0 : 1;
  }

  #drawn(change: () => void): void {
    change();
    inspect.hand?.end();
    void inspect.drew();
  }

  #segment(point: Point, keys: Keys): void {
    const { scene, hand } = inspect;
    const pixel = scene && pixelAt(point, scene.size);
    if (scene && !scene.labels && !scene.fault) this.#early = { scene, point, keys };
    const pieces = scene?.pieces;
    if (!scene || !pixel || !pieces || !hand) return;
    const i = pixel.y * scene.size.width + pixel.x;
    const id = pieces.ids[i] as number;
    if (inspect.drawing === "remove" || keys.shift || keys.alt) {
      this.#drawn(() => hand.add((j) => pieces.ids[j] === id, keys.alt ? 0 : 1));
      return;
    }
    const confused = keys.errors ? confusedAt(scene, pixel.x, pixel.y) : null;
    const label = scene.labels?.[i];
    const name = label === NONE ? null : scene.nameOf(label);
    if (confused) void inspect.poseAt(confused);
    else if (name) void inspect.poseAt({ kind: "segment", of: name, at: [pixel.y, pixel.x] });
  }

  #pixel(point: Point): void {
    const { scene } = inspect;
    const pixel = scene && pixelAt(point, scene.size);
    if (!pixel) return;
    this.held = !this.held;
    if (this.held) void inspect.poseAt({ kind: "pixel", at: [pixel.y, pixel.x] });
  }

  #corner(point: Point): void {
    const first = this.points[0];
    // A click on the first corner, or twice in one place, closes it.
    const near = (p: Point | undefined) => p && Math.hypot(p.x - point.x, p.y - point.y) < this.reach;
    if (this.points.length > 2 && (near(first) || near(this.points.at(-1)))) this.close({ shift: false, alt: false });
    else if (!near(this.points.at(-1))) this.points = [...this.points, point];
  }

  /** Image pixels that are near on the screen. */
  reach = 2;
}

export const gestures = new Gestures();
