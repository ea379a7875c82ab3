/** The colours of a drawing, from the page's variables. */

import { LOOKS, type Look } from "./looks";

export interface Palette {
  paper: string;
  panel: string;
  line: string;
  edge: string;
  text: string;
  muted: string;
  accent: string;
  /** Outline of a look's box. */
  strokes: Record<Look, string>;
  /** Ground of a look's box: the outline's colour, much of it the panel's. */
  fills: Record<Look, string>;
  /** Ground of an open module, by depth in turns. */
  grounds: [string, string];
  font: string;
}

/** The palette of an element, which inherits the page's variables. */
export function paletteOf(element: Element): Palette {
  const style = getComputedStyle(element);
  const read = (name: string, otherwise: string) => style.getPropertyValue(name).trim() || otherwise;
  const [panel, text] = [read("--panel", "#161a22"), read("--text", "#e8ebf1")];
  const [edge, line] = [read("--edge", "#7a8497"), read("--line", "#2f3746")];
  const strokes = record((look) => read(`--look-${look}`, edge));
  return {
    paper: read("--bg", "#0f1218"),
    panel,
    line,
    edge,
    text,
    muted: read("--muted", "#a4adbd"),
    accent: read("--accent", "#7db0ff"),
    strokes,
    fills: record((look) => mixed(strokes[look], panel, 0.2)),
    grounds: [mixed(edge, panel, 0.06), mixed(edge, panel, 0.13)],
    font: read("--font", "sans-serif"),
  };
}

function record<T>(make: (look: Look) => T): Record<Look, T> {
  return Object.fromEntries(LOOKS.map((look) => [look, make(look)])) as Record<Look, T>;
}

/** So much of one colour in the other; the first alone where one of them is not #rrggbb. */
export function mixed(colour: string, ground: string, share: number): string {
  const [a, b] = [channels(colour), channels(ground)];
  if (!a || !b) return colour;
  const parts = a.map((v, i) => Math.round(v * share + (b[i] as number) * (1 - share)));
  return `#${parts.map((v) => v.toString(16).padStart(2, "0")).join("")}`;
}

/** Red, green, blue of #rgb or #rrggbb. */
export function channels(colour: string): [number, number, number] | null {
  const hex = colour.trim().replace(/^#(.)(.)(.)$/, "#$1$1$2$2$3$3");
  const found = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(hex);
  return found ? [parseInt(found[1] as string, 16), parseInt(found[2] as string, 16), parseInt(found[3] as string, 16)] : null;
}

/** Calls back when the page turns dark or light; gives what stops that. */
export function onTheme(changed: () => void): () => void {
  const watch = new MutationObserver(changed);
  watch.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "class", "style"] });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", changed);
  return () => {
    watch.disconnect();
    dark.removeEventListener("change", changed);
  };
}
