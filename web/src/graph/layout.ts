/** From a tree and what is open in it to the scene: each module laid out by itself, from the inside outwards. */

import { placed, type Placed } from "./place";
import { ENTER, LEAVE, levelsOf, type Level, type View } from "./project";
import { TITLE, type Box, type Part, type Scene, type Wire } from "./scene";
import { around, type Item, type Tree } from "./tree";
import { linesOf } from "./words";

/** Layouts by the sizes of the parts and the edges between them: equal blocks are laid out once. */
export type Memo = Map<string, Placed>;

const PAD = 14;
const LINE = 15;
/** How much wider the name is, which is written bold. */
const BOLD = 1.14;
const [NARROWEST, WIDEST] = [96, 272];

interface Sized {
  w: number;
  h: number;
  placed: Placed | null;
  /** Of an open module: how far its content is moved right, where its title is wider. */
  shift: number;
}

/** The scene of a tree. memo: kept from one call to the next, so that what did not change costs nothing; null for none. */
export function layout(tree: Tree, view: View, memo: Memo | null = new Map()): Scene {
  const levels = levelsOf(tree, view);
  const sizes = new Map<number, Sized>();
  // Inner modules stand after the ones around them.
  for (const level of [...levels.values()].reverse()) sizes.set(level.item, measured(tree, level, sizes, memo));
  const boxes: Box[] = [];
  const wires: Wire[] = [];
  const whole = sizes.get(0) as Sized;
  emit(0, -1, PAD, PAD);
  return { boxes, wires, width: whole.w + 2 * PAD, height: whole.h + 2 * PAD };

  /** The parts of a level into the scene; x, y: of its content. */
  function emit(item: number, owner: number, x: number, y: number): void {
    const level = levels.get(item) as Level;
    const plan = (sizes.get(item) as Sized).placed as Placed;
    const at: number[] = [];
    for (let i = 0; i < plan.x.length; i++) {
      const rest = i === level.children.length;
      const child = rest ? item : (level.children[i] as number);
      const inner = rest ? null : (sizes.get(child) ?? null);
      const size = inner ?? closedSize(tree, child, rest ? level.hidden : 0);
      const [left, top] = [x + (plan.x[i] as number), y + (plan.y[i] as number)];
      const open = inner?.placed ?? null;
      const box: Box = {
        item: child,
        part: partOf(tree.items[child] as Item, rest, open !== null),
        x: left,
        y: top,
        w: size.w,
        h: size.h,
        parent: owner,
        end: 0,
        depth: owner < 0 ? 0 : (boxes[owner] as Box).depth + 1,
        hidden: rest ? level.hidden : 0,
        enter: left + (open ? PAD + (inner as Sized).shift + open.enter : size.w / 2),
        leave: left + (open ? PAD + (inner as Sized).shift + open.leave : size.w / 2),
      };
      const index = boxes.push(box) - 1;
      at.push(index);
      if (open) emit(child, index, left + PAD + (inner as Sized).shift, top + TITLE + PAD / 2);
      box.end = boxes.length;
    }
    level.edges.forEach((e, i) => wires.push(wire(plan, i, e, owner, at, x, y)));
  }

  function wire(plan: Placed, i: number, e: Level["edges"][number], owner: number, at: number[], x: number, y: number): Wire {
    const frame = boxes[owner] as Box;
    const [source, target] = [e.from === ENTER ? owner : (at[e.from] as number), e.to === LEAVE ? owner : (at[e.to] as number)];
    const [a, b] = [boxes[source] as Box, boxes[target] as Box];
    const points = e.from === ENTER ? [frame.enter, frame.y + TITLE] : [a.leave, a.y + a.h];
    const bends = plan.bends[i] as number[];
    for (let k = 0; k < bends.length; k += 2) points.push(x + (bends[k] as number), y + (bends[k + 1] as number));
    points.push(...(e.to === LEAVE ? [frame.leave, frame.y + frame.h] : [b.enter, b.y]));
    return { owner, source, target, points, count: e.count, skip: plan.skip[i] as boolean };
  }
}

function partOf(item: Item, rest: boolean, open: boolean): Part {
  if (rest) return "more";
  return item.children.length ? (open ? "open" : "closed") : "leaf";
}

function measured(tree: Tree, level: Level, inner: ReadonlyMap<number, Sized>, memo: Memo | null): Sized {
  const sizes = level.children.map((c) => inner.get(c) ?? closedSize(tree, c, 0));
  if (level.hidden) sizes.push(closedSize(tree, level.item, level.hidden));
  const [w, h] = [sizes.map((s) => s.w), sizes.map((s) => s.h)];
  const key = memo ? `${w.join()};${h.join()};${level.edges.map((e) => `${e.from}>${e.to}`).join()}` : "";
  let plan = memo?.get(key);
  if (!plan) {
    plan = placed(w, h, level.edges);
    memo?.set(key, plan);
  }
  if (level.item === 0) return { w: plan.width, h: plan.height, placed: plan, shift: 0 };
  const item = tree.items[level.item] as Item;
  const title = stepped(Math.min(textWidth(`${item.name}  ${item.type}`) + TITLE + PAD, WIDEST));
  const width = Math.max(plan.width + 2 * PAD, title);
  return { w: width, h: plan.height + TITLE + PAD * 1.5, placed: plan, shift: (width - plan.width) / 2 - PAD };
}

/** The size of a layer's box, of a closed module's, or of the rest of a large module. */
function closedSize(tree: Tree, index: number, hidden: number): Sized {
  const item = tree.items[index] as Item;
  const lines = hidden ? [`${hidden} more`, "show"] : linesOf(item);
  // Outlines that slant or round leave less room for words.
  const margin = hidden || item.children.length ? 44 : 40;
  const w = Math.max(NARROWEST, Math.min(WIDEST, Math.max(...lines.map((line, i) => textWidth(line) * (i ? 1 : BOLD))) + margin));
  return { w: stepped(w), h: 14 + lines.length * LINE, placed: null, shift: 0 };
}

/** Widths in few steps, so that blocks which differ in a digit of a name still count as equal. */
const stepped = (w: number) => Math.ceil(w / 16) * 16;

/** A line's width at 12 px, rather more than less: the worker knows no fonts. */
function textWidth(text: string): number {
  let width = 0;
  for (const c of text) width += "iljtfrI.,:;|'()[]! ".includes(c) ? 4.2 : "mwMW@%×".includes(c) ? 11 : c >= "A" && c <= "Z" ? 8.2 : 7;
  return width;
}

/** The view in which an item is shown: the modules around it open, and large ones as far as to it. */
export function revealed(tree: Tree, view: View, index: number, cap: number): View {
  const open = new Set(view.open);
  const limits = new Map(view.limits);
  const above = around(tree, index);
  for (const module of above) open.add(module);
  let child = index;
  for (const module of [...above, 0]) {
    const place = (tree.items[module] as Item).children.indexOf(child);
    const limit = limits.get(module) ?? cap;
    if (place >= limit) limits.set(module, Math.ceil((place + 1) / cap) * cap);
    child = module;
  }
  return { open, limits };
}
