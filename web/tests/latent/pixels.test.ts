import { describe, expect, it } from "vitest";
import type { Rgb } from "../../src/core/api";
import { changed, difference, diverging, fromHex, fromLabels, fromRgb, greatest, hex, sequential } from "../../src/parts/pixels";

const table: Rgb[] = [
  [0, 0, 255],
  [255, 255, 255],
  [255, 0, 0],
];
const pixel = (p: Uint8ClampedArray, i: number) => [...p.slice(4 * i, 4 * i + 4)];

describe("pixels", () => {
  it("of pictures are opaque, of labels in their classes' colours or transparent", () => {
    expect([...fromRgb([1, 2, 3, 4, 5, 6])]).toEqual([1, 2, 3, 255, 4, 5, 6, 255]);
    expect([...fromLabels([2, 9], table)]).toEqual([255, 0, 0, 255, 0, 0, 0, 0]);
  });

  it("of differences: nothing where nothing changes, the ends' colours at ±end and beyond", () => {
    const p = diverging([-2, 0, 1, NaN], 1, table);
    expect([pixel(p, 0), pixel(p, 1), pixel(p, 2), pixel(p, 3)]).toEqual([
      [0, 0, 255, 255],
      [255, 255, 255, 0],
      [255, 0, 0, 255],
      [0, 0, 0, 0],
    ]);
  });

  it("of maps let the picture through where they are 0", () => {
    const p = sequential([0, 1], 1, table, 1);
    expect(pixel(p, 0)[3]).toBe(0);
    expect(pixel(p, 1)).toEqual([255, 0, 0, 255]);
  });

  it("differ by the mean over the channels, in 0..1", () => {
    expect(difference([0, 0, 0], [255, 255, 255])[0]).toBe(1);
    expect(difference([255, 0, 0], [0, 0, 0])[0]).toBeCloseTo(-1 / 3);
    expect([...changed([1, 2], [1, 3])]).toEqual([0, 1]);
    expect(greatest([0.5, -2, NaN, Infinity])).toBe(2);
  });

  it("go to hexadecimal and back", () => {
    expect(fromHex(hex([26, 43, 60]))).toEqual([26, 43, 60]);
    expect(hex([0, 10, 255])).toBe("#000aff");
  });
});
