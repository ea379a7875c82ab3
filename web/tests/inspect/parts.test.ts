import { cleanup, fireEvent, render, screen } from "@testing-library/svelte";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { MethodCard, Parameter, Segmented } from "../../src/core/api";
import Legend from "../../src/parts/Legend.svelte";
import MethodForm from "../../src/parts/MethodForm.svelte";
import RangeSlider from "../../src/parts/RangeSlider.svelte";

afterEach(cleanup);

const parameter = (name: string, more: Partial<Parameter>): Parameter => ({
  name,
  kind: "str",
  default: null,
  optional: true,
  choices: [],
  bounds: null,
  help: `help of ${name}`,
  ...more,
});

describe("a method's form", () => {
  const card = {
    name: "m",
    parameters: [
      parameter("layer", {}),
      parameter("steps", { kind: "int", default: 30, optional: false, bounds: { ge: 1, le: 100, above: null } }),
      parameter("early", { kind: "bool", default: true, optional: false }),
      parameter("mode", { kind: "choice", default: "robust", optional: false, choices: ["robust", "reference"] }),
      parameter("fill", { kind: "text", choices: ["mean", "black"] }),
    ],
  } as unknown as MethodCard;

  function form(values: Record<string, string | number | boolean | null> = {}) {
    const onchange = vi.fn();
    const onlayer = vi.fn();
    render(MethodForm, { card, values, onchange, onlayer, layer: "encoder.4" });
    return { onchange, onlayer };
  }

  it("has a labelled field for each parameter, with its help and its default", () => {
    form();
    expect(screen.getByLabelText("steps").getAttribute("placeholder")).toBe("30");
    expect(screen.getByLabelText<HTMLInputElement>("early").checked).toBe(true);
    expect(screen.getByLabelText<HTMLSelectElement>("mode").value).toBe("robust");
    expect(screen.getByText("help of fill").id).toBe(screen.getByLabelText("fill").getAttribute("aria-describedby"));
  });

  it("reports what changed, in its own type, and nothing for the default", async () => {
    const { onchange } = form();
    await fireEvent.change(screen.getByLabelText("steps"), { target: { value: "12" } });
    await fireEvent.change(screen.getByLabelText("steps"), { target: { value: "30" } });
    await fireEvent.change(screen.getByLabelText("steps"), { target: { value: "many" } });
    await fireEvent.click(screen.getByLabelText("early"));
    await fireEvent.change(screen.getByLabelText("mode"), { target: { value: "reference" } });
    await fireEvent.change(screen.getByLabelText("fill"), { target: { value: "0.25" } });
    expect(onchange.mock.calls).toEqual([
      ["steps", 12],
      ["steps", undefined],
      ["early", false],
      ["mode", "reference"],
      ["fill", "0.25"],
    ]);
  });

  it("says what is out of bounds, and goes back to the default", async () => {
    const { onchange } = form({ steps: 0 });
    expect(screen.getByText("at least 1")).toBeTruthy();
    expect(screen.getByLabelText("steps").getAttribute("aria-invalid")).toBe("true");
    await fireEvent.click(screen.getByLabelText("steps back to 30"));
    expect(onchange).toHaveBeenCalledWith("steps", undefined);
  });

  it("has layers chosen elsewhere", async () => {
    const { onlayer } = form();
    const button = screen.getByLabelText("layer");
    expect(button.textContent).toContain("encoder.4");
    await fireEvent.click(button);
    expect(onlayer).toHaveBeenCalledOnce();
  });
});

describe("the legend", () => {
  const one = (index: number, name: string, pixels: number | null): Segmented["classes"][number] => ({
    index,
    name,
    colour: [1, 2, 3],
    pixels,
    share: pixels === null ? null : pixels / 100,
    confidence: 0.5 + index / 10,
    instances: 2,
    logit: null,
  });

  it("lists the largest first, what is absent apart, and chooses and points", async () => {
    const onpoint = vi.fn();
    const onchoose = vi.fn();
    render(Legend, { classes: [one(0, "road", 10), one(1, "car", 60), one(2, "bus", 0)], chosen: "car", onpoint, onchoose });
    const buttons = screen.getAllByRole("button");
    expect(buttons.map((b) => b.title.split(":")[0])).toEqual(["car", "road", "bus"]);
    expect(buttons[0]?.getAttribute("aria-pressed")).toBe("true");
    expect(screen.getByText("1 not predicted here")).toBeTruthy();
    await fireEvent.pointerEnter(buttons[1] as Element);
    await fireEvent.click(buttons[1] as Element);
    expect(onpoint).toHaveBeenCalledWith(0);
    expect(onchoose).toHaveBeenCalledWith("road");
  });

  it("of a classifier goes by probability", () => {
    render(Legend, { classes: [one(0, "road", null), one(1, "car", null)], chosen: null, onpoint: () => {}, onchoose: () => {} });
    expect(screen.getAllByRole("button").map((b) => b.title)).toEqual(["car: confidence 60.0 %", "road: confidence 50.0 %"]);
  });
});

it("the ends of a range do not cross", async () => {
  const onchange = vi.fn();
  render(RangeSlider, { low: 20, high: 40, bins: [1, 2], names: ["from", "to"], texts: ["2", "4"], onchange });
  await fireEvent.input(screen.getByLabelText("from"), { target: { value: "70" } });
  await fireEvent.input(screen.getByLabelText("to"), { target: { value: "10" } });
  expect(onchange.mock.calls).toEqual([
    [39.5, 40],
    [20, 20.5],
  ]);
  expect(screen.getByLabelText("to").getAttribute("aria-valuetext")).toBe("4");
});
