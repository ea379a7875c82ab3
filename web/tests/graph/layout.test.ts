import { expect, test } from "vitest";
import { layout, revealed, type Memo } from "../../src/graph/layout";
import { CAP } from "../../src/graph/project";
import type { Box, Scene, Wire } from "../../src/graph/scene";
import { isModule, readable, treeOf, type Tree } from "../../src/graph/tree";
import { graph, node, random, residual } from "./graphs";

const all = (tree: Tree) => new Set(tree.items.filter((i) => i.index > 0 && isModule(i)).map((i) => i.index));
const none = new Map<number, number>();
const sceneOf = (tree: Tree, open = all(tree), memo: Memo | null = new Map()) => layout(tree, { open, limits: none }, memo);
const named = (tree: Tree, scene: Scene, id: string) => scene.boxes.find((b) => b.item === tree.byId.get(id)) as Box;

const overlap = (a: Box, b: Box) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

const within = (b: Box, f: { x: number; y: number; w: number; h: number }) =>
  b.x >= f.x - 1e-6 && b.y >= f.y - 1e-6 && b.x + b.w <= f.x + f.w + 1e-6 && b.y + b.h <= f.y + f.h + 1e-6;

/** What holds in every scene. */
function sound(scene: Scene): void {
  const frameOf = (i: number) => scene.boxes[i] ?? { x: 0, y: 0, w: scene.width, h: scene.height };
  const parts = new Map<number, Box[]>();
  for (const b of scene.boxes) parts.set(b.parent, [...(parts.get(b.parent) ?? []), b]);
  const siblings = [...parts.values()];
  expect(siblings.flatMap((s) => s.filter((a, i) => s.slice(i + 1).some((b) => overlap(a, b)))), "overlap").toEqual([]);
  expect(scene.boxes.filter((b) => !within(b, frameOf(b.parent))), "outside their module").toEqual([]);
  const ends = scene.boxes.map((b, i) => {
    const next = scene.boxes.findIndex((o, k) => k > i && o.depth <= b.depth);
    return next < 0 ? scene.boxes.length : next;
  });
  expect(scene.boxes.map((b) => b.end)).toEqual(ends);
  // A wire joins parts of its owner, or one of them with the owner's own frame.
  const joins = (w: Wire, end: number) => end === w.owner || scene.boxes[end]?.parent === w.owner;
  expect(scene.wires.filter((w) => !joins(w, w.source) || !joins(w, w.target)), "loose ends").toEqual([]);
  const strays = (w: Wire) => points(w).some(([x, y]) => !within({ x, y, w: 0, h: 0 } as Box, frameOf(w.owner)));
  expect(scene.wires.filter(strays), "outside their module").toEqual([]);
  const rises = (w: Wire) => points(w).some(([, y], k, all) => k > 0 && y < (all[k - 1] as [number, number])[1] - 1e-6);
  expect(scene.wires.filter(rises), "upwards").toEqual([]);
}

function points(wire: Wire): [number, number][] {
  return Array.from({ length: wire.points.length / 2 }, (_, k) => [wire.points[2 * k], wire.points[2 * k + 1]] as [number, number]);
}

test.each([1, 2, 3])("parts do not overlap and lie inside their modules, wires join what they say (%i)", (seed) => {
  const tree = treeOf(random(seed, 45));
  sound(sceneOf(tree));
  sound(sceneOf(tree, new Set([tree.byId.get("a") as number])));
});

test("the same holds of residual blocks, whose skips run beside them", () => {
  const tree = treeOf(residual(6));
  const scene = sceneOf(tree);
  sound(scene);
  expect(scene.wires.filter((w) => w.skip)).toHaveLength(6);
  for (const w of scene.wires.filter((s) => s.skip)) {
    const lane = w.points[2] as number;
    const passed = scene.boxes.filter((b) => b.parent === w.owner && b.y > (w.points[3] as number) && b.y + b.h < (w.points[5] as number));
    expect(passed.length).toBeGreaterThan(0);
    expect(passed.every((b) => lane < b.x || lane > b.x + b.w)).toBe(true);
  }
});

