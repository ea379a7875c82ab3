/** The scene on a canvas: what is in sight, in as much detail as can be seen. */

import type { Camera, Size } from "./camera";
import { outline, type Look } from "./looks";
import type { Palette } from "./palette";
import { TITLE, type Box, type Scene, type Wire } from "./scene";
import type { Item, Tree } from "./tree";
import { linesOf } from "./words";

export interface Marks {
  /** Items that are chosen, found by a search, under the pointer, and that have the keys' focus. */
  chosen: ReadonlySet<number>;
  found: ReadonlySet<number>;
  hovered: number | null;
  current: number | null;
}

/** Points of the view per unit of the world from which on words, outlines and the inside of modules are drawn. */
const WORDS_FROM = 0.42;
const SHAPES_FROM = 0.14;
const INSIDE_FROM = 5;
const LINE = 15;

/** Draws a frame. The context's units are points of the view. */
export function draw(
  c: CanvasRenderingContext2D,
  scene: Scene,
  tree: Tree,
  camera: Camera,
  view: Size,
  palette: Palette,
  marks: Marks,
): void {
  c.save();
  c.fillStyle = palette.paper;
  c.fillRect(0, 0, view.width, view.height);
  c.scale(camera.scale, camera.scale);
  c.translate(-camera.x, -camera.y);
  const sight = { left: camera.x, top: camera.y, right: camera.x + view.width / camera.scale, bottom: camera.y + view.height / camera.scale };
  const { shown, inside } = seen(scene, sight, camera.scale);
  const pen = new Pencil(c, tree, palette, camera.scale);
  for (const box of shown) if (box.part === "open") pen.frame(box, inside.has(box));
  pen.wires(scene.wires.filter((w) => visible(w, scene, inside, sight)));
  pen.boxes(shown.filter((b) => b.part !== "open"));
  pen.marks(shown, marks);
  c.restore();
}

interface Sight {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** Boxes in sight, outer ones first; and those open ones whose inside is large enough to be drawn. */
export function seen(scene: Scene, sight: Sight, scale: number): { shown: Box[]; inside: Set<Box> } {
  const shown: Box[] = [];
  const inside = new Set<Box>();
  for (let i = 0; i < scene.boxes.length; ) {
    const b = scene.boxes[i] as Box;
    if (b.x > sight.right || b.x + b.w < sight.left || b.y > sight.bottom || b.y + b.h < sight.top) {
      i = b.end;
      continue;
    }
    shown.push(b);
    const enters = b.part === "open" && Math.min(b.w, b.h) * scale >= INSIDE_FROM;
    if (enters) inside.add(b);
    i = enters ? i + 1 : b.end;
  }
  return { shown, inside };
}

function visible(wire: Wire, scene: Scene, inside: ReadonlySet<Box>, sight: Sight): boolean {
  const owner = scene.boxes[wire.owner];
  if (owner && !inside.has(owner)) return false;
  const p = wire.points;
  if ((p[1] as number) > sight.bottom || (p[p.length - 1] as number) < sight.top) return false;
  // Bends stay between the leftmost and the rightmost point: curves lie within their corners.
  let [least, most] = [Infinity, -Infinity];
  for (let i = 0; i < p.length; i += 2) {
    least = Math.min(least, p[i] as number);
    most = Math.max(most, p[i] as number);
  }
  return most >= sight.left && least <= sight.right;
}

class Pencil {
  constructor(
    private readonly c: CanvasRenderingContext2D,
    private readonly tree: Tree,
    private readonly palette: Palette,
    private readonly scale: number,
  ) {}

  /** An open module's ground, frame and title. */
  frame(b: Box, inside: boolean): void {
    const { c, palette } = this;
    c.fillStyle = inside ? palette.grounds[b.depth % 2 === 0 ? 0 : 1] : palette.fills.module;
    c.fillRect(b.x, b.y, b.w, b.h);
    if (this.scale < SHAPES_FROM) return;
    c.strokeStyle = palette.edge;
    c.globalAlpha = 0.6;
    c.lineWidth = Math.min(1, 1 / this.scale);
    c.strokeRect(b.x, b.y, b.w, b.h);
    c.globalAlpha = 1;
    if (this.scale < WORDS_FROM) return;
    const item = this.item(b);
    c.textAlign = "left";
    const room = b.w - TITLE - 16;
    const name = this.text(item.name, b.x + 10, b.y + 17, room, palette.text, true);
    if (room - name > 40) this.text(item.type, b.x + 16 + name, b.y + 17, room - name - 6, palette.muted);
    this.sign(b, false);
  }

  /** Wires, those that skip parts last and stronger. */
  wires(wires: readonly Wire[]): void {
    const { c, palette } = this;
    const plain = this.scale < SHAPES_FROM;
    for (const skip of [false, true]) {
      c.beginPath();
      const some = wires.filter((w) => w.skip === skip);
      for (const w of some) (plain ? straight : curved)(c, w.points);
      c.strokeStyle = skip ? palette.accent : palette.edge;
      c.lineWidth = (skip ? 1.8 : 1.3) * Math.max(1, 0.35 / this.scale);
      c.stroke();
      if (plain) continue;
      c.beginPath();
      for (const w of some) arrow(c, w.points);
      c.fillStyle = c.strokeStyle;
      c.fill();
    }
  }

