import { describe, expect, it } from "vitest";
import {
  ends,
  moved,
  normal,
  overWhat,
  ranked,
  readCondition,
  readMoves,
  scattered,
  traverse,
  unlike,
  writeCondition,
  writeMoves,
} from "../../src/views/latent/state";

describe("the address", () => {
  it("gives moves back, rounded, without what is no unit", () => {
    expect(readMoves(writeMoves({ 3: 1.23456, 0: -2 }), 16)).toEqual({ 3: 1.235, 0: -2 });
    expect(readMoves("99:1,a:2,1:x,-1:3,2:0.5", 16)).toEqual({ 2: 0.5 });
    expect(readMoves(undefined, 16)).toEqual({});
  });

  it("gives a condition back, within 0..1 and without unknown names", () => {
    const names = ["smiling", "beard"];
    expect(readCondition(writeCondition({ smiling: 1, beard: 0.25 }), names)).toEqual({ smiling: 1, beard: 0.25 });
    expect(readCondition("hat:1,smiling:7,beard:", names)).toEqual({ smiling: 1 });
  });
});

describe("units", () => {
  it("stand where they were encoded or where they were moved to", () => {
    expect(moved([0.12345, 1], { 1: -2 })).toEqual([0.123, -2]);
  });

  it("come with the active ones first, by what they tell", () => {
    expect(ranked([0.1, 3, 0.001], null).map((r) => r.unit)).toEqual([1, 0, 2]);
    const unit = (u: number, kl: number, active: boolean) => ({ unit: u, kl, active, sensitivity: null, deviation: 1 });
    expect(ranked([9, 9, 9], [unit(0, 5, false), unit(1, 1, true), unit(2, 2, true)]).map((r) => r.unit)).toEqual([2, 1, 0]);
  });

  it("have sliders of three deviations, or as long as the code needs", () => {
    expect(ends(1, 0.4, 0)).toBe(3);
    expect(ends(0.5, 0, -4.21)).toBe(4.3);
  });

  it("are traversed from −3 to 3 deviations", () => {
    expect(traverse(2, 5)).toEqual([-6, -3, 0, 3, 6]);
  });
});

describe("unlike", () => {
  it("tells another picture from the same one rounded", () => {
    expect(unlike([10, 200], [12, 199])).toBe(false);
    expect(unlike([10, 200], [80, 200])).toBe(true);
    expect(unlike([10], [10, 200])).toBe(true);
  });
});

describe("random places", () => {
  it("are the same for a seed, and standard normal", () => {
    expect(scattered(7, [1, 1, 2])).toEqual(scattered(7, [1, 1, 2]));
    expect(scattered(7, [1, 1])).not.toEqual(scattered(8, [1, 1]));
    const draw = normal(1);
    const list = Array.from({ length: 20_000 }, draw);
    const mean = list.reduce((a, b) => a + b, 0) / list.length;
    const variance = list.reduce((a, b) => a + (b - mean) ** 2, 0) / list.length;
    // Four standard errors: 1/√n of the mean, √(2/n) of the variance.
    expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(list.length));
    expect(Math.abs(variance - 1)).toBeLessThan(4 * Math.sqrt(2 / list.length));
  });
});

it("says over which images units were measured", () => {
  const mine = { name: "mine", size: 40 };
  expect(overWhat({ images: 40, instead: null, enough: 32 }, mine)).toBe("KL over the 40 images of mine");
  expect(overWhat({ images: 256, instead: null, enough: 32 }, { name: "all", size: 300 })).toBe("KL over 256 of the 300 images of all");
  expect(overWhat({ images: 256, instead: "faces", enough: 32 }, { name: "mine", size: 1 })).toBe(
    "KL over 256 images of the built-in faces (the one image of mine: fewer than 32 are too few to tell)",
  );
  expect(overWhat({ images: 3, instead: null, enough: 32 }, { name: "mine", size: 3 })).toContain("too few to tell well: 32 are enough");
});
