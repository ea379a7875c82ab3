/** One image and what one network makes of it: picture, prediction, truth and mistakes, loaded once and shared by all panels. */

import type { ImageInfo, Mistakes, NetworkInfo, Result, Rgb, Segmented } from "../../core/api";
import { arrayOf, pictureAddress, truthOf } from "../../core/client";
import { VALUES } from "../../core/float16";
import { bordersOf, type Pieces, piecesOf } from "../../core/masks";
import { toGrey } from "../../core/paint";
import { percent } from "../../core/words";
import type { Size } from "../../core/zoom";
import { jobs } from "../jobs.svelte";

export type Labels = Uint8Array | Uint16Array;

/** The label of a pixel that no independent label was given to. */
export const NONE = 0xffff;

export class Scene {
  picture = $state.raw<CanvasImageSource | null>(null);
  grey = $state.raw<CanvasImageSource | null>(null);
  segmented = $state.raw<Result<Segmented> | null>(null);
  /** Of independent labels: the most confident one that was given. */
  labels = $state.raw<Labels | null>(null);
  truth = $state.raw<Labels | null>(null);
  /** 0 right, 1 wrong, 2 ignored. */
  status = $state.raw<Uint8Array | null>(null);
  mistakes = $state.raw<Mistakes | null>(null);
  fault = $state("");
  /** Why truth, or where the network is wrong, cannot be shown. */
  unfit = $state("");
  #confidence: { bits: Uint16Array; scale: number; planes: number } | null = null;
  /** Where each independent label was given, [K n]. */
  #masks: Uint8Array | null = null;
  #pieces: Pieces | null = null;
  #borders: Float32Array | null = null;
  #truthAsked = false;
  #mistakesAsked = false;

  constructor(
    readonly network: NetworkInfo,
    readonly image: ImageInfo,
  ) {}

  get size(): Size {
    return { width: this.image.width, height: this.image.height };
  }

  /** Whether the image is a plane of pixels. */
  get flat(): boolean {
    return this.image.width > 0 && this.image.height > 0;
  }

  colourOf(name: string): Rgb {
    return this.network.classes.find((c) => c.name === name)?.colour ?? [150, 150, 150];
  }

  nameOf(label: number | null | undefined): string | null {
    return label === null || label === undefined ? null : (this.network.classes[label]?.name ?? null);
  }

  indexOf(name: string): number {
    return this.network.classes.findIndex((c) => c.name === name);
  }

