/** How kinds of layers are told apart: each by a colour, by the outline of its box, and by its name in words. */

/** The server's kinds, with joins told apart by what they do. */
export const LOOKS = [
  "input",
  "output",
  "convolution",
  "linear",
  "attention",
  "normalisation",
  "activation",
  "pooling",
  "upsampling",
  "arithmetic",
  "concatenation",
  "other",
  "module",
] as const;

export type Look = (typeof LOOKS)[number];

const CONCATENATIONS = new Set(["cat", "concat", "concatenate", "stack", "hstack", "vstack"]);

/** The look of a node. kind, type: as in the graph. */
export function lookOf(kind: string, type: string): Look {
  if (kind === "join") return CONCATENATIONS.has(type.toLowerCase()) ? "concatenation" : "arithmetic";
  if (kind === "resize") return "upsampling";
  return (LOOKS as readonly string[]).includes(kind) ? (kind as Look) : "other";
}

/** The words of the legend. */
export const WORDS: Record<Look, string> = {
  input: "input",
  output: "output",
  convolution: "convolution",
  linear: "linear",
  attention: "attention",
  normalisation: "normalisation",
  activation: "activation",
  pooling: "pooling, reduction",
  upsampling: "upsampling, resizing",
  arithmetic: "sum, product",
  concatenation: "concatenation",
  other: "other operation",
  module: "module (opens)",
};

/** What a canvas's path and a writer of SVG paths have in common. */
export interface Pen {
  moveTo(x: number, y: number): void;
  lineTo(x: number, y: number): void;
  quadraticCurveTo(cx: number, cy: number, x: number, y: number): void;
  closePath(): void;
}

type Corners = readonly (readonly [number, number])[];

/** The outline of a look's box, on any pen. */
export function outline(pen: Pen, look: Look, x: number, y: number, w: number, h: number): void {
  const s = Math.min(h * 0.3, w * 0.2);
  const [r, b] = [x + w, y + h];
  switch (look) {
    case "normalisation":
      return rounded(pen, x, y, w, h, h * 0.24);
    case "activation":
      return rounded(pen, x, y, w, h, h / 2);
    case "arithmetic":
      return oval(pen, x, y, w, h);
    case "linear":
      return corners(pen, [[x + s, y], [r, y], [r - s, b], [x, b]]);
    case "attention":
      return corners(pen, [[x + s, y], [r - s, y], [r, y + h / 2], [r - s, b], [x + s, b], [x, y + h / 2]]);
    case "pooling":
      return corners(pen, [[x, y], [r, y], [r - s, b], [x + s, b]]);
    case "upsampling":
      return corners(pen, [[x + s, y], [r - s, y], [r, b], [x, b]]);
    case "concatenation":
      return corners(pen, [
        [x + s, y], [r - s, y], [r, y + s], [r, b - s], [r - s, b], [x + s, b], [x, b - s], [x, y + s],
      ]);
    case "input":
      return corners(pen, [[x, y], [r, y], [r, b - s], [x + w / 2, b], [x, b - s]]);
    case "output":
      return corners(pen, [[x, y], [x + w / 2, y + s], [r, y], [r, b], [x, b]]);
    case "other":
      return corners(pen, [[x, y], [r - s, y], [r, y + s], [r, b], [x, b]]);
    default:
      return corners(pen, [[x, y], [r, y], [r, b], [x, b]]);
  }
}

/** The same outline as the `d` of an SVG path, for glyphs in lists and in the legend. */
export function outlinePath(look: Look, x: number, y: number, w: number, h: number): string {
  const parts: string[] = [];
  const n = (v: number) => v.toFixed(2);
  outline(
    {
      moveTo: (px, py) => parts.push(`M${n(px)} ${n(py)}`),
      lineTo: (px, py) => parts.push(`L${n(px)} ${n(py)}`),
      quadraticCurveTo: (cx, cy, px, py) => parts.push(`Q${n(cx)} ${n(cy)} ${n(px)} ${n(py)}`),
      closePath: () => parts.push("Z"),
    },
    look,
    x,
    y,
    w,
    h,
  );
  return parts.join("");
}

function corners(pen: Pen, points: Corners): void {
  points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.closePath();
}

function rounded(pen: Pen, x: number, y: number, w: number, h: number, radius: number): void {
  const q = Math.min(radius, w / 2);
  pen.moveTo(x + q, y);
  pen.lineTo(x + w - q, y);
  pen.quadraticCurveTo(x + w, y, x + w, y + q);
  pen.lineTo(x + w, y + h - q);
  pen.quadraticCurveTo(x + w, y + h, x + w - q, y + h);
  pen.lineTo(x + q, y + h);
  pen.quadraticCurveTo(x, y + h, x, y + h - q);
  pen.lineTo(x, y + q);
  pen.quadraticCurveTo(x, y, x + q, y);
  pen.closePath();
}

function oval(pen: Pen, x: number, y: number, w: number, h: number): void {
  const [cx, cy] = [x + w / 2, y + h / 2];
  pen.moveTo(cx, y);
  pen.quadraticCurveTo(x + w, y, x + w, cy);
  pen.quadraticCurveTo(x + w, y + h, cx, y + h);
  pen.quadraticCurveTo(x, y + h, x, cy);
  pen.quadraticCurveTo(x, y, cx, y);
  pen.closePath();
}
