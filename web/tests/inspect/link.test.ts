import { describe, expect, it } from "vitest";
import { readAddress, writeAddress } from "../../src/core/address";
import { type PanelText, readAsk, readPanels, writeAsk, writePanels } from "../../src/views/inspect/link";
import { readShown, type Shown, USUALLY, writeShown } from "../../src/views/inspect/shown";
import { type Ask, isAnywhere, readWhere, regionText, sameAsk, targetOf, trulyOf, type Where, whereInWords } from "../../src/views/inspect/question";

const wheres: Where[] = [
  { kind: "class" },
  { kind: "segment", of: "traffic light", at: [80, 200] },
  { kind: "pixel", at: [3, 4] },
  { kind: "box", box: [1, 2, 30, 40] },
  { kind: "polygon", points: [[0.5, 1], [20, 3.25], [9, 30]] },
  { kind: "mask", id: "a0b1" },
  { kind: "confused", truth: "person", predicted: "rider", at: [5, 6], text: "component(confused(truth=person, as_=rider), at=(5, 6))" },
  { kind: "everything" },
  { kind: "text", text: "border(predicted(rider), 3) & ~truth(rider)" },
];
const asks: Ask[] = wheres.map((where) => ({ channel: "rider", against: null, where, of: null }));

describe("regions", () => {
  it("are read back as they were written", () => {
    for (const where of wheres) expect(readWhere(regionText(where, "rider"), "rider")).toEqual(where);
  });

  it("quote names that are no single word", () => {
    expect(regionText({ kind: "class" }, "traffic light")).toBe("predicted('traffic light')");
    expect(readWhere("predicted('traffic light')", "traffic light")).toEqual({ kind: "class" });
  });

  it("of another class than the one asked about stay text", () => {
    expect(readWhere("predicted(person)", "rider")).toEqual({ kind: "text", text: "predicted(person)" });
  });

  it("are left out for networks without space, whose units are numbers", () => {
    expect(targetOf({ channel: "3", against: null, where: { kind: "class" }, of: null }, { task: "encode" })).toEqual({ channel: 3 });
    expect(targetOf({ channel: "rider", against: "person", where: { kind: "everything" }, of: "logits" }, { task: "segment" })).toEqual({
      channel: "rider",
      against: "person",
      region: "everything",
      of: "logits",
    });
  });

  it("are said in words", () => {
    expect(whereInWords(wheres[1] as Where, "rider", 1234)).toBe("this segment, 1,234 pixels");
    expect(whereInWords(wheres[0] as Where, "rider", 1)).toBe("all that is called rider, 1 pixel");
  });
});

describe("the address", () => {
  it("restores targets", () => {
    for (const ask of asks) expect(sameAsk(readAsk(writeAsk(ask)), ask)).toBe(true);
    const odd: Ask = { channel: "a~b|c@d", against: "e;f=g%", where: { kind: "class" }, of: "probabilities" };
    expect(readAsk(writeAsk(odd))).toEqual(odd);
    expect(readAsk("")).toBeNull();
    expect(readAsk("rider~~~nonsense")?.of).toBeNull();
  });

  it("restores panels, through the browser's own escaping", () => {
    const panels: PanelText[] = [
      { kind: "prediction", pinned: false },
      { kind: "error", pinned: true },
      {
        kind: "map",
        method: "context-saliency",
        parameters: { cells: "8x16", steps: 40, early: false, fill: "0.5", odd: "a|b;c", none: null, quoted: '"' },
        ask: null,
        pinned: true,
      },
      { kind: "map", method: "hires-cam", parameters: { layer: "encoder.4" }, ask: asks[1] as Ask, pinned: false },
      { kind: "verify", what: "salient", mask: "", explanation: "abc", share: 0.25, fill: "blur", ask: null, pinned: false },
      { kind: "verify", what: "mask", mask: "12", explanation: "", share: 0.1, fill: "mean", ask: asks[5] as Ask, pinned: true },
    ];
    const address = writeAddress({ view: "inspect", fields: { p: writePanels(panels) } });
    expect(readPanels(readAddress(address).fields.p)).toEqual(panels);
  });

  it("leaves out what it does not know", () => {
    expect(readPanels("nonsense|map|verify:all|truth")).toEqual([{ kind: "truth", pinned: false }]);
    expect(readPanels(undefined)).toEqual([]);
  });
});

describe("how things are shown", () => {
  it("takes no room in the address while it is usual", () => {
    expect(writeShown(USUALLY)).toBe("");
    expect(readShown(undefined)).toEqual(USUALLY);
  });

  it("is read back as it was written, field by field", () => {
    const other: Shown = {
      colours: "diverging",
      sign: "negative",
      from: 10,
      to: 99,
      growing: false,
      opacity: 0.25,
      shared: true,
      outline: false,
      borders: false,
      under: "none",
      within: "both",
      strength: 0,
    };
    expect(readShown(writeShown(other))).toEqual(other);
    for (const name of Object.keys(other) as (keyof Shown)[]) {
      const one = { ...USUALLY, [name]: other[name] };
      expect(readShown(writeShown(one))).toEqual(one);
    }
  });

  it("stays usual where a link says what cannot be", () => {
    expect(readShown("opacity:7;sign:sideways;strength:-1;to:;nothing:1;shared:perhaps;__proto__:1")).toEqual(USUALLY);
  });
});

it("places of any picture are told from those of one", () => {
  expect(wheres.filter(isAnywhere).map((where) => regionText(where, "rider"))).toEqual([
    "predicted(rider)",
    "everything",
    "border(predicted(rider), 3) & ~truth(rider)",
  ]);
  expect(isAnywhere({ kind: "text", text: "truth(rider) & box(0, 0, 9, 9)" })).toBe(false);
});

it("of a confused place is known what it truly is", () => {
  const all: Where = { kind: "text", text: "confused(truth='traffic light', as_=pole)" };
  expect([...wheres, all].map(trulyOf).filter((truth) => truth !== null)).toEqual(["person", "traffic light"]);
});

it("all of a confusion is said in words", () => {
  expect(whereInWords({ kind: "text", text: "confused(truth='traffic light', as_=pole)" }, "pole", 12)).toBe(
    "every traffic light taken for pole, 12 pixels",
  );
});
