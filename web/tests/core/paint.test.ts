import { describe, expect, it } from "vitest";
import type { Rgb } from "../../src/core/api";
import { lookUp, packed, palette, rampOf } from "../../src/core/colours";
import { VALUES } from "../../src/core/float16";
import { clearOutside, hatchUndefined, histogram, paintLabels, paintMap, paintMask, percentile, rankOf, sharesByLabel, statisticsOf } from "../../src/core/paint";

/** The bit pattern whose value is nearest. */
function bitsOf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  let best = 0;
  for (let b = 0; b < 65536; b++) {
    if (Math.abs((VALUES[b] as number) - value) < Math.abs((VALUES[best] as number) - value)) best = b;
  }
  return best;
}

const bits = (...values: number[]) => Uint16Array.from(values, bitsOf);
const line = (a: Rgb, b: Rgb): Rgb[] =>
  Array.from({ length: 256 }, (_, i) => a.map((v, k) => Math.round(v + ((b[k] as number) - v) * (i / 255))) as Rgb);
const tables = { sequential: line([0, 0, 0], [200, 100, 50]), diverging: line([0, 0, 255], [255, 0, 0]) };
const alpha = (colour: number | undefined) => (colour as number) >>> 24;
const red = (colour: number | undefined) => (colour as number) & 255;

describe("statistics of a map", () => {
  const found = statisticsOf(bits(0, 0, 0.25, -0.5, 1, 0.5, NaN));

  it("tells least, greatest, undefined and how many are not zero", () => {
    expect(found).toMatchObject({ minimum: -0.5, maximum: 1, greatest: 1, undefined: 1, some: 4 });
  });

  it("ranks by size, zeros and undefined values aside", () => {
    expect(percentile(found, 100)).toBe(1);
    expect(percentile(found, 50)).toBe(0.5);
    expect(percentile(found, 25)).toBe(0.25);
    expect(percentile(found, 0)).toBe(0);
    expect(rankOf(found, 0.5)).toBe(75);
    expect(rankOf(found, percentile(found, 25))).toBe(25);
  });

  it("counts all that is not zero", () => {
    const bins = histogram(found, 4);
    expect([...bins]).toEqual([0, 1, 2, 1]);
  });

  it("counts under a cover only what it leaves open", () => {
    const some = statisticsOf(bits(0, 0.25, -0.5, NaN, 4), Uint8Array.of(1, 1, 1, 0, 0));
    expect(some).toMatchObject({ minimum: -0.5, maximum: 0.25, undefined: 0, some: 2 });
    const out = Uint32Array.of(7, 7, 7);
    clearOutside(Uint8Array.of(0, 1, 0), out);
    expect([...out]).toEqual([0, 7, 0]);
  });

  it("knows a map of zeros", () => {
    expect(statisticsOf(bits(0, -0, 0))).toMatchObject({ greatest: 0, some: 0 });
    expect(percentile(statisticsOf(bits(0)), 99)).toBe(0);
  });
});

describe("colours of a map", () => {
  const usual = { colours: "auto", sign: "both", growing: false } as const;

  function painted(values: number[], look: Parameters<typeof rampOf>[0] & { growing: boolean }, signed: boolean, from = 0) {
    const map = bits(...values);
    const out = new Uint32Array(map.length);
    paintMap(map, lookUp(rampOf(look, tables, signed), look, 1, from), out);
    return out;
  }

  it("takes the diverging map where there are both signs, zero in its middle", () => {
    const [low, zero, high, beyond] = painted([-1, 0, 1, 7], usual, true);
    expect(low).toBe(packed([0, 0, 255]));
    expect(red(zero)).toBeCloseTo(128, -1);
    expect(high).toBe(packed([255, 0, 0]));
    expect(beyond).toBe(high);
  });

  it("takes the sequential one from zero where there is one sign", () => {
    const [zero, half, high] = painted([0, 0.5, 1], usual, false);
    expect(zero).toBe(packed([0, 0, 0]));
    expect(red(half)).toBeCloseTo(100, -1);
    expect(high).toBe(packed([200, 100, 50]));
  });

  it("shows one sign alone, or sizes", () => {
    expect(painted([-1, 0, 1], { ...usual, sign: "positive" }, true).map(alpha)).toEqual(Uint32Array.of(0, 0, 255));
    expect(painted([-1, 0, 1], { ...usual, sign: "negative" }, true).map(alpha)).toEqual(Uint32Array.of(255, 0, 0));
    const [less, more] = painted([-1, 1], { ...usual, sign: "absolute" }, true);
    expect(less).toBe(more);
  });

  it("lets small values through where opacity grows, and leaves out what is below the threshold", () => {
    const growing = painted([0, 0.1, 0.5, -1], { ...usual, growing: true }, true).map(alpha);
    expect(growing[0]).toBe(0);
    expect(growing[1]).toBeLessThan(growing[2] as number);
    expect(growing[3]).toBe(255);
    expect(painted([0.2, -0.2, 0.6], usual, true, 0.5).map(alpha)).toEqual(Uint32Array.of(0, 0, 255));
  });

  it("paints nothing undefined but stripes", () => {
    const map = bits(NaN, 1);
    const out = new Uint32Array(2);
    paintMap(map, lookUp(rampOf(usual, tables, false), usual, 1, 0), out);
    expect(out[0]).toBe(0);
    const before = out[1];
    hatchUndefined(map, 2, 1, out);
    expect(alpha(out[0])).toBe(255);
    expect(out[1]).toBe(before);
  });

  it("is quick enough for a slider", () => {
    const started = performance.now();
    for (let i = 0; i < 20; i++) lookUp(rampOf(usual, tables, true), { ...usual, growing: true }, 1, 0);
    expect((performance.now() - started) / 20).toBeLessThan(20);
  });
});

describe("labels and masks", () => {
  it("pales the other classes, and draws unknown labels in grey or not at all", () => {
    const table = palette([[1, 2, 3], [4, 5, 6]], 1, 3);
    const out = new Uint32Array(4);
    paintLabels(Uint16Array.of(0, 1, 2, 900), table, out);
    expect(out[1]).toBe(packed([4, 5, 6]));
    expect(alpha(out[0])).toBeLessThan(128);
    expect(out[2]).toBe(packed([150, 150, 150]));
    expect(out[3]).toBe(0);
  });

  it("repaints a rectangle and leaves the rest", () => {
    const mask = Uint8Array.of(1, 1, 1, 1);
    const out = new Uint32Array(4).fill(9);
    paintMask(mask, 2, 7, out, { x: 1, y: 0, width: 1, height: 2 });
    expect([...out]).toEqual([9, 7, 9, 7]);
  });

  it("says on what the weight lies, outside the region", () => {
    const shares = sharesByLabel(bits(1, 0.5, 0.5, -1), Uint8Array.of(0, 1, 2, 2), Uint8Array.of(1, 0, 0, 0));
    expect(shares).toEqual([
      { label: 1, share: 0.5 },
      { label: 2, share: 0.5 },
    ]);
  });
});
