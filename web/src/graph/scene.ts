/** The drawing as boxes and wires in world units, and what is where in it. */

/** leaf: a layer or operation; closed: a module as one box; open: around its parts; more: parts not shown yet. */
export type Part = "leaf" | "closed" | "open" | "more";

export interface Box {
  /** Index of the item; of 'more' that of the module whose parts are left out. */
  item: number;
  part: Part;
  x: number;
  y: number;
  w: number;
  h: number;
  /** Index of the box around it, -1 for none. */
  parent: number;
  /** Index after the last box inside: boxes stand in depth-first order. */
  end: number;
  depth: number;
  /** Items that 'more' stands for. */
  hidden: number;
  /** Where wires arrive at its top and leave at its bottom. */
  enter: number;
  leave: number;
}

export interface Wire {
  /** Index of the box that it runs in, -1 for the outermost; all its points lie inside that. */
  owner: number;
  /** Indices of the boxes that it joins; the owner's own where it comes from, or goes, outside. */
  source: number;
  target: number;
  /** x and y in turns, downwards. */
  points: number[];
  /** Edges of the whole graph that it stands for. */
  count: number;
  /** Whether there is also a longer way from its source to its target. */
  skip: boolean;
}

export interface Scene {
  boxes: Box[];
  wires: Wire[];
  width: number;
  height: number;
}

export const EMPTY: Scene = { boxes: [], wires: [], width: 0, height: 0 };

/** Height of an open module's title strip, and the side of the square at its right that closes it. */
export const TITLE = 26;

export type Spot = "body" | "title" | "toggle" | "inside";

export interface Hit {
  box: number;
  spot: Spot;
}

/** The innermost box at a point of the world; null where there is none. */
export function hit(scene: Scene, x: number, y: number): Hit | null {
  let found = -1;
  for (let i = 0; i < scene.boxes.length; ) {
    const box = scene.boxes[i] as Box;
    if (holds(box, x, y)) {
      found = i;
      i++;
    } else {
      i = box.end;
    }
  }
  if (found < 0) return null;
  const box = scene.boxes[found] as Box;
  const opens = box.part === "open" || box.part === "closed";
  const strip = y < box.y + TITLE;
  if (opens && strip && x >= box.x + box.w - TITLE) return { box: found, spot: "toggle" };
  if (box.part === "open") return { box: found, spot: strip ? "title" : "inside" };
  return { box: found, spot: "body" };
}

/** The box that shows an item, or the closed module or the rest in which it lies. */
export function boxOf(scene: Scene, item: number, ancestors: readonly number[]): number {
  for (const wanted of [item, ...ancestors]) {
    let rest = -1;
    for (let i = 0; i < scene.boxes.length; i++) {
      const box = scene.boxes[i] as Box;
      if (box.item !== wanted) continue;
      if (box.part === "more") rest = i;
      else if (wanted === item || box.part === "closed") return i;
    }
    if (rest >= 0) return rest;
  }
  return -1;
}

/** Where the arrow keys lead from a box along its wires: to what it feeds, to what feeds it, or to its neighbour. */
export function beside(scene: Scene, from: number, way: "up" | "down" | "left" | "right"): number {
  const box = scene.boxes[from] as Box;
  if (way === "up" || way === "down") {
    const next = scene.wires
      .filter((w) => (way === "down" ? w.source === from : w.target === from) && w.owner === box.parent)
      .map((w) => (way === "down" ? w.target : w.source));
    const straight = next.sort((a, b) => offset(scene, box, a) - offset(scene, box, b))[0];
    // Out of a module, the way goes on from the module.
    return straight === undefined ? from : straight === box.parent ? beside(scene, straight, way) : straight;
  }
  const sign = way === "right" ? 1 : -1;
  const middle = box.x + box.w / 2;
  let [best, least] = [from, Infinity];
  scene.boxes.forEach((other, i) => {
    if (other.parent !== box.parent || i === from) return;
    const dx = sign * (other.x + other.w / 2 - middle);
    const dy = Math.abs(other.y + other.h / 2 - box.y - box.h / 2);
    if (dx > 1 && dy <= (box.h + other.h) / 2 && dx + dy < least) [best, least] = [i, dx + dy];
  });
  return best;
}

function offset(scene: Scene, box: Box, other: number): number {
  const o = scene.boxes[other] as Box;
  return Math.abs(o.x + o.w / 2 - box.x - box.w / 2);
}

function holds(b: Box, x: number, y: number): boolean {
  return x >= b.x && x < b.x + b.w && y >= b.y && y < b.y + b.h;
}
