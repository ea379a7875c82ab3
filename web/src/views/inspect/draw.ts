/** What a panel shows, drawn: picture, layer over it, outlines, what is being drawn, and the shared cross-hair. */

import type { Rgb } from "../../core/api";
import { packed } from "../../core/colours";
import { edgesOf, type Pieces } from "../../core/masks";
import { type Placed, placed, type Point, type Size, type View } from "../../core/zoom";
import type { Drawing } from "../../state/inspect/drawing.svelte";
import { drawingLayer, pathOf } from "./layers";

/** Over pictures, whose colours no theme changes, lines are light with a dark rim, so that they are seen on both. */
const LIGHT = "rgb(255 255 255)";
const DARK = "rgb(0 0 0 / 75%)";
const ASKED: Rgb = [90, 220, 255];
const REMOVED: Rgb = [255, 90, 70];

export interface Overlay {
  canvas: CanvasImageSource;
  opacity: number;
}

export interface Sight {
  size: Size;
  /** Drawn one on the other. */
  layers: Overlay[];
  outlines: { path: Path2D; style: "region" | "removed" | "hover" | "border" }[];
  drawings: { drawing: Drawing; what: "ask" | "remove" }[];
  shape: { points: readonly Point[]; closed: boolean } | null;
  brush: { at: Point; radius: number } | null;
  cursor: Point | null;
}

/** Edges of a mask, as a path. */
export const maskPath = (mask: Uint8Array, size: Size): Path2D =>
  pathOf(mask, () => edgesOf(mask, 1, size, { x: 0, y: 0, ...size }));

const piecePaths = new WeakMap<Pieces, Map<number, object>>();

/** Edges of one segment, as a path. */
export function piecePath(pieces: Pieces, id: number, size: Size): Path2D {
  let keys = piecePaths.get(pieces);
  if (!keys) piecePaths.set(pieces, (keys = new Map()));
  let key = keys.get(id);
  if (!key) keys.set(id, (key = {}));
  return pathOf(key, () => edgesOf(pieces.ids, id, size, pieces.boxes[id] ?? { x: 0, y: 0, ...size }));
}

/** `ratio`: device pixels a CSS pixel. `panel`: in CSS pixels. */
export function draw(context: CanvasRenderingContext2D, panel: Size, ratio: number, view: View, sight: Sight): void {
  const { size } = sight;
  const at = placed(view, panel, size);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  const scale = at.scale * ratio;
  context.setTransform(scale, 0, 0, scale, at.left * ratio, at.top * ratio);
  context.imageSmoothingEnabled = scale < 2;
  for (const { canvas, opacity } of sight.layers) {
    context.globalAlpha = opacity;
    context.drawImage(canvas, 0, 0, size.width, size.height);
  }
  for (const { drawing, what } of sight.drawings) {
    context.globalAlpha = 0.5;
    context.drawImage(drawingLayer(drawing, packed(what === "ask" ? ASKED : REMOVED)), 0, 0);
  }
  context.globalAlpha = 1;
  const pixel = 1 / at.scale;
  for (const outline of sight.outlines) stroked(context, outline.path, outline.style, pixel);
  if (sight.shape) shaped(context, sight.shape, pixel);
  if (sight.brush) {
    const round = new Path2D();
    round.arc(sight.brush.at.x, sight.brush.at.y, sight.brush.radius, 0, 2 * Math.PI);
    stroked(context, round, "hover", pixel);
  }
  if (sight.cursor) cross(context, panel, ratio, at, sight.cursor);
}

function stroked(context: CanvasRenderingContext2D, path: Path2D, style: Sight["outlines"][number]["style"], pixel: number): void {
  context.lineCap = "square";
  if (style === "border") {
    context.lineWidth = pixel;
    context.strokeStyle = DARK;
    context.stroke(path);
    return;
  }
  context.lineWidth = (style === "hover" ? 3 : 4) * pixel;
  context.strokeStyle = DARK;
  context.stroke(path);
  context.lineWidth = (style === "hover" ? 1.25 : 2) * pixel;
  context.strokeStyle = style === "removed" ? `rgb(${REMOVED.join(" ")})` : LIGHT;
  context.stroke(path);
}

function shaped(context: CanvasRenderingContext2D, { points, closed }: NonNullable<Sight["shape"]>, pixel: number): void {
  const path = new Path2D();
  points.forEach((p, i) => (i ? path.lineTo(p.x, p.y) : path.moveTo(p.x, p.y)));
  if (closed) path.closePath();
  stroked(context, path, "hover", pixel);
  const first = points[0];
  if (first && !closed) {
    const dot = new Path2D();
    dot.arc(first.x, first.y, 4 * pixel, 0, 2 * Math.PI);
    stroked(context, dot, "hover", pixel);
  }
}

/** Through the middle of a pixel, with the pixel itself framed where it is large enough. */
function cross(context: CanvasRenderingContext2D, panel: Size, ratio: number, at: Placed, cursor: Point): void {
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const x = at.left + (cursor.x + 0.5) * at.scale;
  const y = at.top + (cursor.y + 0.5) * at.scale;
  const gap = Math.max(6, at.scale / 2 + 2);
  const path = new Path2D();
  for (const [x0, y0, x1, y1] of [
    [0, y, x - gap, y],
    [x + gap, y, panel.width, y],
    [x, 0, x, y - gap],
    [x, y + gap, x, panel.height],
  ] as const) {
    path.moveTo(x0, y0);
    path.lineTo(x1, y1);
  }
  context.lineWidth = 1;
  context.globalAlpha = 0.55;
  context.strokeStyle = LIGHT;
  context.stroke(path);
  context.globalAlpha = 1;
  if (at.scale >= 6) context.strokeRect(at.left + cursor.x * at.scale, at.top + cursor.y * at.scale, at.scale, at.scale);
}