test("a chain of equal blocks is laid out once, and just as without a memo", () => {
  const tree = treeOf(residual(9));
  const memo: Memo = new Map();
  const scene = sceneOf(tree, all(tree), memo);
  // The network, the list, and one for all nine blocks.
  expect(memo.size).toBe(3);
  expect(scene).toEqual(sceneOf(tree, all(tree), null));
  expect(sceneOf(tree, all(tree), memo)).toEqual(scene);
});

test("an edge is drawn among the parts that hold its ends, and counts what it stands for", () => {
  const tree = treeOf(residual(3));
  const closed = sceneOf(tree, new Set());
  expect(closed.wires.map((w) => [w.source, w.target, w.count])).toEqual([
    [0, 1, 2],
    [1, 2, 1],
  ]);
  const some = sceneOf(tree, new Set([tree.byId.get("blocks") as number]));
  const blocks = named(tree, some, "blocks");
  const inner = some.wires.filter((w) => some.boxes[w.owner] === blocks);
  // In from outside, from block to block (norm and sum both read), and out.
  expect(inner.map((w) => w.count)).toEqual([2, 2, 2, 1]);
  expect(inner[0]?.source).toBe(inner[0]?.owner);
  expect(inner[3]?.target).toBe(inner[3]?.owner);
});

test("large modules are capped, and what is left out is one box with its edges", () => {
  const n = CAP + 50;
  const ids = Array.from({ length: n }, (_, i) => `n${i}`);
  const tree = treeOf(graph(ids.map((id) => node(id, null)), ids.slice(1).map((id, i) => [`n${i}`, id])));
  const view = { open: new Set<number>(), limits: none };
  const scene = layout(tree, view);
  expect(scene.boxes).toHaveLength(CAP + 1);
  const rest = scene.boxes[CAP] as Box;
  expect([rest.part, rest.hidden]).toEqual(["more", 50]);
  expect(scene.wires.filter((w) => w.target === CAP)).toHaveLength(1);
  sound(scene);
  const further = layout(tree, revealed(tree, view, tree.byId.get("n240") as number, CAP));
  expect(further.boxes).toHaveLength(n);
});

test("revealing opens what is around, and nothing else", () => {
  const tree = treeOf(residual(4));
  const conv = tree.byId.get("blocks.2.conv") as number;
  const view = revealed(tree, { open: new Set(), limits: none }, conv, CAP);
  expect([...view.open].sort()).toEqual([tree.byId.get("blocks"), tree.byId.get("blocks.2")].sort());
  expect(named(tree, layout(tree, view), "blocks.2.conv").part).toBe("leaf");
});

test("at first only as much is open as can be read", () => {
  const tree = treeOf(residual(40));
  const scene = sceneOf(tree, readable(tree));
  expect(scene.boxes.filter((b) => b.part !== "open")).toHaveLength(42);
  expect(scene.boxes.filter((b) => b.part === "closed")).toHaveLength(40);
  const small = treeOf(residual(4));
  expect(sceneOf(small, readable(small))).toEqual(sceneOf(small));
});

test("a graph whose edges run in a circle is still drawn", () => {
  const tree = treeOf(graph(["a", "b", "c"].map((id) => node(id, null)), [["a", "b"], ["b", "c"], ["c", "a"]]));
  const scene = sceneOf(tree);
  expect(scene.boxes).toHaveLength(3);
  expect(scene.wires).toHaveLength(3);
});

test("a network of one layer, and one of none", () => {
  const one = treeOf(graph([node("a", null)], []));
  expect(sceneOf(one).boxes).toHaveLength(1);
  const empty = sceneOf(treeOf(graph([], [])));
  expect([empty.boxes.length, Number.isFinite(empty.width), Number.isFinite(empty.height)]).toEqual([0, true, true]);
});
