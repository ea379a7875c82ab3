/** What the latent explorer asked the server for: the image's code, what the sliders decode to, what units see and do. */

import type { ArrayInfo, Attended, Encoded, ImageSet, Job, Result, TaskName, Tasks, Units } from "../../core/api";
import { arrayOf, ServerFault } from "../../core/client";
import { numbersOf } from "../../core/float16";
import { Latest } from "../../core/latest";
import { jobs } from "../../state/jobs.svelte";
import { rounded, traverse, unlike } from "./state";

/** A picture in bytes [H W 3], with labels [H W] where the decoder gives masks. */
export interface Shown {
  rgb: Uint8Array;
  labels: Uint8Array | null;
  height: number;
  width: number;
}

export interface Attention {
  map: Float32Array;
  greatest: number;
  height: number;
  width: number;
}

type Condition = Record<string, number> | undefined;

/** Runs a task without leaving it in the list of jobs: a slider asks for hundreds. */
async function quietly<T extends TaskName>(task: T, args: Tasks[T]["args"]): Promise<Result<Tasks[T]["meta"]>> {
  let job: Job | null = null;
  try {
    return await jobs.run(task, args, (begun) => (job = begun));
  } finally {
    if (job) jobs.all.delete((job as Job).id);
  }
}

async function bytes(result: Result, name: string): Promise<{ data: Uint8Array; info: ArrayInfo } | null> {
  const info = result.arrays[name];
  return info ? { data: (await arrayOf(result, info)) as Uint8Array, info } : null;
}

async function shown(result: Result, name: string): Promise<Shown | null> {
  const picture = await bytes(result, name);
  if (!picture) return null;
  const labels = name === "picture" && result.task === "encode" ? null : await bytes(result, "labels");
  const [height = 1, width = 1] = picture.info.shape;
  return { rgb: picture.data, labels: labels?.data ?? null, height, width };
}

const told = (condition: Record<string, number>) => (Object.keys(condition).length ? { condition } : {});

/** Steps of the strip that shows what a unit does. */
export const STEPS = 7;

export class Explorer {
  encoded = $state.raw<Result<Encoded> | null>(null);
  original = $state.raw<Shown | null>(null);
  reconstruction = $state.raw<Shown | null>(null);
  /** What the sliders decode to; null while they stand where the image was encoded. */
  now = $state.raw<Shown | null>(null);
  attended = $state.raw<Result<Attended> | null>(null);
  attention = $state.raw<Map<number, Attention>>(new Map());
  units = $state.raw<Units | null>(null);
  strip = $state.raw<{ unit: number; values: number[]; pictures: (Shown | null)[] } | null>(null);
  fault = $state<string | null>(null);
  /** Whether the decoder, told the code alone, gives something else than the reconstruction: it is told more of the image then. */
  lone = $state(false);
  busy = $state(false);
  #decoding = new Latest();
  #travelling = new Latest();
  #asked = 0;
  #image = "";
  #ranking = "";

  /** Encodes an image; then asks what each unit saw in it. */
  async encode(network: string, image: string, condition: Condition, units: number): Promise<void> {
    const mine = ++this.#asked;
    this.#image = image;
    this.fault = null;
    this.busy = true;
    try {
      const result = await quietly("encode", { network, image, ...(condition ? { condition } : {}) });
      const [original, reconstruction] = await Promise.all([shown(result, "picture"), shown(result, "reconstruction")]);
      if (mine !== this.#asked) return;
      this.encoded = result;
      this.original = original;
      this.reconstruction = reconstruction;
      this.attended = null;
      this.attention = new Map();
      this.busy = false;
      const alone = await quietly("decode", { network, z: result.meta.mu.map(rounded), ...(told(result.meta.condition)) });
      const picture = await shown(alone, "picture");
      if (mine === this.#asked) this.lone = Boolean(picture && reconstruction && unlike(picture.rgb, reconstruction.rgb));
      await this.#attend(mine, network, image, condition, units);
    } catch (failed) {
      if (mine === this.#asked) this.#failed(failed);
    } finally {
      if (mine === this.#asked) this.busy = false;
    }
  }

  async #attend(mine: number, network: string, image: string, condition: Condition, units: number): Promise<void> {
    const asked = Array.from({ length: Math.min(units, 64) }, (_, u) => u);
    const result = await quietly("attend", { network, image, units: asked, ...(condition ? { condition } : {}) });
    const info = result.arrays.maps;
    if (!info || mine !== this.#asked) return;
    const all = numbersOf((await arrayOf(result, info)) as Uint16Array, info.scale);
    const [, height = 1, width = 1] = info.shape;
    const n = height * width;
    if (mine !== this.#asked) return;
    this.attended = result;
    this.attention = new Map(
      result.meta.units.map(({ unit, greatest }, k) => [unit, { map: all.subarray(k * n, (k + 1) * n), greatest, height, width }]),
    );
  }

  /** The image, for a decoder that is told more of it than its code. */
  #beside(): { image?: string } {
    return this.lone ? { image: this.#image } : {};
  }

  /** Decodes where the sliders stand; of places that were passed meanwhile only the last. */
  decode(network: string, z: number[], condition: Condition): void {
    this.#decoding.run(async () => {
      try {
        const result = await quietly("decode", { network, z, ...this.#beside(), ...(condition ? { condition } : {}) });
        this.now = await shown(result, "picture");
        this.fault = null;
      } catch (failed) {
        this.#failed(failed);
      }
    });
  }

  /** The sliders stand where the image was encoded: its reconstruction is what is shown. */
  settle(): void {
    this.#decoding.clear();
    this.now = null;
  }

  /** Decodes a unit from −3 to 3 deviations, the others where they are. */
  travel(network: string, unit: number, deviation: number, z: number[], condition: Condition): void {
    this.#travelling.run(async () => {
      const values = traverse(deviation, STEPS);
      const pictures: (Shown | null)[] = values.map(() => null);
      try {
        await Promise.all(
          values.map(async (value, k) => {
            const there = z.map((old, u) => (u === unit ? value : old));
            const result = await quietly("decode", { network, z: there, ...this.#beside(), ...(condition ? { condition } : {}) });
            pictures[k] = await shown(result, "picture");
          }),
        );
        this.strip = { unit, values, pictures };
      } catch (failed) {
        this.#failed(failed);
      }
    });
  }

  /** Which units tell anything, over a set, or over the network's own where it has too few images. */
  async rank(network: string, set: Pick<ImageSet, "id" | "size">): Promise<void> {
    const id = `${network} ${set.id} ${set.size}`;
    if (this.#ranking === id) return;
    this.#ranking = id;
    this.units = null;
    try {
      const { meta } = await jobs.run("units", { network, set: set.id });
      if (this.#ranking === id) this.units = meta;
    } catch (failed) {
      if (this.#ranking === id) this.#failed(failed);
    }
  }

  #failed(failed: unknown): void {
    if (failed instanceof ServerFault && failed.kind === "Cancelled") return;
    this.fault = failed instanceof Error ? failed.message : String(failed);
  }
}