  /** What the network calls a pixel, and how sure it is: one class, or of independent labels all that it was given. */
  saidAt(i: number): string {
    if (!this.labels) return "";
    const masks = this.#masks;
    const given = masks ? this.network.classes.map((_, k) => k).filter((k) => masks[k * this.#pixels + i]) : [this.labels[i] as number];
    return given
      .map((label) => ({ name: this.nameOf(label), sure: this.#sureOf(label, i) }))
      .sort((a, b) => (b.sure ?? 0) - (a.sure ?? 0))
      .flatMap(({ name, sure }) => (name ? [`${name} ${sure === null ? "" : percent(sure)}`.trim()] : []))
      .join(", ");
  }

  #sureOf(label: number, i: number): number | null {
    const kept = this.#confidence;
    if (!kept) return null;
    const bits = kept.bits[(kept.planes > 1 ? label * this.#pixels : 0) + i];
    return bits === undefined ? null : (VALUES[bits] as number) * kept.scale;
  }

  get #pixels(): number {
    return this.size.width * this.size.height;
  }

  /** Connected segments of the prediction; null while there is none. */
  get pieces(): Pieces | null {
    if (!this.labels) return null;
    this.#pieces ??= piecesOf(this.labels, this.size);
    return this.#pieces;
  }

  /** Edges between predicted classes. */
  get borders(): Float32Array {
    if (!this.labels) return new Float32Array();
    this.#borders ??= bordersOf(this.labels, this.size);
    return this.#borders;
  }

  /** Loads picture and prediction. What fails is kept in words; the picture comes without the prediction too. */
  async load(): Promise<void> {
    if (this.image.problem) {
      this.fault = this.image.problem;
      return;
    }
    if (!this.flat) {
      this.fault = `${this.image.name} is no plane picture: the page shows images, not volumes. In Python and on the command line volumes are explained like images.`;
      return;
    }
    await Promise.all([this.#loadPicture(), this.#loadPrediction()]).catch((failed: unknown) => {
      this.fault = failed instanceof Error ? failed.message : String(failed);
    });
  }

  /** Loads once more what could not be loaded, such as while the server was away. */
  async again(): Promise<void> {
    if (this.unfit) {
      const [truth, mistakes] = [this.#truthAsked, this.#mistakesAsked];
      this.unfit = "";
      this.#truthAsked = this.#mistakesAsked = false;
      if (truth) void this.wantTruth();
      if (mistakes) void this.wantMistakes();
    }
    if (!this.fault) return;
    this.fault = "";
    await this.load();
  }

  async #loadPicture(): Promise<void> {
    const loaded = new Image();
    loaded.src = pictureAddress(this.image.id);
    await loaded.decode().catch(() => {
      throw new Error(`The picture of ${this.image.name} could not be loaded.`);
    });
    const { width, height } = this.size;
    const made = new OffscreenCanvas(width, height);
    const context = made.getContext("2d", { willReadFrequently: true });
    if (!context) throw new Error("This browser gives no canvas to draw on.");
    context.drawImage(loaded, 0, 0, width, height);
    const pixels = context.getImageData(0, 0, width, height);
    toGrey(pixels.data);
    context.putImageData(pixels, 0, 0);
    this.picture = loaded;
    this.grey = made;
  }

  async #loadPrediction(): Promise<void> {
    if (this.network.task === "encode") return;
    const found = await jobs.run("segment", { network: this.network.id, image: this.image.id });
    const { labels, masks, confidence } = found.arrays;
    const [said, sure] = await Promise.all([
      labels ? arrayOf(found, labels) : masks ? arrayOf(found, masks) : null,
      confidence ? arrayOf(found, confidence) : null,
    ]);
    const n = this.#pixels;
    if (sure && confidence) {
      this.#confidence = { bits: sure as Uint16Array, scale: confidence.scale, planes: Math.round(sure.length / n) };
    }
    if (masks) this.#masks = said as Uint8Array | null;
    if (said) this.labels = labels ? (said as Labels) : strongest(said as Uint8Array, sure as Uint16Array | null, n);
    this.segmented = found;
  }

  /** True labels, once somebody wants to see them. */
  async wantTruth(): Promise<void> {
    if (this.#truthAsked || !this.image.truth) return;
    this.#truthAsked = true;
    await this.#fitting(async () => {
      this.truth = (await truthOf(this.image.id, this.network.id)).labels;
    });
  }

  /** Where the network is wrong, once somebody wants to see it. */
  async wantMistakes(): Promise<void> {
    if (this.#mistakesAsked || !this.image.truth) return;
    this.#mistakesAsked = true;
    await this.#fitting(async () => {
      const found = await jobs.run("mistakes", { network: this.network.id, image: this.image.id });
      const { status } = found.arrays;
      if (status) this.status = (await arrayOf(found, status)) as Uint8Array;
      this.mistakes = found.meta;
    });
  }

  async #fitting(load: () => Promise<void>): Promise<void> {
    try {
      await load();
    } catch (failed) {
      this.unfit = failed instanceof Error ? failed.message : String(failed);
    }
  }
}

/** Of independent labels [K n] that one of each pixel of which the network is surest. */
export function strongest(masks: Uint8Array, confidence: Uint16Array | null, n: number): Uint16Array {
  const made = new Uint16Array(n).fill(NONE);
  for (let i = 0; i < n; i++) {
    let most = -1;
    for (let k = 0, j = i; j < masks.length; k++, j += n) {
      if (!masks[j]) continue;
      const sure = confidence ? (VALUES[confidence[j] as number] as number) : 0;
      if (sure > most) {
        most = sure;
        made[i] = k;
      }
    }
  }
  return made;
}
