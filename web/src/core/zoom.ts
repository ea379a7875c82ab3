/** Where an image lies in a panel. Panels share one view, so that pan and zoom are tied together. */

export interface Size {
  width: number;
  height: number;
}

/** x, y: what stands in a panel's middle, in shares of the image. zoom: over the scale at which the image just fits. */
export interface View {
  x: number;
  y: number;
  zoom: number;
}

export interface Point {
  x: number;
  y: number;
}

/** Screen pixels an image pixel, and where the image's top left corner lies in the panel. */
export interface Placed {
  scale: number;
  left: number;
  top: number;
}

export const FIT: View = { x: 0.5, y: 0.5, zoom: 1 };

const FARTHEST = 64;

/** Of a panel without area: nothing is drawn, but nothing divides by zero either. */
const LEAST = 1e-6;

function fitting(panel: Size, image: Size): number {
  return Math.max(Math.min(panel.width / image.width, panel.height / image.height), LEAST);
}

export function placed(view: View, panel: Size, image: Size): Placed {
  const scale = fitting(panel, image) * view.zoom;
  return {
    scale,
    left: panel.width / 2 - view.x * image.width * scale,
    top: panel.height / 2 - view.y * image.height * scale,
  };
}

/** The place in the image, in pixels with fractions, under a point of the panel. */
export function imagePoint(view: View, panel: Size, image: Size, at: Point): Point {
  const { scale, left, top } = placed(view, panel, image);
  return { x: (at.x - left) / scale, y: (at.y - top) / scale };
}

/** The pixel that holds a place; null outside the image. */
export function pixelAt(point: Point, image: Size): Point | null {
  const x = Math.floor(point.x);
  const y = Math.floor(point.y);
  return x >= 0 && y >= 0 && x < image.width && y < image.height ? { x, y } : null;
}

/** Zoomed by a factor, with what lies under `at` staying there. */
export function zoomedAt(view: View, panel: Size, image: Size, at: Point, factor: number): View {
  const zoom = Math.min(Math.max(view.zoom * factor, 1), FARTHEST);
  const held = imagePoint(view, panel, image, at);
  const scale = fitting(panel, image) * zoom;
  const x = (held.x - (at.x - panel.width / 2) / scale) / image.width;
  const y = (held.y - (at.y - panel.height / 2) / scale) / image.height;
  return kept({ x, y, zoom }, panel, image);
}

/** Moved by so many screen pixels. */
export function panned(view: View, panel: Size, image: Size, dx: number, dy: number): View {
  const { scale } = placed(view, panel, image);
  return kept({ ...view, x: view.x - dx / (image.width * scale), y: view.y - dy / (image.height * scale) }, panel, image);
}

/** Moved just so far that a place in the image is seen. */
export function shown(view: View, panel: Size, image: Size, point: Point): View {
  const { scale, left, top } = placed(view, panel, image);
  const x = left + point.x * scale;
  const y = top + point.y * scale;
  const margin = Math.min(24, panel.width / 4, panel.height / 4);
  const dx = x < margin ? margin - x : x > panel.width - margin ? panel.width - margin - x : 0;
  const dy = y < margin ? margin - y : y > panel.height - margin ? panel.height - margin - y : 0;
  return dx || dy ? panned(view, panel, image, dx, dy) : view;
}

/** No empty border where the image could fill the panel; in the middle where it is smaller. */
function kept(view: View, panel: Size, image: Size): View {
  const { scale } = placed(view, panel, image);
  return {
    x: keptIn(view.x, panel.width / (image.width * scale)),
    y: keptIn(view.y, panel.height / (image.height * scale)),
    zoom: view.zoom,
  };
}

function keptIn(middle: number, seen: number): number {
  return seen >= 1 ? 0.5 : Math.min(Math.max(middle, seen / 2), 1 - seen / 2);
}

/** How many columns let n images stand the largest in a space, with `extra` pixels of each cell taken above them. */
export function columnsFor(n: number, space: Size, image: Size, extra = 0): number {
  let best = 1;
  let most = 0;
  for (let columns = 1; columns <= n; columns++) {
    const rows = Math.ceil(n / columns);
    const cell = { width: space.width / columns, height: Math.max(space.height / rows - extra, 1) };
    const scale = fitting(cell, image);
    if (scale > most * 1.001) {
      most = scale;
      best = columns;
    }
  }
  return best;
}

/** For the address: '0.5,0.25,4'; nothing where all of the image is seen. */
export function writeView(view: View): string {
  return view.zoom === 1 ? "" : [view.x, view.y, view.zoom].map((v) => String(Number(v.toFixed(4)))).join(",");
}

export function readView(text: string | undefined): View {
  const [x, y, zoom] = (text ?? "").split(",").map(Number);
  if (x === undefined || y === undefined || zoom === undefined || ![x, y, zoom].every(Number.isFinite)) return FIT;
  return { x: Math.min(Math.max(x, 0), 1), y: Math.min(Math.max(y, 0), 1), zoom: Math.min(Math.max(zoom, 1), FARTHEST) };
}
