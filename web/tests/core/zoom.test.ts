import { describe, expect, it } from "vitest";
import { columnsFor, FIT, imagePoint, panned, pixelAt, placed, readView, shown, writeView, zoomedAt } from "../../src/core/zoom";

const panel = { width: 400, height: 300 };
const image = { width: 384, height: 192 };

describe("the view that panels share", () => {
  it("fits the image into the panel's middle", () => {
    const { scale, left, top } = placed(FIT, panel, image);
    expect(scale).toBeCloseTo(400 / 384);
    expect(left).toBeCloseTo(0);
    expect(top).toBeCloseTo((300 - 200) / 2);
  });

  it("keeps what lies under the pointer while it zooms", () => {
    const at = { x: 210, y: 160 };
    const before = imagePoint(FIT, panel, image, at);
    const view = zoomedAt(FIT, panel, image, at, 4);
    const after = imagePoint(view, panel, image, at);
    expect(after.x).toBeCloseTo(before.x);
    expect(after.y).toBeCloseTo(before.y);
    expect(view.zoom).toBe(4);
  });

  it("comes back to the whole image, however it was moved before", () => {
    const away = panned(zoomedAt(FIT, panel, image, { x: 0, y: 60 }, 8), panel, image, 900, -900);
    expect(zoomedAt(away, panel, image, { x: 10, y: 10 }, 1e-3)).toEqual(FIT);
  });

  it("moves by screen pixels, and never past the image's edge", () => {
    const near = zoomedAt(FIT, panel, image, { x: 200, y: 150 }, 4);
    const moved = panned(near, panel, image, 30, -20);
    expect(placed(moved, panel, image).left - placed(near, panel, image).left).toBeCloseTo(30);
    expect(placed(moved, panel, image).top - placed(near, panel, image).top).toBeCloseTo(-20);
    expect(placed(panned(near, panel, image, 1e6, 1e6), panel, image).left).toBeCloseTo(0);
    expect(placed(panned(near, panel, image, 1e6, 1e6), panel, image).top).toBeCloseTo(0);
  });

  it("moves only where a place would not be seen", () => {
    const near = zoomedAt(FIT, panel, image, { x: 0, y: 150 }, 4);
    expect(shown(near, panel, image, { x: 20, y: 96 })).toBe(near);
    const there = shown(near, panel, image, { x: 350, y: 96 });
    const { scale, left } = placed(there, panel, image);
    expect(left + 350 * scale).toBeLessThanOrEqual(panel.width);
  });

  it("names the pixel, and none outside", () => {
    expect(pixelAt({ x: 383.9, y: 0 }, image)).toEqual({ x: 383, y: 0 });
    expect(pixelAt({ x: 384, y: 0 }, image)).toBeNull();
    expect(pixelAt({ x: -0.1, y: 5 }, image)).toBeNull();
  });

  it("goes through the address", () => {
    const view = { x: 0.25, y: 0.75, zoom: 4 };
    expect(readView(writeView(view))).toEqual(view);
    expect(writeView(FIT)).toBe("");
    expect(readView("a,b")).toEqual(FIT);
    expect(readView("5,-1,0.1")).toEqual({ x: 1, y: 0, zoom: 1 });
  });

  it("stands wide images on each other and tall ones side by side", () => {
    expect(columnsFor(2, { width: 900, height: 600 }, image)).toBe(1);
    expect(columnsFor(2, { width: 900, height: 600 }, { width: 100, height: 200 })).toBe(2);
    expect(columnsFor(4, { width: 900, height: 600 }, image)).toBe(2);
  });
});
