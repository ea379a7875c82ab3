/** Which boxes there are while some modules are open, and between which of them data flows. */

import type { Item, Tree } from "./tree";

/** What is shown: the open modules, and how many parts of a large one (`CAP` where it is not named). */
export interface View {
  open: ReadonlySet<number>;
  limits: ReadonlyMap<number, number>;
}

/** Parts of one module that are laid out at once; 'show more' adds as many. */
export const CAP = 200;

/** Stands, among the parts of a module, for where data comes in and where it leaves. */
export const ENTER = -1;
export const LEAVE = -2;

/** A module as it is shown: its shown parts in order, and what flows between them. */
export interface Level {
  item: number;
  children: number[];
  /** Parts that are left out; the last place, children.length, then stands for them. */
  hidden: number;
  /** Between places in `children`, or ENTER and LEAVE. */
  edges: Local[];
}

export interface Local {
  from: number;
  to: number;
  count: number;
}

/** The level of the network and of each open module that is shown, by item. */
export function levelsOf(tree: Tree, view: View): Map<number, Level> {
  const levels = new Map<number, Level>();
  /** For each item its place among its module's shown parts. */
  const place = new Int32Array(tree.items.length);
  /** For each item the innermost open module around it that is shown. */
  const home = new Int32Array(tree.items.length);
  const merged = new Map<number, Map<number, Local>>();

  function open(index: number): void {
    const item = tree.items[index] as Item;
    const limit = view.limits.get(index) ?? CAP;
    // One part alone is not left out: its box would be as large as that of the rest.
    const shown = item.children.length > limit + 1 ? limit : item.children.length;
    const children = item.children.slice(0, shown);
    const level = { item: index, children, hidden: item.children.length - shown, edges: [] };
    levels.set(index, level);
    merged.set(index, new Map());
    item.children.forEach((child, i) => {
      place[child] = Math.min(i, shown);
      const opens = i < shown && view.open.has(child) && (tree.items[child] as Item).children.length > 0;
      home[child] = index;
      if (opens) open(child);
      // What lies in a closed module has that module's place: found by going up to it.
      else for (let k = child + 1; k < (tree.items[child] as Item).end; k++) home[k] = ~child;
    });
  }

  function join(level: number, from: number, to: number, count: number): void {
    const known = merged.get(level) as Map<number, Local>;
    const key = (from + 2) * 65536 + to + 2;
    const edge = known.get(key);
    if (edge) edge.count += count;
    else known.set(key, { from, to, count });
  }

  open(0);
  const shownAs = (item: number) => ((home[item] as number) < 0 ? ~(home[item] as number) : item);
  for (const link of tree.links) {
    const [source, target] = [shownAs(link.source), shownAs(link.target)];
    const sources = pathTo(tree, source);
    const targets = pathTo(tree, target);
    let common = 0;
    while (common < sources.length && common < targets.length && sources[common] === targets[common]) common++;
    // A module's own output among its parts' readers: the graph of the server has no such link.
    if (common === sources.length || common === targets.length) continue;
    const [a, b] = [sources[common] as number, targets[common] as number];
    const [from, to] = [place[a] as number, place[b] as number];
    // Both among the parts that are left out.
    if (from === to) continue;
    join(home[a] as number, from, to, link.count);
    // What lies in a closed module, or is left out, ends at it: below, every module on the way is open.
    for (const i of sources.slice(common + 1)) join(home[i] as number, place[i] as number, LEAVE, link.count);
    for (const i of targets.slice(common + 1)) join(home[i] as number, ENTER, place[i] as number, link.count);
  }

  for (const [index, level] of levels) level.edges = [...(merged.get(index) as Map<number, Local>).values()];
  return levels;
}

/** The items from the outermost to this one, without the network itself. */
function pathTo(tree: Tree, index: number): number[] {
  const path: number[] = [];
  for (let i = index; i > 0; i = (tree.items[i] as Item).parent) path.push(i);
  return path.reverse();
}
