/** The whole scene in a corner, with the part that is in sight. */

import type { Area, Camera, Size } from "./camera";
import type { Palette } from "./palette";
import type { Scene } from "./scene";
import type { Item, Tree } from "./tree";

/** Sides of a minimap at most; a long drawing is made wider than it is, so that there is something to see. */
const [WIDE, HIGH, NARROW] = [150, 190, 44];

export interface Frame {
  width: number;
  height: number;
  /** Points per unit of the world, across and down. */
  sx: number;
  sy: number;
}

/** The size of a scene's minimap. */
export function frameOf(scene: Scene): Frame {
  const scale = Math.min(WIDE / Math.max(scene.width, 1), HIGH / Math.max(scene.height, 1));
  const width = Math.max(NARROW, scene.width * scale);
  const height = Math.max(NARROW, scene.height * scale);
  return { width, height, sx: width / Math.max(scene.width, 1), sy: height / Math.max(scene.height, 1) };
}

/** What is in sight, in points of the minimap, cut to its frame. */
export function sightIn(frame: Frame, camera: Camera, view: Size): Area {
  const x = Math.max(0, camera.x * frame.sx);
  const y = Math.max(0, camera.y * frame.sy);
  const right = Math.min(frame.width, (camera.x + view.width / camera.scale) * frame.sx);
  const bottom = Math.min(frame.height, (camera.y + view.height / camera.scale) * frame.sy);
  return { x, y, w: Math.max(0, right - x), h: Math.max(0, bottom - y) };
}

/** The camera whose middle is at a point of the minimap. */
export function lookedAt(frame: Frame, camera: Camera, view: Size, px: number, py: number): Camera {
  const x = px / frame.sx - view.width / 2 / camera.scale;
  return { x, y: py / frame.sy - view.height / 2 / camera.scale, scale: camera.scale };
}

/** Draws the boxes, once for each scene and theme; marked ones stand out. */
export function drawMap(
  c: CanvasRenderingContext2D,
  scene: Scene,
  tree: Tree,
  frame: Frame,
  palette: Palette,
  chosen: ReadonlySet<number>,
): void {
  c.clearRect(0, 0, frame.width, frame.height);
  for (const b of scene.boxes) {
    const [w, h] = [b.w * frame.sx, b.h * frame.sy];
    if (b.part === "open") {
      if (h < 3) continue;
      c.fillStyle = palette.grounds[b.depth % 2 === 0 ? 0 : 1];
    } else {
      c.fillStyle = palette.strokes[b.part === "more" ? "module" : (tree.items[b.item] as Item).look];
    }
    c.fillRect(b.x * frame.sx, b.y * frame.sy, Math.max(w, 1), Math.max(h, 0.6));
  }
  c.fillStyle = palette.accent;
  for (const b of scene.boxes) {
    if (chosen.has(b.item) && b.part !== "more") c.fillRect(0, b.y * frame.sy - 1, frame.width, Math.max(b.h * frame.sy, 2));
  }
}
