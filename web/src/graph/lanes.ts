/** Upright lanes beside the parts, in which wires run that skip some of them. */

import { ENTER, LEAVE, type Local } from "./project";

/** Where a wire runs down: at x, from top to bottom. */
export interface Lane {
  x: number;
  top: number;
  bottom: number;
}

/** Parts that have their places, and the content's frame. */
export interface Grounds {
  x: readonly number[];
  y: readonly number[];
  w: readonly number[];
  h: readonly number[];
  height: number;
  enter: number;
  leave: number;
}

/** Distance between lanes, and from a lane to a part; how far below a part its wire turns into the lane. */
const APART = 14;
const TURN = 13;

/**
 * A lane for each edge. What one part gives to several runs in one lane, and so does all that leaves the module:
 * a part's output is one tensor, and lanes as many as edges would fill the drawing where all parts read all others.
 */
export function lanesOf(grounds: Grounds, edges: readonly Local[]): Lane[] {
  const bundles = new Map<string, number[]>();
  edges.forEach((e, i) => {
    const key = e.to === LEAVE ? "leave" : String(e.from);
    bundles.set(key, [...(bundles.get(key) ?? []), i]);
  });
  const ends = edges.map((e) => span(grounds, e));
  const wanted = [...bundles.values()].map((members) => ({
    members,
    top: Math.min(...members.map((i) => (ends[i] as Lane).top)),
    bottom: Math.max(...members.map((i) => (ends[i] as Lane).bottom)),
    near: members.reduce((sum, i) => sum + (ends[i] as Lane).x, 0) / members.length,
  }));
  // Short ones lie inside, next to what they skip.
  wanted.sort((a, b) => a.bottom - a.top - (b.bottom - b.top));
  const taken: Lane[] = [];
  const lanes = [...ends];
  for (const { members, top, bottom, near } of wanted) {
    const [left, right] = [free(grounds, taken, top, bottom, -1), free(grounds, taken, top, bottom, 1)];
    const x = near - left <= right - near ? left : right;
    taken.push({ x, top, bottom });
    for (const i of members) lanes[i] = { ...(ends[i] as Lane), x };
  }
  return lanes;
}

/** From below an edge's source to above its target; x is the middle between the two. */
function span(g: Grounds, e: Local): Lane {
  const middle = (i: number) => (g.x[i] as number) + (g.w[i] as number) / 2;
  const from = e.from === ENTER ? g.enter : middle(e.from);
  const to = e.to === LEAVE ? g.leave : middle(e.to);
  const top = e.from === ENTER ? TURN / 2 : (g.y[e.from] as number) + (g.h[e.from] as number) + TURN;
  const bottom = e.to === LEAVE ? g.height - TURN / 2 : (g.y[e.to] as number) - TURN;
  return { x: (from + to) / 2, top, bottom: Math.max(top, bottom) };
}

/** The innermost free place on one side (−1 left, 1 right) of all parts beside which the lane runs. */
function free(g: Grounds, taken: readonly Lane[], top: number, bottom: number, side: -1 | 1): number {
  let x = -Infinity;
  for (let i = 0; i < g.x.length; i++) {
    const [left, upper] = [g.x[i] as number, g.y[i] as number];
    if (upper > bottom || upper + (g.h[i] as number) < top) continue;
    x = Math.max(x, side * (side > 0 ? left + (g.w[i] as number) : left) + APART);
  }
  if (x === -Infinity) x = side * g.enter;
  const beside = taken
    .filter((t) => t.top <= bottom && t.bottom >= top)
    .map((t) => side * t.x)
    .sort((a, b) => a - b);
  for (const other of beside) if (Math.abs(other - x) < APART) x = other + APART;
  return side * x;
}
