import { describe, expect, it } from "vitest";
import type { ImageInfo } from "../../src/core/api";
import { arranged, grid, paired, step, visible, type Wish } from "../../src/core/arrange";

const image = (name: string, truth = true): ImageInfo => ({ id: name, name, set: "s", width: 4, height: 2, truth });
const images = [image("b10"), image("b9"), image("a1", false)];
const wish: Wish = { text: "", truthOnly: false, order: "name", reversed: false };
const names = (list: ImageInfo[]) => list.map((i) => i.name);

describe("arranged", () => {
  it("sorts names as a person counts", () => {
    expect(names(arranged(images, wish, () => undefined))).toEqual(["a1", "b9", "b10"]);
    expect(names(arranged(images, { ...wish, reversed: true }, () => undefined))).toEqual(["b10", "b9", "a1"]);
  });

  it("puts the worst first, and what has no score last whichever way round", () => {
    const iou: Record<string, number> = { b10: 0.9, b9: 0.2 };
    const scores = (i: ImageInfo) => (i.name in iou ? { mean_iou: iou[i.name] ?? null, pixel_accuracy: null } : undefined);
    expect(names(arranged(images, { ...wish, order: "error" }, scores))).toEqual(["b9", "b10", "a1"]);
    expect(names(arranged(images, { ...wish, order: "error", reversed: true }, scores))).toEqual(["b10", "b9", "a1"]);
  });

  it("wants all words, in any order, and truth where asked", () => {
    expect(names(arranged(images, { ...wish, text: "0 B" }, () => undefined))).toEqual(["b10"]);
    expect(names(arranged(images, { ...wish, truthOnly: true }, () => undefined))).toEqual(["b9", "b10"]);
  });
});

describe("grid", () => {
  it("fills the width and counts the last row", () => {
    expect(grid(10, 1000, 240, 2, 40)).toEqual({ columns: 4, tile: 250, row: 165, rows: 3 });
    expect(grid(1, 100, 240, 1, 0).columns).toBe(1);
  });

  it("draws what is seen and a row on either side", () => {
    const layout = grid(1000, 400, 100, 1, 0);
    expect(visible(layout, 1000, 0, 250)).toEqual([0, 16]);
    expect(visible(layout, 1000, 1000, 200)).toEqual([36, 52]);
    expect(visible(layout, 5, 1000, 200)).toEqual([5, 5]);
  });
});

describe("step", () => {
  it("moves by one, by row, by page, and to the ends", () => {
    expect(step("ArrowRight", 3, 10, 4, 2)).toBe(4);
    expect(step("ArrowDown", 3, 10, 4, 2)).toBe(7);
    expect(step("ArrowUp", 1, 10, 4, 2)).toBe(1);
    expect(step("ArrowDown", 8, 10, 4, 2)).toBe(8);
    expect(step("PageDown", 8, 10, 4, 2)).toBe(9);
    expect(step("Home", 8, 10, 4, 2)).toBe(0);
    expect(step("End", 0, 10, 4, 2)).toBe(9);
    expect(step("x", 0, 10, 4, 2)).toBeNull();
    expect(step("Home", 0, 0, 4, 2)).toBeNull();
  });
});

describe("paired", () => {
  it("pairs by stem and says what found no partner, or two", () => {
    const twice = [...images, image("sub/b9.jpg")];
    const { pairs, lost } = paired([{ name: "b10.png" }, { name: "b9.png" }, { name: "c.png" }], twice);
    expect(pairs.map(([i, f]) => [i.name, f.name])).toEqual([["b10", "b10.png"]]);
    expect(lost.map((f) => f.name)).toEqual(["b9.png", "c.png"]);
  });
});
