/** Planes as canvases in image pixels, painted only when what they show changes; but for maps shared by the panels. */

import { all, type Rect } from "../../core/masks";
import { clearOutside, hatchUndefined, paintLabels, paintMap, paintMask, paintPicture } from "../../core/paint";
import type { Size } from "../../core/zoom";
import type { Drawing } from "../../state/inspect/drawing.svelte";
import type { Plane } from "../../state/inspect/plane";

type Labels = Uint8Array | Uint16Array;

/** Pixels that can be written as numbers, and the canvas that shows them. */
class Layer {
  readonly canvas: OffscreenCanvas;
  readonly pixels: Uint32Array;
  readonly #image: ImageData;
  readonly #context: OffscreenCanvasRenderingContext2D;

  constructor(readonly size: Pick<Size, "width" | "height">) {
    this.canvas = new OffscreenCanvas(size.width, size.height);
    this.#context = this.canvas.getContext("2d") as OffscreenCanvasRenderingContext2D;
    this.#image = this.#context.createImageData(size.width, size.height);
    this.pixels = new Uint32Array(this.#image.data.buffer);
  }

  put(rect: Rect = all(this.size)): void {
    if (rect.width > 0 && rect.height > 0) {
      this.#context.putImageData(this.#image, 0, 0, rect.x, rect.y, rect.width, rect.height);
    }
  }
}

const labelled = new WeakMap<Labels, { layer: Layer; table: Uint32Array | null }>();
const pictures = new WeakMap<Uint8Array, Layer>();
const drawings = new WeakMap<Drawing, { layer: Layer; version: number }>();

/**
 * Where a panel's maps are painted, one over the other: to write to memory for the first time takes ten times as long
 * as the painting.
 */
export class MapLayer {
  #layer: Layer | null = null;
  #plane: Plane | null = null;
  #table: Uint32Array | null = null;

  /** Takes the memory of the maps to come. */
  prepare(size: Size): void {
    const layer = this.#sized(size);
    if (this.#plane) return;
    layer.pixels.fill(0);
    layer.put();
  }

  /** A map in the colours of a table (see `lookUp`). */
  painted(plane: Plane, table: Uint32Array): OffscreenCanvas {
    const layer = this.#sized(plane);
    if (this.#plane !== plane || this.#table !== table) {
      this.#plane = plane;
      this.#table = table;
      paintMap(plane.bits, table, layer.pixels);
      if (plane.found.undefined) hatchUndefined(plane.bits, plane.width, plane.height, layer.pixels);
      if (plane.cover) clearOutside(plane.cover, layer.pixels);
      layer.put();
    }
    return layer.canvas;
  }

  #sized(size: Size): Layer {
    const { width, height } = this.#layer?.size ?? {};
    if (!this.#layer || width !== size.width || height !== size.height) {
      this.#layer = new Layer(size);
      this.#plane = null;
    }
    return this.#layer;
  }
}

/** Labels in the colours of a table (see `palette`). */
export function labelLayer(labels: Labels, size: Size, table: Uint32Array): OffscreenCanvas {
  let kept = labelled.get(labels);
  if (!kept) {
    kept = { layer: new Layer(size), table: null };
    labelled.set(labels, kept);
  }
  if (kept.table !== table) {
    kept.table = table;
    paintLabels(labels, table, kept.layer.pixels);
    kept.layer.put();
  }
  return kept.layer.canvas;
}

/** Bytes [H W 3]. */
export function pictureLayer(rgb: Uint8Array, size: Size): OffscreenCanvas {
  let layer = pictures.get(rgb);
  if (!layer) {
    layer = new Layer(size);
    paintPicture(rgb, layer.pixels);
    layer.put();
    pictures.set(rgb, layer);
  }
  return layer.canvas;
}

/** A mask in hand, in one colour; after a stroke only the rectangle that it touched is painted again. */
export function drawingLayer(drawing: Drawing, colour: number): OffscreenCanvas {
  let kept = drawings.get(drawing);
  if (!kept) {
    kept = { layer: new Layer(drawing.size), version: -1 };
    drawings.set(drawing, kept);
  }
  if (kept.version !== drawing.version) {
    const rect = kept.version === drawing.version - 1 ? drawing.changed : all(drawing.size);
    kept.version = drawing.version;
    paintMask(drawing.mask, drawing.size.width, colour, kept.layer.pixels, rect);
    kept.layer.put(rect);
  }
  return kept.layer.canvas;
}

const paths = new WeakMap<object, Path2D>();

/** A path of edges x0, y0, x1, y1; kept with `key`, which does not change. */
export function pathOf(key: object, edges: () => Float32Array): Path2D {
  let path = paths.get(key);
  if (!path) {
    path = new Path2D();
    const list = edges();
    for (let i = 0; i + 3 < list.length; i += 4) {
      path.moveTo(list[i] as number, list[i + 1] as number);
      path.lineTo(list[i + 2] as number, list[i + 3] as number);
    }
    paths.set(key, path);
  }
  return path;
}
