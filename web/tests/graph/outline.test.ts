import { expect, test } from "vitest";
import { act, rowsOf, typed } from "../../src/graph/outline";
import { CAP } from "../../src/graph/project";
import { treeOf, type Item } from "../../src/graph/tree";
import { graph, node, residual } from "./graphs";

const tree = treeOf(residual(3));
const at = (id: string) => tree.byId.get(id) as number;
const rows = rowsOf(tree, { open: new Set([at("blocks"), at("blocks.1")]), limits: new Map() });
const row = (id: string) => rows.findIndex((r) => r.item === at(id));

test("rows show what is open, with their places among their siblings", () => {
  expect(rows.map((r) => (tree.items[r.item] as Item).name)).toEqual(
    ["input", "blocks", "0", "1", "norm", "conv", "add", "2", "output"],
  );
  expect(rows[row("blocks.1.conv")]).toEqual({ item: at("blocks.1.conv"), more: 0, level: 3, position: 2, siblings: 3, open: null });
  expect(rows.map((r) => r.open)).toEqual([null, true, false, true, null, null, null, false, null]);
});

test("up, down, Home and End move, and stop at the ends", () => {
  expect(act(rows, 0, "ArrowUp")).toEqual({ kind: "move", row: 0 });
  expect(act(rows, 0, "ArrowDown")).toEqual({ kind: "move", row: 1 });
  expect(act(rows, 3, "End")).toEqual({ kind: "move", row: 8 });
  expect(act(rows, 3, "Home")).toEqual({ kind: "move", row: 0 });
  expect(act(rows, 3, "PageDown", false, 4)).toEqual({ kind: "move", row: 7 });
  expect(act(rows, -1, "ArrowDown")).toEqual({ kind: "move", row: 0 });
});

test("right opens, then goes in; left closes, then goes out", () => {
  expect(act(rows, row("blocks.0"), "ArrowRight")).toEqual({ kind: "open", item: at("blocks.0") });
  expect(act(rows, row("blocks.1"), "ArrowRight")).toEqual({ kind: "move", row: row("blocks.1.norm") });
  expect(act(rows, row("blocks.1.conv"), "ArrowRight")).toBe(null);
  expect(act(rows, row("blocks.1"), "ArrowLeft")).toEqual({ kind: "close", item: at("blocks.1") });
  expect(act(rows, row("blocks.1:add"), "ArrowLeft")).toEqual({ kind: "move", row: row("blocks.1") });
  expect(act(rows, row("blocks.2"), "ArrowLeft")).toEqual({ kind: "move", row: row("blocks") });
  expect(act(rows, 0, "ArrowLeft")).toBe(null);
});

test("Enter chooses, with Shift one more", () => {
  expect(act(rows, 4, "Enter", true)).toEqual({ kind: "choose", item: at("blocks.1.norm"), add: true });
  expect(act(rows, 4, "Escape")).toBe(null);
});

test("typing goes to the next name that begins so, round the end", () => {
  expect(typed(tree, rows, 0, "c")).toBe(row("blocks.1.conv"));
  expect(typed(tree, rows, row("blocks.1.conv"), "b")).toBe(row("blocks.2"));
  expect(typed(tree, rows, row(":output"), "inp")).toBe(0);
  expect(typed(tree, rows, row(":output"), "out")).toBe(row(":output"));
  expect(typed(tree, rows, 2, "zz")).toBe(2);
  // Nothing has the focus yet, and what was typed begins no name.
  expect(typed(tree, rows, -1, "zz")).toBe(-1);
});

test("a large module ends in a row for the rest, which Enter shows", () => {
  const ids = Array.from({ length: CAP + 9 }, (_, i) => `n${i}`);
  const large = treeOf(graph(ids.map((id) => node(id, null)), []));
  const some = rowsOf(large, { open: new Set(), limits: new Map() });
  expect(some).toHaveLength(CAP + 1);
  expect(some[CAP]).toMatchObject({ item: 0, more: 9, position: CAP + 1, siblings: CAP + 1 });
  expect(act(some, CAP, "Enter")).toEqual({ kind: "more", item: 0 });
  expect(rowsOf(large, { open: new Set(), limits: new Map([[0, 2 * CAP]]) })).toHaveLength(CAP + 9);
});
