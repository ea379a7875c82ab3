/** Panels and target in the address, so that a link restores what is seen. Masks are named by their id. */

import { type Ask, type Of, readWhere, regionText } from "./question";

export type Value = string | number | boolean | null;

/** A panel as the address holds it. `ask` is null where it asks what the page asks. */
export type PanelText =
  | { kind: "image" | "prediction" | "truth" | "error"; pinned: boolean }
  | { kind: "map"; method: string; parameters: Record<string, Value>; ask: Ask | null; pinned: boolean }
  | {
      kind: "verify";
      what: "mask" | "salient";
      mask: string;
      explanation: string;
      share: number;
      fill: string;
      ask: Ask | null;
      pinned: boolean;
    };

/** Characters that part what stands in these texts. */
const escaped = (text: string): string => text.replaceAll(/[%|;~=@!]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
const read = (text: string): string =>
  text.replaceAll(/%([0-9a-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));

export function writeAsk(ask: Ask | null): string {
  if (!ask) return "";
  const parts = [ask.channel, ask.against ?? "", regionText(ask.where, ask.channel), ask.of ?? ""].map(escaped);
  return parts.join("~").replace(/~+$/, "");
}

const OFS: readonly string[] = ["logits", "probabilities", "log-probabilities"];

export function readAsk(text: string | undefined): Ask | null {
  if (!text) return null;
  const [channel = "", against = "", region = "", of = ""] = text.split("~").map(read);
  if (!channel) return null;
  return {
    channel,
    against: against || null,
    where: region ? readWhere(region, channel) : { kind: "class" },
    of: OFS.includes(of) ? (of as Of) : null,
  };
}

/** Text that would read as a number or the like stands in quotes. */
function writeValue(value: Value): string {
  if (typeof value !== "string") return JSON.stringify(value);
  return typeof readValue(value) === "string" && !value.startsWith('"') ? value : JSON.stringify(value);
}

function readValue(text: string): Value {
  try {
    const value: unknown = JSON.parse(text);
    if (value === null || ["string", "number", "boolean"].includes(typeof value)) return value as Value;
  } catch {
    // No JSON: the text itself.
  }
  return text;
}

const fields = (values: Record<string, Value>): string =>
  Object.entries(values)
    .map(([name, value]) => `;${escaped(name)}=${escaped(writeValue(value))}`)
    .join("");

export function writePanels(panels: readonly PanelText[]): string {
  return panels
    .map((panel) => {
      const pin = panel.pinned ? "!" : "";
      if (panel.kind === "map") {
        const about = panel.ask ? `@${writeAsk(panel.ask)}` : "";
        return `${pin}map:${escaped(panel.method)}${fields(panel.parameters)}${about}`;
      }
      if (panel.kind === "verify") {
        const { what, mask, explanation, share, fill } = panel;
        const about = panel.ask ? `@${writeAsk(panel.ask)}` : "";
        const rest: Record<string, Value> = what === "mask" ? { mask } : { explanation, share };
        return `${pin}verify:${what}${fields({ ...rest, fill })}${about}`;
      }
      return `${pin}${panel.kind}`;
    })
    .join("|");
}

export function readPanels(text: string | undefined): PanelText[] {
  return (text ?? "").split("|").flatMap((one): PanelText[] => {
    const pinned = one.startsWith("!");
    const [head = "", about] = (pinned ? one.slice(1) : one).split("@", 2);
    const [name = "", ...rest] = head.split(";");
    const [kind = "", detail = ""] = name.split(":", 2);
    const values: Record<string, Value> = {};
    for (const field of rest) {
      const [key = "", value = ""] = field.split("=", 2);
      values[read(key)] = readValue(read(value));
    }
    const ask = readAsk(about);
    if (kind === "map" && detail) return [{ kind, method: read(detail), parameters: values, ask, pinned }];
    if (kind === "verify" && (detail === "mask" || detail === "salient")) {
      return [
        {
          kind,
          what: detail,
          mask: String(values.mask ?? ""),
          explanation: String(values.explanation ?? ""),
          share: Number(values.share ?? 0.1),
          fill: String(values.fill ?? "mean"),
          ask,
          pinned,
        },
      ];
    }
    return kind === "image" || kind === "prediction" || kind === "truth" || kind === "error" ? [{ kind, pinned }] : [];
  });
}
