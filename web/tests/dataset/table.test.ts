import { describe, expect, it } from "vitest";
import { cellStep, type ClassRow, confusions, normalised, short, sorted, worth } from "../../src/views/dataset/table";

const row = (name: string, iou: number | null): ClassRow => ({
  name,
  iou,
  pixels: 1,
  predicted: 1,
  dice: null,
  precision: null,
  recall: null,
  boundary_f: null,
});
const counts = [
  [8, 2, 0],
  [1, 3, 0],
  [0, 0, 0],
];

describe("sorted", () => {
  const rows = [row("road", 0.9), row("bus", null), row("car", 0.4)];
  const names = (list: [number, ClassRow][]) => list.map(([i, r]) => `${i}${r.name}`);

  it("keeps each class's index, and puts the undefined last both ways", () => {
    expect(names(sorted(rows, "iou", false))).toEqual(["2car", "0road", "1bus"]);
    expect(names(sorted(rows, "iou", true))).toEqual(["0road", "2car", "1bus"]);
    expect(names(sorted(rows, "name", false))).toEqual(["1bus", "2car", "0road"]);
    expect(names(sorted(rows, "index", true))).toEqual(["2car", "1bus", "0road"]);
  });
});

describe("normalised", () => {
  it("is the share of the row, of the column, of all; null of nothing", () => {
    expect(normalised(counts, "row")).toEqual([
      [0.8, 0.2, 0],
      [0.25, 0.75, 0],
      [null, null, null],
    ]);
    expect(normalised(counts, "column")[0]).toEqual([8 / 9, 2 / 5, null]);
    expect(normalised(counts, "raw")[0]?.[0]).toBeCloseTo(8 / 14);
  });
});

describe("worth", () => {
  it("leaves out what does not occur, and of too many keeps the most confused in order", () => {
    expect(worth(counts, 9)).toEqual([0, 1]);
    const many = [
      [9, 0, 1],
      [0, 9, 0],
      [5, 0, 9],
    ];
    expect(worth(many, 2)).toEqual([0, 2]);
  });
});

describe("cellStep", () => {
  it("moves by a cell and stops at the edges", () => {
    expect(cellStep("ArrowRight", [0, 0], 3, 3)).toEqual([0, 1]);
    expect(cellStep("ArrowUp", [0, 1], 3, 3)).toEqual([0, 1]);
    expect(cellStep("End", [1, 0], 3, 3)).toEqual([1, 2]);
    expect(cellStep("PageDown", [0, 2], 3, 3)).toEqual([2, 2]);
    expect(cellStep("a", [0, 0], 3, 3)).toBeNull();
  });
});

describe("confusions", () => {
  it("lists the cells off the diagonal, most pixels first", () => {
    expect(confusions(counts, 5)).toEqual([
      [0, 1, 2],
      [1, 0, 1],
    ]);
  });
});

describe("short", () => {
  it.each([
    [0, "0"],
    [999, "999"],
    [1234, "1.2k"],
    [9960, "10k"],
    [34_400, "34k"],
    [1_240_000, "1.2M"],
  ])("%d is %s", (n, text) => expect(short(n)).toBe(text));
});
