import { describe, expect, it } from "vitest";
import type { Description, NetworkInfo } from "../../src/core/api";
import { misfit, moved, paletteColour, pasted } from "../../src/views/options/classes";
import { draftOf, extent, fieldOf, PRESETS, presetOf, readDraft } from "../../src/views/options/draft";

const description: Description & Record<string, unknown> = {
  name: "my-unet",
  task: "segment",
  classes: ["road", "traffic light"],
  colours: [
    [1, 2, 3],
    [250, 170, 30],
  ],
  emits: "logits",
  link: "softmax",
  constructor: "a.b:C",
  constructor_arguments: { widths: [1, 2] },
  input: { channels: 3, order: "BGR", range: [0, 255], mean: [0.5, 0.5, 0.5], std: 0.25, divisor: 32, size: [64, 128], fit: "pad" },
};
const network = {
  task: "segment",
  classes: [
    { name: "road", colour: [1, 2, 3] },
    { name: "traffic light", colour: [250, 170, 30] },
  ],
  description,
} as unknown as NetworkInfo;

describe("a draft", () => {
  it("gives back the description it was made of, with what the form does not show", () => {
    const { description: read, faults } = readDraft(draftOf(network), description);
    expect(faults).toEqual({});
    expect(read).toEqual({ ...description, input: { ...description.input, std: [0.25] } });
  });

  it("states nothing that the description leaves out", () => {
    const bare = { task: "segment", classes: [], description: {} } as unknown as NetworkInfo;
    expect(readDraft(draftOf(bare), {}).description).toEqual({ task: "segment" });
  });

  it("reads a numbered output as a number and a named one as text", () => {
    const draft = draftOf(network);
    expect(readDraft({ ...draft, output: "0" }, description).description.output).toBe(0);
    expect(readDraft({ ...draft, output: "aux" }, description).description.output).toBe("aux");
  });

  it.each([
    ["mean", { mean: "0.5, 0.5" }],
    ["std", { std: "0" }],
    ["std", { std: "a" }],
    ["black", { black: "1", white: "0" }],
    ["divisor", { divisor: "0" }],
    ["height", { height: "64", width: "" }],
    ["window", { window: "3 1" }],
    ["bands", { bands: "0, 1" }],
    ["classes", { classes: [{ name: "", colour: [0, 0, 0] as [number, number, number] }] }],
    ["classes", { classes: ["a", "a"].map((name) => ({ name, colour: [0, 0, 0] as [number, number, number] })) }],
  ])("says beside %s what cannot be read", (field, change) => {
    const { faults } = readDraft({ ...draftOf(network), ...change }, description);
    expect(Object.keys(faults)).toEqual([field]);
  });
});

describe("presets", () => {
  it("are recognised by value", () => {
    for (const preset of PRESETS) expect(presetOf({ ...draftOf(network), ...preset.set })?.name).toBe(preset.name);
    expect(presetOf({ ...draftOf(network), black: "", white: "", mean: "0,0,0", std: "1 1 1" })?.name).toBe("0 … 1");
    // −1 … 1 is also 0..1 less 0.5 over 0.5.
    const other = { black: "0", white: "1", mean: "0.5", std: "0.5, 0.5, 0.5" };
    expect(presetOf({ ...draftOf(network), ...other })?.name).toBe("−1 … 1");
    expect(presetOf(draftOf(network))).toBeNull();
    expect(presetOf({ ...draftOf(network), mean: "x" })).toBeNull();
  });

  it("say what black and white become in each channel", () => {
    const draft = { ...draftOf(network), black: "0", white: "1", mean: "0.5, 0", std: "0.25" };
    expect(extent(draft)).toEqual([
      [-2, 2],
      [0, 4],
    ]);
    expect(extent({ ...draft, std: "0" })).toBeNull();
  });
});

describe("fieldOf", () => {
  it.each([
    ["Convention.mean has 2 values for 3 channels: give one for each, or one.", "mean"],
    ["Convention.range is (value of black, value of white), not (1, 0).", "black"],
    ["[input] 'order' is to be one of 'RGB', 'BGR', not 'GBR'.", "order"],
    ["'emits' is to be one of 'logits', 'probabilities', not 3.", "emits"],
    ["no layer 'encoder.blok4' in UNet (62 layers).", "default_layer"],
    ["the image has 4 channels, the network takes 3.", "channels"],
    ["out of memory", null],
  ])("finds the field of '%s'", (message, field) => {
    expect(fieldOf(message)).toBe(field);
  });
});

describe("pasted", () => {
  it("reads names with and without colours and numbers", () => {
    const list = pasted("0: road 128 64 128\n1, traffic light, 250, 170, 30\nsky #4682b4\n\n'bus'\n");
    expect(list.map((c) => c.name)).toEqual(["road", "traffic light", "sky", "bus"]);
    expect(list.slice(0, 3).map((c) => c.colour)).toEqual([
      [128, 64, 128],
      [250, 170, 30],
      [70, 130, 180],
    ]);
  });

  it("takes one line with commas for a list of names", () => {
    expect(pasted("road, car; person").map((c) => c.name)).toEqual(["road", "car", "person"]);
  });
});

describe("classes", () => {
  it("move and stop at the ends", () => {
    const list = pasted("a, b, c");
    expect(moved(list, 0, 1).map((c) => c.name).join("")).toBe("bac");
    expect(moved(list, 2, 5).map((c) => c.name).join("")).toBe("abc");
    expect(moved(list, 0, -1).map((c) => c.name).join("")).toBe("abc");
  });

  it("fit the output's channels, one channel being two classes", () => {
    expect(misfit(9, [1, 9, 4, 4])).toBeNull();
    expect(misfit(2, [1, 1, 4, 4])).toBeNull();
    expect(misfit(8, [1, 9, 4, 4])).toContain("9 channels");
    expect(misfit(8, null)).toBeNull();
  });

  it("have colours that tell apart", () => {
    const colours = Array.from({ length: 36 }, (_, i) => paletteColour(i).join());
    expect(new Set(colours).size).toBe(36);
    for (const c of colours.flatMap((t) => t.split(",").map(Number))) expect(c >= 0 && c <= 255).toBe(true);
  });
});
