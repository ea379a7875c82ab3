/** The pixels of a region as the page knows them, without asking the server. */

import { commonest, fillBox, fillPolygon, type Pieces, piecesOf } from "../../core/masks";
import type { Where } from "../../views/inspect/question";
import type { Scene } from "./scene.svelte";

/** Confused segments: pieces in which truth and prediction are one pair each. Null until truth and errors are there. */
export function confusedPieces(scene: Scene): Pieces | null {
  const { truth, status, labels } = scene;
  const k = scene.network.classes.length;
  if (!truth || !status || !labels || k * k >= 0xffff) return null;
  const pairs = new Uint16Array(labels.length).fill(0xffff);
  for (let i = 0; i < pairs.length; i++) if (status[i] === 1) pairs[i] = (truth[i] as number) * k + (labels[i] as number);
  return piecesOf(pairs, scene.size);
}

/** The confused segment at a pixel, as a target's place; null where the network is right, or nothing is known. */
export function confusedAt(scene: Scene, x: number, y: number): Extract<Where, { kind: "confused" }> | null {
  const i = y * scene.size.width + x;
  if (scene.status?.[i] !== 1) return null;
  const truth = scene.nameOf(scene.truth?.[i]);
  const predicted = scene.nameOf(scene.labels?.[i]);
  return truth && predicted ? confused(truth, predicted, [y, x]) : null;
}

export function confused(truth: string, predicted: string, at: [number, number], text?: string): Extract<Where, { kind: "confused" }> {
  const quoted = (name: string) => (/^[A-Za-z_]\w*$/.test(name) ? name : `'${name.replaceAll("'", "\\'")}'`);
  const said = text ?? `component(confused(truth=${quoted(truth)}, as_=${quoted(predicted)}), at=(${at.join(", ")}))`;
  return { kind: "confused", truth, predicted, at, text: said };
}

/** One byte a pixel, 1 inside; null where only the server can tell. `drawn`: the mask in hand. */
export function regionMask(scene: Scene, where: Where, channel: string, drawn: Uint8Array | null): Uint8Array | null {
  const { size, labels } = scene;
  const made = new Uint8Array(size.width * size.height);
  switch (where.kind) {
    case "everything":
      return made.fill(1);
    case "box":
      fillBox(made, size, where.box, 1);
      return made;
    case "pixel":
      fillBox(made, size, [where.at[0], where.at[1], where.at[0] + 1, where.at[1] + 1], 1);
      return made;
    case "polygon":
      // In regions a pixel's centre has whole coordinates; here it lies half a pixel further.
      fillPolygon(made, size, where.points.map(([y, x]) => ({ x: x + 0.5, y: y + 0.5 })), 1);
      return made;
    case "mask":
      return drawn;
    case "class":
    case "segment": {
      if (!labels) return null;
      const label = scene.indexOf(where.kind === "class" ? channel : where.of);
      if (where.kind === "class") return filled(made, (i) => labels[i] === label);
      return piece(made, scene.pieces, size.width, where.at, (i) => labels[i] === label);
    }
    case "confused":
      return piece(made, confusedPieces(scene), size.width, where.at, (i) => scene.status?.[i] === 1);
    default:
      return null;
  }
}

function piece(
  made: Uint8Array,
  pieces: Pieces | null,
  width: number,
  [y, x]: [number, number],
  inside: (i: number) => boolean,
): Uint8Array | null {
  const id = pieces?.ids[y * width + x];
  if (!pieces || id === undefined || !inside(y * width + x)) return null;
  return filled(made, (i) => pieces.ids[i] === id);
}

function filled(made: Uint8Array, inside: (i: number) => boolean): Uint8Array {
  for (let i = 0; i < made.length; i++) made[i] = inside(i) ? 1 : 0;
  return made;
}

/** The class that most of a region is predicted as. */
export function classOf(scene: Scene, mask: Uint8Array | null): string | null {
  return mask && scene.labels ? scene.nameOf(commonest(scene.labels, mask)) : null;
}
