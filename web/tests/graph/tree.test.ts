import { expect, test } from "vitest";
import { lookOf, LOOKS, outlinePath } from "../../src/graph/looks";
import { nextResult, search } from "../../src/graph/search";
import { around, treeOf, type Item } from "../../src/graph/tree";
import { countText, fieldText, linesOf, strideText } from "../../src/graph/words";
import { graph, group, node, residual } from "./graphs";

test("modules that hold one thing are one item with it, found by each of their ids", () => {
  const tree = treeOf(
    graph(
      [node("stem.conv", "stem"), node("body.0.act.fn", "body.0.act", { type: "GELU", kind: "activation" }), node("body.1", "body")],
      [["stem.conv", "body.0.act.fn"], ["body.0.act.fn", "body.1"]],
      [group("stem", null), group("body", null), group("body.0", "body"), group("body.0.act", "body.0")],
    ),
  );
  expect(tree.items.map((i) => i.name)).toEqual(["net", "stem.conv", "body", "0.act.fn", "1"]);
  const act = tree.items[3] as Item;
  expect(act.ids).toEqual(["body.0", "body.0.act", "body.0.act.fn"]);
  expect(act.ids.map((id) => tree.byId.get(id))).toEqual([3, 3, 3]);
  expect([act.look, act.layer]).toEqual(["activation", "body.0.act.fn"]);
  expect(around(tree, 3)).toEqual([2]);
});

test("what can be tapped: calls of modules; neither operations, inputs, outputs nor lists", () => {
  const tree = treeOf(residual(2));
  const layer = (id: string) => (tree.items[tree.byId.get(id) as number] as Item).layer;
  expect(layer("blocks.1.conv")).toBe("blocks.1.conv");
  expect(layer("blocks.1")).toBe("blocks.1");
  expect([layer("blocks"), layer("blocks.1:add"), layer(":input"), layer(":output")]).toEqual([null, null, null, null]);
});

test("a layer that runs twice is tapped call by call", () => {
  const calls = [0, 1].map((call) => node(`pool#${call}`, null, { path: "pool", call, calls: 2, type: "MaxPool2d" }));
  const tree = treeOf(graph(calls, [["pool#0", "pool#1"]]));
  expect(tree.items.slice(1).map((i) => [i.name, i.layer])).toEqual([
    ["pool#0", "pool#0"],
    ["pool#1", "pool#1"],
  ]);
});

test("an operation in a module of one layer leaves the module to be tapped", () => {
  const tree = treeOf(
    graph([node("a:relu", "a", { path: "a", type: "relu", kind: "activation" }), node("b", null)], [["a:relu", "b"]], [group("a", null)]),
  );
  expect((tree.items[1] as Item).layer).toBe("a");
});

test("every item stands before those inside it, and says where these end", () => {
  const tree = treeOf(residual(3));
  for (const item of tree.items) {
    for (const child of item.children) {
      expect(child).toBeGreaterThan(item.index);
      expect((tree.items[child] as Item).end).toBeLessThanOrEqual(item.end);
    }
  }
  expect((tree.items[0] as Item).size).toBe(11);
});

test("search takes every word, in name, type, kind and settings", () => {
  const tree = treeOf(residual(3));
  const ids = (query: string) => search(tree, query).map((i) => (tree.items[i] as Item).id);
  expect(ids("CONV 3x3 blocks.1")).toEqual(["blocks.1.conv"]);
  expect(ids("batchnorm")).toEqual(["blocks.0.norm", "blocks.1.norm", "blocks.2.norm"]);
  expect(ids("sum")).toEqual(["blocks.0:add", "blocks.1:add", "blocks.2:add"]);
  // No item is called so, but four lie in it.
  expect(ids("blocks.1")).toEqual(["blocks.1", "blocks.1.norm", "blocks.1.conv", "blocks.1:add"]);
  expect(ids("  ")).toEqual([]);
  expect(ids("nothing such")).toEqual([]);
});

test("what only lies in a module of that name is not meant", () => {
  const data = graph([node("conv1.0", "conv1"), node("conv1.1", "conv1", { type: "ReLU", kind: "activation" })], [], [group("conv1", null)]);
  const tree = treeOf(data);
  expect(search(tree, "conv").map((i) => (tree.items[i] as Item).id)).toEqual(["conv1", "conv1.0"]);
  expect(search(tree, "conv1 relu").map((i) => (tree.items[i] as Item).id)).toEqual(["conv1.1"]);
});

test("results are gone through in both ways, round the ends", () => {
  expect(nextResult([3, 7, 9], null, 1)).toBe(3);
  expect(nextResult([3, 7, 9], 7, 1)).toBe(9);
  expect(nextResult([3, 7, 9], 9, 1)).toBe(3);
  expect(nextResult([3, 7, 9], 8, -1)).toBe(7);
  expect(nextResult([3, 7, 9], 3, -1)).toBe(9);
  expect(nextResult([], 3, 1)).toBe(null);
});

test("every look has an outline of its own", () => {
  const outlines = LOOKS.filter((l) => l !== "module").map((look) => outlinePath(look, 0, 0, 40, 20));
  expect(new Set(outlines).size).toBe(outlines.length);
});

test("joins are told apart, and kinds that nobody knows are 'other'", () => {
  expect([lookOf("join", "cat"), lookOf("join", "add"), lookOf("resize", "interpolate"), lookOf("new", "x")]).toEqual([
    "concatenation",
    "arithmetic",
    "upsampling",
    "other",
  ]);
});

test("numbers in words", () => {
  expect([countText(999), countText(12_345), countText(84_600_000)]).toEqual(["999", "12.3 k", "84.6 M"]);
  expect([fieldText([7, 7]), fieldText([7, null]), fieldText([null, null]), fieldText(null)]).toEqual([
    "7 px",
    "7×whole image",
    "whole image",
    "–",
  ]);
  expect(strideText([0.5, 0.5])).toBe("0.5 px");
});

test("a box says name, type with settings, and its shape where that is news", () => {
  const data = graph([node("conv", null, { detail: "3×3", shape: [1, 8, 4, 4] })], []);
  expect(linesOf(treeOf(data).items[1] as Item)).toEqual(["conv", "Conv2d 3×3", "8×4×4"]);
});
