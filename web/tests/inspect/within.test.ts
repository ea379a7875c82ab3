import { afterEach, describe, expect, it } from "vitest";
import { statisticsOf } from "../../src/core/paint";
import { inspect } from "../../src/state/inspect.svelte";
import { MapPanel } from "../../src/state/inspect/panel.svelte";
import type { Scene } from "../../src/state/inspect/scene.svelte";
import { coverOf, nowhere, placesOf, shownPlane } from "../../src/views/inspect/within";

const predicted = Uint8Array.of(1, 1, 0, 0);
const truth = Uint8Array.of(1, 0, 1, 0);

function scene(exclusive = true, known = true): Scene {
  return {
    network: { task: "segment", exclusive },
    image: { truth: known },
    labels: predicted,
    truth,
    indexOf: (name: string) => ["road", "car", "bus"].indexOf(name),
  } as unknown as Scene;
}

function panel(channel: string): MapPanel {
  const made = new MapPanel(scene(), { channel, against: null, where: { kind: "class" }, of: null }, "saliency", {}, "quick");
  // 0.5, 1, 2 and −4 as float16.
  const bits = Uint16Array.of(0x3800, 0x3c00, 0x4000, 0xc400);
  made.plane = { bits, width: 2, height: 2, scale: 1, found: statisticsOf(bits), region: Uint8Array.of(0, 0, 0, 1), cover: null };
  return made;
}

afterEach(() => {
  inspect.within = "all";
});

describe("where maps are shown", () => {
  it("is where the class is predicted, true, both or either", () => {
    const cover = (within: Parameters<typeof coverOf>[0]) => [...(coverOf(within, 1, predicted, truth) ?? [])];
    expect(cover("prediction")).toEqual([1, 1, 0, 0]);
    expect(cover("truth")).toEqual([1, 0, 1, 0]);
    expect(cover("both")).toEqual([1, 0, 0, 0]);
    expect(cover("either")).toEqual([1, 1, 1, 0]);
    expect(coverOf("both", 1, predicted, null)).toBeNull();
  });

  it("has colours that fit what is shown, and values as they were", () => {
    const map = panel("car");
    expect(shownPlane(map, scene())).toBe(map.plane);
    inspect.within = "prediction";
    const shown = shownPlane(map, scene());
    expect(shown?.found).toMatchObject({ minimum: 0.5, maximum: 1, greatest: 1, some: 2 });
    expect(shown?.bits).toBe(map.plane?.bits);
    expect(shownPlane(map, scene())).toBe(shown);
    inspect.within = "region";
    expect(shownPlane(map, scene())?.found).toMatchObject({ minimum: -4, greatest: 4, some: 1 });
  });

  it("says where the class is nowhere", () => {
    inspect.within = "prediction";
    const bus = panel("bus");
    expect(nowhere(bus, scene(), shownPlane(bus, scene())!)).toBe("bus is predicted nowhere.");
    const car = panel("car");
    expect(nowhere(car, scene(), shownPlane(car, scene())!)).toBe("");
  });

  it("offers what an image has", () => {
    expect(placesOf(scene())).toEqual(["all", "region", "prediction", "truth", "both", "either"]);
    expect(placesOf(scene(true, false))).toEqual(["all", "region", "prediction"]);
    expect(placesOf(scene(false))).toEqual(["all", "region"]);
    inspect.within = "truth";
    const map = panel("car");
    expect(shownPlane(map, scene(true, false))).toBe(map.plane);
  });
});