  /** Closed boxes: all of one look at once, so that the canvas changes colour seldom. */
  boxes(boxes: readonly Box[]): void {
    const { c, palette } = this;
    const byLook = new Map<Look, Box[]>();
    for (const b of boxes) {
      const look = b.part === "more" ? "module" : this.item(b).look;
      const known = byLook.get(look);
      if (known) known.push(b);
      else byLook.set(look, [b]);
    }
    for (const [look, some] of byLook) {
      c.beginPath();
      if (this.scale < SHAPES_FROM) {
        for (const b of some) c.rect(b.x, b.y, b.w, b.h);
        c.fillStyle = palette.strokes[look];
        c.fill();
        continue;
      }
      for (const b of some) {
        if (b.part === "closed") outline(c, look, b.x + 4, b.y + 4, b.w, b.h);
      }
      for (const b of some) outline(c, look, b.x, b.y, b.w, b.h);
      c.fillStyle = palette.fills[look];
      c.fill();
      c.strokeStyle = palette.strokes[look];
      c.lineWidth = 1.5;
      c.stroke();
    }
    if (this.scale >= WORDS_FROM) for (const b of boxes) this.label(b);
  }

  marks(shown: readonly Box[], marks: Marks): void {
    const { c, palette } = this;
    for (const b of shown) {
      if (b.part === "more") continue;
      const [chosen, current] = [marks.chosen.has(b.item), marks.current === b.item];
      const [found, hovered] = [marks.found.has(b.item), marks.hovered === b.item];
      if (!chosen && !found && !hovered && !current) continue;
      const thick = (chosen ? 3 : 2) / Math.min(1, this.scale * 1.4);
      const gap = thick / 2 + (current && !chosen ? 3 : 1);
      c.beginPath();
      c.rect(b.x - gap, b.y - gap, b.w + 2 * gap, b.h + 2 * gap);
      c.setLineDash(chosen || current ? [] : found ? [6, 4] : [2, 3]);
      c.strokeStyle = chosen || current ? palette.accent : palette.text;
      c.lineWidth = thick;
      if (chosen) {
        c.save();
        c.globalAlpha = 0.16;
        c.fillStyle = palette.accent;
        c.fill();
        c.restore();
      }
      c.stroke();
      c.setLineDash([]);
    }
  }

  private item(b: Box): Item {
    return this.tree.items[b.item] as Item;
  }

  private label(b: Box): void {
    const { c, palette } = this;
    c.textAlign = "center";
    const lines = b.part === "more" ? [`${b.hidden} more`, "show"] : linesOf(this.item(b));
    const top = b.y + b.h / 2 - (lines.length * LINE) / 2 + 11;
    const margin = b.part === "leaf" ? 28 : 44;
    lines.forEach((line, i) =>
      this.text(line, b.x + b.w / 2, top + i * LINE, b.w - margin, i ? palette.muted : palette.text, i === 0),
    );
    if (b.part === "closed") this.sign(b, true);
  }

  /** The square that opens (+) or closes (−). */
  private sign(b: Box, opens: boolean): void {
    const { c, palette } = this;
    const [x, y] = [b.x + b.w - TITLE / 2, b.y + TITLE / 2];
    c.beginPath();
    c.rect(x - 7, y - 7, 14, 14);
    c.moveTo(x - 4, y);
    c.lineTo(x + 4, y);
    if (opens) {
      c.moveTo(x, y - 4);
      c.lineTo(x, y + 4);
    }
    c.strokeStyle = palette.muted;
    c.lineWidth = 1.2;
    c.stroke();
  }

  /** Writes a line, shortened to its room; gives its width. */
  private text(text: string, x: number, y: number, room: number, colour: string, bold = false): number {
    const { c } = this;
    c.font = `${bold ? 600 : 400} 12px ${this.palette.font}`;
    c.fillStyle = colour;
    const said = shortened(c, text, room);
    c.fillText(said.text, x, y);
    return said.width;
  }
}

const MEASURED = new Map<string, { text: string; width: number }>();

/** A text cut to a width, in the context's font; remembered, since measuring is what costs most in a frame. */
function shortened(c: CanvasRenderingContext2D, text: string, room: number): { text: string; width: number } {
  const key = `${c.font}|${Math.round(room)}|${text}`;
  let known = MEASURED.get(key);
  if (known) return known;
  let cut = text;
  let width = c.measureText(cut).width;
  for (let keep = text.length - 1; width > room && keep > 1; keep--) {
    // Of a path the end tells most.
    cut = `…${text.slice(text.length - keep)}`;
    width = c.measureText(cut).width;
  }
  if (MEASURED.size > 20_000) MEASURED.clear();
  known = { text: cut, width };
  MEASURED.set(key, known);
  return known;
}

function straight(c: CanvasRenderingContext2D, p: readonly number[]): void {
  c.moveTo(p[0] as number, p[1] as number);
  for (let i = 2; i < p.length; i += 2) c.lineTo(p[i] as number, p[i + 1] as number);
}

/** Curves that leave and arrive upright. */
function curved(c: CanvasRenderingContext2D, p: readonly number[]): void {
  let [x, y] = [p[0] as number, p[1] as number];
  c.moveTo(x, y);
  for (let i = 2; i < p.length; i += 2) {
    const [u, v] = [p[i] as number, p[i + 1] as number];
    const half = (y + v) / 2;
    if (Math.abs(u - x) < 0.5) c.lineTo(u, v);
    else c.bezierCurveTo(x, half, u, half, u, v);
    [x, y] = [u, v];
  }
}

function arrow(c: CanvasRenderingContext2D, p: readonly number[]): void {
  const [x, y] = [p[p.length - 2] as number, p[p.length - 1] as number];
  c.moveTo(x, y);
  c.lineTo(x - 4, y - 8);
  c.lineTo(x + 4, y - 8);
  c.closePath();
}
