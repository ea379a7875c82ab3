import { describe, expect, it } from "vitest";
import type { ImageInfo, NetworkInfo } from "../../src/core/api";
import { classOf, confusedAt, confusedPieces, regionMask } from "../../src/state/inspect/regions";
import { Scene, strongest } from "../../src/state/inspect/scene.svelte";

const grid = (rows: string[]) => Uint8Array.from(rows.join(""), Number);

/** Classes a (0), b (1), 'c d' (2). */
function scene(): Scene {
  const classes = ["a", "b", "c d"].map((name, i) => ({ name, colour: [i, i, i] as [number, number, number] }));
  const made = new Scene({ id: "n", classes, task: "segment" } as unknown as NetworkInfo, {
    id: "i",
    width: 5,
    height: 4,
    truth: true,
  } as ImageInfo);
  made.labels = grid(["00111", "00011", "22000", "22011"]);
  made.truth = grid(["00111", "00111", "22000", "00011"]);
  made.status = grid(["00000", "00100", "00000", "11000"]);
  return made;
}

const shown = (mask: Uint8Array | null) => mask && Array.from({ length: 4 }, (_, y) => [...mask.slice(5 * y, 5 * y + 5)].join(""));

describe("pixels of a region", () => {
  it("are those of the class, or of the segment at a place", () => {
    expect(shown(regionMask(scene(), { kind: "class" }, "b", null))).toEqual(["00111", "00011", "00000", "00011"]);
    expect(shown(regionMask(scene(), { kind: "segment", of: "b", at: [0, 3] }, "b", null))).toEqual(["00111", "00011", "00000", "00000"]);
  });

  it("are unknown where the place is of another class than the segment asked for", () => {
    expect(regionMask(scene(), { kind: "segment", of: "b", at: [0, 0] }, "b", null)).toBeNull();
    expect(regionMask(scene(), { kind: "text", text: "truth(a)" }, "a", null)).toBeNull();
  });

  it("are those of shapes, whose corners lie in pixel centres", () => {
    expect(shown(regionMask(scene(), { kind: "box", box: [1, 2, 3, 4] }, "a", null))).toEqual(["00000", "00110", "00110", "00000"]);
    expect(shown(regionMask(scene(), { kind: "pixel", at: [3, 4] }, "a", null))).toEqual(["00000", "00000", "00000", "00001"]);
    const points: [number, number][] = [[0.5, 0.5], [0.5, 3.5], [2.5, 3.5], [2.5, 0.5]];
    expect(shown(regionMask(scene(), { kind: "polygon", points }, "a", null))).toEqual(["00000", "01110", "01110", "00000"]);
  });

  it("are those of one confused region, by truth and prediction", () => {
    const where = confusedAt(scene(), 1, 3);
    expect(where).toMatchObject({ truth: "a", predicted: "c d", text: "component(confused(truth=a, as_='c d'), at=(3, 1))" });
    expect(where && shown(regionMask(scene(), where, "c d", null))).toEqual(["00000", "00000", "00000", "11000"]);
    expect(confusedAt(scene(), 0, 0)).toBeNull();
    expect(confusedPieces(scene())?.labels.filter((pair) => pair !== 0xffff)).toEqual([3, 2]);
  });

  it("tell the class that most of them are", () => {
    const made = scene();
    expect(classOf(made, regionMask(made, { kind: "box", box: [0, 0, 2, 5] }, "", null))).toBe("a");
    expect(classOf(made, regionMask(made, { kind: "box", box: [0, 2, 2, 5] }, "", null))).toBe("b");
  });
});

it("independent labels: the one that the network is surest of, or none", () => {
  const masks = Uint8Array.of(1, 0, 1, /* second class */ 1, 0, 0);
  // float16 of 0.5 and 0.75.
  const sure = Uint16Array.of(0x3800, 0x3800, 0x3800, 0x3a00, 0x3a00, 0x3a00);
  expect([...strongest(masks, sure, 3)]).toEqual([1, 0xffff, 0]);
});
