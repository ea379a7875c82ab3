/**
 * The images that 'the next' and 'the one before' lead through: the set as it was sorted and filtered, or those behind
 * a confusion, the most pixels first. The address holds which.
 */

import type { Evaluated, ImageInfo } from "../core/api";
import { arranged, type Order, type Scores, type Wish } from "../core/arrange";
import { evaluations } from "./evaluations.svelte";
import { place } from "./place.svelte";
import { session } from "./session.svelte";

export const ORDERS: Record<Order, string> = { name: "name", error: "error (mean IoU)", accuracy: "error (accuracy)", size: "size" };

class Walk {
  found = $derived(evaluations.of(session.network?.id, session.set?.id));
  /** Order and filter of the set. */
  wish = $derived.by((): Wish => {
    const { iq = "", it, io = "", ir } = place.fields;
    return { text: iq, truthOnly: it === "1", order: io in ORDERS ? (io as Order) : "name", reversed: ir === "1" };
  });
  scores = (image: ImageInfo): Scores | undefined => this.found.scores.get(image.id);

  shown = $derived(arranged(session.images, this.wish, this.scores));
  /** Truth and prediction of the confusion that is gone through, by name; null where none is. */
  cell = $derived.by((): [string, string] | null => {
    const classes = this.found.result?.meta.classes;
    const [truth, predicted] = (place.fields.w ?? "").split(":").map((i) => classes?.[Number(i)]?.name);
    return truth !== undefined && predicted !== undefined ? [truth, predicted] : null;
  });
  /** In their order. An image that is not among them was chosen by other means: then it is all of the set. */
  images = $derived.by((): readonly ImageInfo[] => {
    const those = this.cell ? this.#behind(this.found.result?.meta.cells[place.fields.w ?? ""] ?? []) : this.shown;
    return those.some((i) => i.id === session.image?.id) ? those : session.images;
  });
  /** What is gone through, where it is not the set as it lies there. */
  words = $derived.by(() => {
    if (this.cell) return this.cell[0] === this.cell[1] ? `${this.cell[0]} found` : `${this.cell[0]} taken for ${this.cell[1]}`;
    const { text, truthOnly, order, reversed } = this.wish;
    const said = [text && `named “${text}”`, truthOnly && "with truth", order !== "name" && `by ${ORDERS[order]}`, reversed && "the other way round"];
    return said.filter(Boolean).join(", ");
  });
  at = $derived(this.images.findIndex((i) => i.id === session.image?.id));
  /** Whether the address speaks of scores: they lie in the server's store, and are asked for again. */
  scored = $derived(
    place.fields.ev === "1" &&
      (place.view === "images" || place.view === "dataset" || Boolean(place.fields.w) || this.wish.order === "error" || this.wish.order === "accuracy"),
  );

  step(by: 1 | -1): void {
    const next = this.images[this.at + by];
    if (next) session.choose(next);
  }

  /** Goes through the set again, out of a confusion. */
  leaveCell(): void {
    place.note({ w: "" });
  }

  /** Goes through more: out of a confusion, or else without order and filter. */
  leave(): void {
    if (this.cell) this.leaveCell();
    else place.note({ iq: "", it: "", io: "", ir: "" });
  }

  #behind(cell: Evaluated["cells"][string]): ImageInfo[] {
    const known = new Map(session.images.map((i) => [i.id, i]));
    return cell.flatMap(([id]) => known.get(id) ?? []);
  }
}

export const walk = new Walk();
