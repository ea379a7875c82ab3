import { beforeEach, expect, it } from "vitest";
import type { Evaluated, ImageInfo, ImageSet, NetworkInfo, Result } from "../../src/core/api";
import { place } from "../../src/state/place.svelte";
import { session } from "../../src/state/session.svelte";
import { walk } from "../../src/state/walk.svelte";

const images = ["a", "b", "c", "d"].map((name) => ({ id: name, name, set: "s", width: 1, height: 1, truth: true }) as unknown as ImageInfo);
const scores = { a: 0.9, b: 0.2, c: 0.5, d: null };
const result = {
  meta: {
    classes: [{ name: "road" }, { name: "rider" }],
    images: Object.entries(scores).map(([id, mean_iou]) => ({ id, mean_iou })),
    cells: { "0:1": [["c", 7, 7], ["a", 2, 2]] },
  },
} as unknown as Result<Evaluated>;
const names = () => walk.images.map((i) => i.name);

beforeEach(() => {
  place.fields = {};
  session.network = { id: "n" } as NetworkInfo;
  session.set = { id: "s" } as ImageSet;
  session.images = images;
  session.image = images[0] ?? null;
  walk.found = { result, scores: new Map(result.meta.images.map((i) => [i.id, i])), job: null, fault: null } as typeof walk.found;
});

it("leads through the set as it was sorted", () => {
  place.note({ io: "error" });
  expect(names()).toEqual(["b", "c", "a", "d"]);
  walk.step(-1);
  expect(session.image?.name).toBe("c");
  walk.step(-1);
  walk.step(-1);
  expect(session.image?.name).toBe("b");
  expect(walk.words).toBe("by error (mean IoU)");
  walk.leave();
  expect([names(), walk.words]).toEqual([["a", "b", "c", "d"], ""]);
});

it("leads through what is behind a confusion, the most pixels first", () => {
  place.note({ w: "0:1" });
  expect(walk.cell).toEqual(["road", "rider"]);
  expect([names(), walk.words]).toEqual([["c", "a"], "road taken for rider"]);
  walk.leave();
  expect(names()).toEqual(["a", "b", "c", "d"]);
});

it("is all of the set for an image that was filtered out", () => {
  place.note({ iq: "b", it: "1", ir: "1" });
  expect(walk.words).toBe("named “b”, with truth, the other way round");
  expect(walk.shown.map((i) => i.name)).toEqual(["b"]);
  expect(names()).toEqual(["a", "b", "c", "d"]);
});
