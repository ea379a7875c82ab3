/** Targets of the page: whose score, where; to the regions' text and back, and in words. */

import type { NetworkInfo, TargetText } from "../../core/api";
import { counted, word } from "../../core/words";
import type { Box } from "../../core/masks";

/** Row and column, as regions take them. */
export type Place = [number, number];

export type Where =
  | { kind: "class" }
  | { kind: "segment"; of: string; at: Place }
  | { kind: "pixel"; at: Place }
  | { kind: "box"; box: Box }
  | { kind: "polygon"; points: Place[] }
  | { kind: "mask"; id: string }
  | { kind: "confused"; truth: string; predicted: string; at: Place; text: string }
  | { kind: "everything" }
  | { kind: "text"; text: string };

export type Of = "logits" | "probabilities" | "log-probabilities";

export interface Ask {
  channel: string;
  against: string | null;
  where: Where;
  of: Of | null;
}

const numbers = (values: readonly number[]): string => values.map((v) => String(Number(v.toFixed(2)))).join(", ");

/** The text of a region. That of a class hangs on which class is asked about. */
export function regionText(where: Where, channel: string): string {
  switch (where.kind) {
    case "class":
      return `predicted(${word(channel)})`;
    case "segment":
      return `instance(${word(where.of)}, at=(${numbers(where.at)}))`;
    case "pixel":
      return `pixel(${numbers(where.at)})`;
    case "box":
      return `box(${numbers(where.box)})`;
    case "polygon":
      return `polygon(${where.points.map((p) => `(${numbers(p)})`).join(", ")})`;
    case "mask":
      return `mask('${where.id}')`;
    case "everything":
      return "everything";
    default:
      return where.text;
  }
}

const NAME = String.raw`([A-Za-z_][A-Za-z0-9_]*|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")`;
const PAIR = String.raw`\((-?[\d.]+), *(-?[\d.]+)\)`;
const SEGMENT = new RegExp(`^instance\\(${NAME}, *at=${PAIR}\\)$`);
const CLASS = new RegExp(`^predicted\\(${NAME}\\)$`);
const CONFUSED = new RegExp(`^component\\(confused\\(truth=${NAME}, *as_=${NAME}\\), *at=${PAIR}\\)$`);

const plain = (name: string): string =>
  /^['"]/.test(name) ? name.slice(1, -1).replaceAll(/\\(.)/g, "$1") : name;

/** What a text says, where it is one that this page writes; any other stays text. */
export function readWhere(text: string, channel: string): Where {
  const trimmed = text.trim();
  if (trimmed === "everything") return { kind: "everything" };
  let found = CLASS.exec(trimmed);
  if (found && plain(found[1] as string) === channel) return { kind: "class" };
  found = SEGMENT.exec(trimmed);
  if (found) return { kind: "segment", of: plain(found[1] as string), at: [Number(found[2]), Number(found[3])] };
  found = CONFUSED.exec(trimmed);
  if (found) {
    const [, truth = "", predicted = "", y, x] = found;
    return { kind: "confused", truth: plain(truth), predicted: plain(predicted), at: [Number(y), Number(x)], text: trimmed };
  }
  found = /^mask\('([^']+)'\)$/.exec(trimmed);
  if (found) return { kind: "mask", id: found[1] as string };
  const values = (trimmed.match(/-?\d+(\.\d+)?/g) ?? []).map(Number);
  if (/^pixel\([\d, ]+\)$/.test(trimmed) && values.length === 2) return { kind: "pixel", at: values as Place };
  if (/^box\([\d, ]+\)$/.test(trimmed) && values.length === 4) return { kind: "box", box: values as Box };
  if (/^polygon\([-\d., ()]+\)$/.test(trimmed) && values.length >= 6 && values.length % 2 === 0) {
    return { kind: "polygon", points: values.flatMap((v, i): Place[] => (i % 2 ? [] : [[v, values[i + 1] as number]])) };
  }
  return { kind: "text", text: trimmed };
}

/** A latent unit is asked for by its number, a class by its name. */
export function channelOf(text: string, network: Pick<NetworkInfo, "task">): string | number {
  return network.task === "encode" && /^\d+$/.test(text) ? Number(text) : text;
}

/** As the server takes it. Networks without space in their output take no region. */
export function targetOf(ask: Ask, network: Pick<NetworkInfo, "task">): TargetText {
  return {
    channel: channelOf(ask.channel, network),
    ...(ask.against ? { against: channelOf(ask.against, network) } : {}),
    ...(network.task === "segment" ? { region: regionText(ask.where, ask.channel) } : {}),
    ...(ask.of ? { of: ask.of } : {}),
  };
}

const EVERY_CONFUSED = new RegExp(`^confused\\(truth=${NAME}, *as_=${NAME}\\)$`);

/** Where, as a person says it; `pixels` where it is known. */
export function whereInWords(where: Where, channel: string, pixels: number | null): string {
  const size = pixels === null ? "" : `, ${counted(pixels, "pixel")}`;
  switch (where.kind) {
    case "class":
      return `all that is called ${channel}${size}`;
    case "segment":
      return `this segment${size}`;
    case "pixel":
      return `the pixel in row ${where.at[0]}, column ${where.at[1]}`;
    case "box":
      return `the rectangle${size}`;
    case "polygon":
      return `the polygon${size}`;
    case "mask":
      return `what you drew${size}`;
    case "confused":
      return `this ${where.truth}, taken for ${where.predicted}${size}`;
    case "everything":
      return "the whole picture";
    default: {
      const every = confusedEverywhere(where.text);
      return `${every ? `every ${every[0]} taken for ${every[1]}` : where.text}${size}`;
    }
  }
}

/** Truth and prediction of a region that is all of a confusion. */
function confusedEverywhere(text: string): [string, string] | null {
  const [, truth, predicted] = EVERY_CONFUSED.exec(text) ?? [];
  return truth && predicted ? [plain(truth), plain(predicted)] : null;
}

/** What a confused place truly is; null of any other. */
export function trulyOf(where: Where): string | null {
  if (where.kind === "confused") return where.truth;
  return where.kind === "text" ? (confusedEverywhere(where.text)?.[0] ?? null) : null;
}

/** Whether a place can be asked about in any picture, and not in one only. */
export function isAnywhere(where: Where): boolean {
  if (where.kind === "text") return !/\b(pixel|box|polygon|mask|at)\b/.test(where.text);
  return where.kind === "class" || where.kind === "everything";
}

/** Whether two targets ask the same. */
export function sameAsk(a: Ask | null, b: Ask | null): boolean {
  if (!a || !b) return a === b;
  return (
    a.channel === b.channel &&
    a.against === b.against &&
    a.of === b.of &&
    regionText(a.where, a.channel) === regionText(b.where, b.channel)
  );
}
