/** A network's description as a form holds it: text as typed, until it is read. Keys and meaning: core/convention.py. */

import type { Description, NetworkInfo, Rgb } from "../../core/api";
import type { DraftClass } from "./classes";

/** Fields as typed. An empty text is 'not stated': the network's own or the convention's default stands. */
export interface Draft {
  name: string;
  task: string;
  output: string;
  emits: string;
  link: string;
  default_layer: string;
  classes: DraftClass[];
  channels: string;
  order: string;
  black: string;
  white: string;
  mean: string;
  std: string;
  per_image: boolean;
  divisor: string;
  height: string;
  width: string;
  fit: string;
  axes: string;
  window: string;
  bands: string;
}

export type Field = keyof Draft;

const INPUT_KEYS = ["channels", "order", "range", "mean", "std", "per_image", "divisor", "size", "fit", "axes", "window", "bands"];

/** The form of an open network. Classes that its description leaves out are those that the network has. */
export function draftOf(network: NetworkInfo): Draft {
  const d = network.description;
  const input = d.input ?? {};
  const colours = d.colours ?? [];
  const names = d.classes ?? network.classes.map((c) => c.name);
  const [black, white] = listed(input.range);
  const [height, width] = listed(input.size);
  return {
    name: d.name ?? "",
    task: d.task ?? network.task,
    output: d.output === undefined ? "" : String(d.output),
    emits: d.emits ?? "",
    link: d.link ?? "",
    default_layer: d.default_layer ?? "",
    classes: names.map((name, i) => ({ name, colour: colours[i] ?? network.classes[i]?.colour ?? [128, 128, 128] })),
    channels: text(input.channels),
    order: text(input.order),
    black: black ?? "",
    white: white ?? "",
    mean: listed(input.mean).join(", "),
    std: listed(input.std).join(", "),
    per_image: input.per_image === true,
    divisor: text(input.divisor),
    height: height ?? "",
    width: width ?? "",
    fit: text(input.fit),
    axes: text(input.axes),
    window: listed(input.window).join(", "),
    bands: listed(input.bands).join(", "),
  };
}

export interface Read {
  description: Description;
  /** What cannot be read, in words, by field. */
  faults: Partial<Record<Field, string>>;
}

/** A form to a description. What the form does not show, such as a constructor, is taken over from `before`. */
export function readDraft(draft: Draft, before: Description): Read {
  const faults: Read["faults"] = {};
  const input: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(before.input ?? {})) if (!INPUT_KEYS.includes(key)) input[key] = value;

  const whole = (field: Field, value: string, least: number): number | undefined => {
    if (value.trim() === "") return undefined;
    const n = Number(value);
    if (Number.isInteger(n) && n >= least) return n;
    faults[field] = `A whole number from ${least}, not '${value}'.`;
    return undefined;
  };
  const several = (field: Field, lengths: readonly number[], integers = false): number[] | undefined => {
    const value = draft[field] as string;
    if (value.trim() === "") return undefined;
    const parts = value.trim().split(/[\s,;]+/).filter(Boolean).map(Number);
    if (parts.some((n) => !Number.isFinite(n) || (integers && !(Number.isInteger(n) && n >= 0)))) {
      faults[field] = `Numbers with commas between them, not '${value}'.`;
      return undefined;
    }
    if (lengths.length && !lengths.includes(parts.length)) {
      faults[field] = `${lengths.join(" or ")} numbers, not ${parts.length}.`;
      return undefined;
    }
    return parts;
  };
  const put = (key: string, value: unknown) => {
    if (value !== undefined && value !== "") input[key] = value;
  };

  const channels = whole("channels", draft.channels, 1);
  put("channels", channels);
  put("order", draft.order);
  if (draft.black.trim() !== "" || draft.white.trim() !== "") {
    const [black, white] = [Number(draft.black || "0"), Number(draft.white || "1")];
    if (!Number.isFinite(black) || !Number.isFinite(white)) faults.black = "Two numbers: what black and what white become.";
    else if (black >= white) faults.black = `Black (${black}) is to lie below white (${white}).`;
    else put("range", [black, white]);
  }
  const c = channels ?? 3;
  const mean = several("mean", [...new Set([1, c])]);
  const std = several("std", [...new Set([1, c])]);
  if (std?.some((s) => s <= 0)) faults.std = "Each is to be greater than 0: values are divided by it.";
  put("mean", mean);
  put("std", std);
  if (draft.per_image || before.input?.per_image !== undefined) put("per_image", draft.per_image);
  put("divisor", whole("divisor", draft.divisor, 1));
  const [height, width] = [whole("height", draft.height, 1), whole("width", draft.width, 1)];
  if (height !== undefined && width !== undefined) put("size", [height, width]);
  else if ((draft.height.trim() === "") !== (draft.width.trim() === "")) faults.height ??= "Height and width, or neither.";
  put("fit", draft.fit);
  put("axes", draft.axes);
  const window = several("window", [2]);
  if (window && (window[0] as number) >= (window[1] as number)) faults.window = "The number for black is to lie below that for white.";
  put("window", window);
  put("bands", several("bands", [1, 3], true));

  const description: Description = { ...before };
  const state = <K extends keyof Description>(key: K, value: Description[K] | "" | undefined) => {
    if (value === "" || value === undefined) delete description[key];
    else description[key] = value;
  };
  state("name", draft.name.trim());
  state("task", draft.task as Description["task"]);
  state("output", /^-?\d+$/.test(draft.output.trim()) ? Number(draft.output) : draft.output.trim());
  state("emits", draft.emits as Description["emits"]);
  state("link", draft.link as Description["link"]);
  state("default_layer", draft.default_layer.trim());
  const names = draft.classes.map((one) => one.name.trim());
  const unnamed = names.indexOf("");
  const twice = names.find((name, i) => name !== "" && names.indexOf(name) !== i);
  if (unnamed >= 0) faults.classes = `Class ${unnamed} has no name.`;
  else if (twice !== undefined) faults.classes = `Two classes are called '${twice}': the name is to say which one is meant.`;
  state("classes", names.length ? names : undefined);
  state("colours", names.length ? draft.classes.map((one) => [...one.colour] as Rgb) : undefined);
  state("input", Object.keys(input).length ? input : undefined);
  return { description, faults };
}

