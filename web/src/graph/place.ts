/** Places for the parts of one module: chains straight down, branches by dagre, skips in lanes beside them. */

import dagre from "@dagrejs/dagre";
import { runsOf, skips } from "./flow";
import { lanesOf, type Lane } from "./lanes";
import { ENTER, LEAVE, type Local } from "./project";

/** Places relative to the module's content; x and y are upper left corners. */
export interface Placed {
  width: number;
  height: number;
  x: number[];
  y: number[];
  /** x at which wires from outside, and to it, pass the frame. */
  enter: number;
  leave: number;
  /** Points of each edge, x and y in turns: of its bends alone, without its two ends. */
  bends: number[][];
  skip: boolean[];
}

/** Distances: between parts side by side, between wires, and between a part and the next below. */
const GAP = { nodesep: 22, edgesep: 14, ranksep: 30 };

/** Room above and below the parts, where wires enter and leave. */
const DOOR = 18;

/** Parts in a run stand straight below each other; for dagre they are one box. */
interface Block {
  parts: number[];
  w: number;
  h: number;
}

type Arranged = Omit<Placed, "skip">;

/** Places for parts of these sizes, as the edges between them ask. */
export function placed(w: readonly number[], h: readonly number[], edges: readonly Local[]): Placed {
  const skip = skips(w.length, edges);
  // What skips parts tells nothing of their order, and would only bend the way that it skips.
  const main = edges.filter((_, i) => !skip[i]);
  const blocks = runsOf(w.length, main).map((parts) => ({
    parts,
    w: Math.max(...parts.map((i) => w[i] as number)),
    h: parts.reduce((sum, i) => sum + (h[i] as number) + GAP.ranksep, -GAP.ranksep),
  }));
  const home = new Map(blocks.flatMap((b, k) => b.parts.map((i) => [i, k] as const)));
  const block = (place: number) => home.get(place) ?? place;
  const { bends, ...frame } = arranged(blocks, main.map((e) => ({ ...e, from: block(e.from), to: block(e.to) })));
  const [x, y] = [new Array<number>(w.length).fill(0), new Array<number>(w.length).fill(0)];
  blocks.forEach((b, k) => {
    let top = frame.y[k] as number;
    for (const i of b.parts) {
      x[i] = (frame.x[k] as number) + (b.w - (w[i] as number)) / 2;
      y[i] = top;
      top += (h[i] as number) + GAP.ranksep;
    }
  });
  const lanes = lanesOf(
    { ...frame, x, y, w, h },
    edges.filter((_, i) => skip[i]),
  );
  return widened({ ...frame, x, y, bends: merged(skip, bends, lanes), skip }, w);
}

function merged(skip: readonly boolean[], bends: readonly number[][], lanes: readonly Lane[]): number[][] {
  let [m, l] = [0, 0];
  return skip.map((skips_) => {
    if (!skips_) return bends[m++] as number[];
    const { x, top, bottom } = lanes[l++] as Lane;
    return [x, top, x, bottom];
  });
}

/** With everything, wires too, right of 0 and left of the width. */
function widened(p: Placed, w: readonly number[]): Placed {
  const wires = p.bends.flatMap((b) => b.filter((_, k) => k % 2 === 0));
  const left = Math.min(...p.x, ...wires, p.enter, p.leave);
  const right = Math.max(...p.x.map((x, i) => x + (w[i] as number)), ...wires, p.enter, p.leave);
  return {
    ...p,
    width: Math.max(0, right - left),
    x: p.x.map((x) => x - left),
    enter: p.enter - left,
    leave: p.leave - left,
    bends: p.bends.map((b) => b.map((v, k) => (k % 2 ? v : v - left))),
  };
}

function arranged(blocks: readonly Block[], edges: readonly Local[]): Arranged {
  if (blocks.length < 2) return column(blocks, edges);
  try {
    return dagred(blocks, edges);
  } catch {
    // dagre recurses and can run out of stack: one below the other is a layout, too.
    return column(blocks, edges);
  }
}

function dagred(blocks: readonly Block[], edges: readonly Local[]): Arranged {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ ...GAP, ranker: blocks.length > 100 ? "tight-tree" : "network-simplex" });
  graph.setDefaultEdgeLabel(() => ({}));
  blocks.forEach((b, i) => graph.setNode(String(i), { width: b.w, height: b.h }));
  const doors = [ENTER, LEAVE].map((door) => edges.some((e) => e.from === door || e.to === door));
  if (doors[0]) graph.setNode(String(ENTER), { width: 2, height: 2 });
  if (doors[1]) graph.setNode(String(LEAVE), { width: 2, height: 2 });
  // Edges within a block run straight down and are none of dagre's.
  for (const e of edges) if (e.from !== e.to) graph.setEdge(String(e.from), String(e.to));
  dagre.layout(graph);
  const at = (i: number) => graph.node(String(i)) as { x: number; y: number };
  const tops = blocks.map((b, i) => at(i).y - b.h / 2);
  const bottoms = blocks.map((b, i) => at(i).y + b.h / 2);
  // The doors' own rows are not needed: wires end at the frame.
  const top = Math.min(...tops) - DOOR;
  const width = graph.graph().width ?? 0;
  return {
    width,
    height: Math.max(...bottoms) + DOOR - top,
    x: blocks.map((b, i) => at(i).x - b.w / 2),
    y: tops.map((y) => y - top),
    enter: doors[0] ? at(ENTER).x : width / 2,
    leave: doors[1] ? at(LEAVE).x : width / 2,
    bends: edges.map((e) => {
      const points = e.from === e.to ? [] : (graph.edge(String(e.from), String(e.to)).points ?? []);
      return straightened(points.slice(1, -1)).flatMap((p) => [p.x, p.y - top]);
    }),
  };
}

function column(blocks: readonly Block[], edges: readonly Local[]): Arranged {
  const width = Math.max(0, ...blocks.map((b) => b.w));
  let bottom = DOOR - GAP.ranksep;
  const y = blocks.map((b) => {
    const top = bottom + GAP.ranksep;
    bottom = top + b.h;
    return top;
  });
  const x = blocks.map((b) => (width - b.w) / 2);
  return { width, height: bottom + DOOR, x, y, enter: width / 2, leave: width / 2, bends: edges.map(() => []) };
}

interface Point {
  x: number;
  y: number;
}

/** Bends without those on a straight way; a single one is only half way between two rows. */
function straightened(points: readonly Point[]): Point[] {
  if (points.length < 2) return [];
  return points.filter((p, i) => {
    const [before, after] = [points[i - 1], points[i + 1]];
    return !before || !after || Math.abs(p.x - before.x) > 0.5 || Math.abs(p.x - after.x) > 0.5;
  });
}
