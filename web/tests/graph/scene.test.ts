import { expect, test } from "vitest";
import { between, fit, opening, showing, under, zoomed } from "../../src/graph/camera";
import { seen } from "../../src/graph/draw";
import { layout } from "../../src/graph/layout";
import { frameOf, lookedAt, sightIn } from "../../src/graph/minimap";
import { beside, boxOf, hit, TITLE, type Box } from "../../src/graph/scene";
import { around, treeOf } from "../../src/graph/tree";
import { residual } from "./graphs";

const tree = treeOf(residual(3));
const at = (id: string) => tree.byId.get(id) as number;
const scene = layout(tree, { open: new Set([at("blocks"), at("blocks.1")]), limits: new Map() });
const index = (id: string) => scene.boxes.findIndex((b) => b.item === at(id));
const box = (id: string) => scene.boxes[index(id)] as Box;

test("a point hits the innermost box", () => {
  const conv = box("blocks.1.conv");
  expect(hit(scene, conv.x + conv.w / 2, conv.y + conv.h / 2)).toEqual({ box: index("blocks.1.conv"), spot: "body" });
  expect(hit(scene, conv.x - 1, conv.y + conv.h / 2)).toEqual({ box: index("blocks.1"), spot: "inside" });
  expect(hit(scene, -5, -5)).toBe(null);
});

test("an open module is hit at its title, and closed at the square in its corner", () => {
  const block = box("blocks.1");
  expect(hit(scene, block.x + 5, block.y + 5)).toEqual({ box: index("blocks.1"), spot: "title" });
  expect(hit(scene, block.x + block.w - 5, block.y + 5)).toEqual({ box: index("blocks.1"), spot: "toggle" });
  const shut = box("blocks.0");
  expect(hit(scene, shut.x + shut.w - TITLE / 2, shut.y + TITLE / 2)?.spot).toBe("toggle");
  expect(hit(scene, shut.x + 5, shut.y + 5)?.spot).toBe("body");
});

test("an item that is not shown is found in what holds it", () => {
  const held = at("blocks.0.conv");
  expect(boxOf(scene, held, [...around(tree, held), 0])).toBe(index("blocks.0"));
  expect(boxOf(scene, at("blocks.1.conv"), [...around(tree, at("blocks.1.conv")), 0])).toBe(index("blocks.1.conv"));
});

test("the arrow keys follow the wires, out of modules too", () => {
  expect(beside(scene, index("blocks.1.norm"), "down")).toBe(index("blocks.1.conv"));
  expect(beside(scene, index("blocks.1.conv"), "up")).toBe(index("blocks.1.norm"));
  expect(beside(scene, index("blocks.1:add"), "down")).toBe(index("blocks.2"));
  expect(beside(scene, index(":input"), "up")).toBe(index(":input"));
});

test("only what is in sight is drawn, and the inside only of what is large enough", () => {
  const all = { left: 0, top: 0, right: scene.width, bottom: scene.height };
  expect(seen(scene, all, 1).shown).toHaveLength(scene.boxes.length);
  const far = seen(scene, all, 0.001);
  expect(far.shown.map((b) => b.depth)).toEqual([0, 0, 0]);
  const input = box(":input");
  expect(seen(scene, { left: 0, top: 0, right: scene.width, bottom: input.y + 1 }, 1).shown).toEqual([input]);
});

const view = { width: 800, height: 600 };

test("zooming keeps the point under the pointer", () => {
  const camera = { x: 10, y: 20, scale: 0.5 };
  const [before, after] = [under(camera, 200, 100), under(zoomed(camera, 200, 100, 1.7), 200, 100)];
  expect(after.x).toBeCloseTo(before.x);
  expect(after.y).toBeCloseTo(before.y);
});

test("fit shows all; a long drawing is met at its beginning, in letters that can be read", () => {
  const area = { x: 0, y: 0, w: 300, h: 9000 };
  const camera = fit(area, view);
  expect(camera.y).toBeLessThanOrEqual(0);
  expect(camera.y + view.height / camera.scale).toBeGreaterThanOrEqual(9000);
  const first = opening(area, view);
  expect(first.scale).toBeGreaterThan(0.5);
  expect(first.y).toBeLessThanOrEqual(0);
});

test("what is in sight is left where it is, what is not comes into the middle", () => {
  const camera = { x: 0, y: 0, scale: 1 };
  expect(showing(camera, { x: 100, y: 100, w: 50, h: 50 }, view)).toBe(camera);
  expect(showing(camera, { x: 2000, y: 100, w: 100, h: 100 }, view)).toEqual({ x: 1650, y: -150, scale: 1 });
});

test("a glide begins and ends where it should", () => {
  const [a, b] = [{ x: 0, y: 0, scale: 1 }, { x: 900, y: 50, scale: 0.25 }];
  for (const [share, end] of [[0, a], [1, b]] as const) {
    const found = between(a, b, share, view);
    expect(found.x).toBeCloseTo(end.x);
    expect(found.y).toBeCloseTo(end.y);
    expect(found.scale).toBeCloseTo(end.scale);
  }
});

test("the minimap shows what is in sight, and leads to where it is pressed", () => {
  const frame = frameOf(scene);
  const camera = lookedAt(frame, { x: 0, y: 0, scale: 1 }, { width: 20, height: 20 }, frame.width / 2, frame.height / 2);
  const sight = sightIn(frame, camera, { width: 20, height: 20 });
  expect(sight.x + sight.w / 2).toBeCloseTo(frame.width / 2);
  expect(sight.y + sight.h / 2).toBeCloseTo(frame.height / 2);
});