/** Field that a message of the server is about; null where it names none. */
export function fieldOf(message: string): Field | null {
  const named: [RegExp, Field][] = [
    [/Convention\.range|'range'/, "black"],
    [/Convention\.size|'size'/, "height"],
    [/Convention\.(\w+)|\[input\] '(\w+)'|^'(\w+)'| '(\w+)' is to be/, "name"],
    [/(names?|classes|channels of (the|its) output).*(class|channel)/i, "classes"],
    [/no layer/, "default_layer"],
    [/image has \d+ channels/, "channels"],
  ];
  const fields: readonly string[] = [
    "name", "task", "output", "emits", "link", "default_layer", "classes", "channels", "order", "mean", "std", "per_image",
    "divisor", "fit", "axes", "window", "bands",
  ];
  for (const [pattern, field] of named) {
    const match = pattern.exec(message);
    if (!match) continue;
    const word = match.slice(1).find((group) => group !== undefined);
    if (field !== "name") return field;
    if (word === "colours") return "classes";
    if (word && fields.includes(word)) return word as Field;
  }
  return null;
}

export interface Preset {
  name: string;
  says: string;
  set: Pick<Draft, "black" | "white" | "mean" | "std">;
}

export const PRESETS: readonly Preset[] = [
  {
    name: "ImageNet",
    says: "0..1, then the mean and deviation of ImageNet",
    set: { black: "0", white: "1", mean: "0.485, 0.456, 0.406", std: "0.229, 0.224, 0.225" },
  },
  { name: "0 … 1", says: "black 0, white 1", set: { black: "0", white: "1", mean: "0", std: "1" } },
  { name: "−1 … 1", says: "black −1, white 1", set: { black: "-1", white: "1", mean: "0", std: "1" } },
  { name: "0 … 255", says: "as the file has it: nothing is changed", set: { black: "0", white: "255", mean: "0", std: "1" } },
];

/** What black and white become in each channel, in the network's own order; null where the form cannot be read. */
export function extent(draft: Draft): [number, number][] | null {
  const list = (text: string, other: number) => {
    const parts = text.split(/[\s,;]+/).filter(Boolean).map(Number);
    return parts.length ? parts : [other];
  };
  const [mean, std] = [list(draft.mean, 0), list(draft.std, 1)];
  const [low, high] = [Number(draft.black || "0"), Number(draft.white || "1")];
  if ([...mean, ...std, low, high].some((n) => !Number.isFinite(n)) || std.some((s) => s <= 0)) return null;
  const n = Math.max(mean.length, std.length);
  return Array.from({ length: n }, (_, c) => {
    const [m, s] = [mean[mean.length === 1 ? 0 : c], std[std.length === 1 ? 0 : c]];
    return [(low - (m ?? NaN)) / (s ?? NaN), (high - (m ?? NaN)) / (s ?? NaN)];
  });
}

/** The preset that a form comes to, however it is spelt: by what black and white become. */
export function presetOf(draft: Draft): Preset | null {
  const own = extent(draft);
  if (!own) return null;
  const near = (a: number, b: number) => Math.abs(a - b) < 1e-6 * Math.max(1, Math.abs(b));
  return (
    PRESETS.find((preset) => {
      const its = extent({ ...draft, ...preset.set }) ?? [];
      const n = Math.max(own.length, its.length);
      const at = (list: [number, number][], c: number) => list[list.length === 1 ? 0 : c];
      return Array.from({ length: n }, (_, c) => [at(own, c), at(its, c)]).every(
        ([x, y]) => x && y && near(x[0], y[0]) && near(x[1], y[1]),
      );
    }) ?? null
  );
}

function text(value: unknown): string {
  return value === undefined || value === null ? "" : String(value);
}

function listed(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : typeof value === "number" ? [String(value)] : [];
}
