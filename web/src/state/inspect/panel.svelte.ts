/** One panel of the grid: what it shows, what it asked for, and how far that is. */

import type { Explained, Job, Removal, Result, Verified } from "../../core/api";
import { arrayOf, previewOf, ServerFault } from "../../core/client";
import { drawn } from "../../core/frames";
import { Latest } from "../../core/latest";
import type { PanelText, Value } from "../../views/inspect/link";
import { type Ask, sameAsk, targetOf } from "../../views/inspect/question";
import { jobs } from "../jobs.svelte";
import { notices } from "../notices.svelte";
import { type Plane, planeOf } from "./plane";
import { type Labels, type Scene, strongest } from "./scene.svelte";

/** A part of the page's flow, in which a new answer takes the place of the old one. */
export type Slot = "scene" | "quick" | "long" | "verify";

let last = 0;

abstract class Base {
  readonly id = ++last;
  /** What keeps its place on the page when one panel follows another. */
  place = this.id;
  pinned = $state(false);
  /** Whether others may take its place. */
  readonly slot: Slot = "scene";
}

/** Image, prediction, truth or error. */
export class ScenePanel extends Base {
  constructor(readonly kind: "image" | "prediction" | "truth" | "error") {
    super();
  }

  get text(): PanelText {
    return { kind: this.kind, pinned: this.pinned };
  }
}

/** What panels with an answer of the server have in common: a job, and its end. */
abstract class Asking extends Base {
  job = $state<string | null>(null);
  stage = $state<"waiting" | "done" | "failed">("waiting");
  fault = $state("");
  /** Whether it failed because there is nothing of what was asked about, and would again. */
  vain = $state(false);
  protected gone = false;

  constructor(
    readonly scene: Scene,
    readonly ask: Ask | null,
  ) {
    super();
  }

  get live(): Job | null {
    return this.job ? (jobs.all.get(this.job) ?? null) : null;
  }

  get busy(): boolean {
    return this.stage === "waiting" && !this.fault;
  }

  /** Stops the job; a search is paused, with what it has found so far. */
  stop(): void {
    const { live } = this;
    if (live && (live.state === "running" || live.state === "waiting")) jobs.leave(live.id, this).catch((f: unknown) => notices.fail(f));
  }

  /** Asks, and shows what is answered. */
  abstract run(): Promise<void>;

  /** The same once more, after it failed or was called off. */
  async again(): Promise<void> {
    this.stage = "waiting";
    this.fault = "";
    await this.run();
  }

  /** The panel was closed: what still runs for it is stopped. */
  leave(): void {
    this.gone = true;
    this.stop();
  }

  protected failed(fault: unknown): void {
    if (this.gone) return;
    this.vain = fault instanceof ServerFault && fault.kind === "EmptyRegionError";
    this.fault =
      fault instanceof ServerFault && fault.kind === "Cancelled"
        ? "Cancelled."
        : fault instanceof Error
          ? // What else there is to ask about, the page shows.
            this.vain ? (fault.message.split("\n")[0] as string) : fault.message
          : String(fault);
    this.stage = "failed";
  }

  /** As the address holds the target: nothing where it is what the page asks. */
  protected asked(current: Ask | null): Ask | null {
    return sameAsk(this.ask, current) ? null : this.ask;
  }
}

/** A method's map. */
export class MapPanel extends Asking {
  readonly kind = "map";
  result = $state.raw<Result<Explained> | null>(null);
  plane = $state.raw<Plane | null>(null);
  /** The same as they were at the last preview, while the job runs. */
  glimpse = $state.raw<Result<Explained> | null>(null);
  #latest = new Latest();

  constructor(
    scene: Scene,
    ask: Ask | null,
    readonly method: string,
    readonly parameters: Record<string, Value>,
    readonly slot: Slot,
  ) {
    super(scene, ask);
  }

  async run(): Promise<void> {
    const { scene, ask, method, parameters } = this;
    try {
      const target = ask ? targetOf(ask, scene.network) : null;
      const question = { network: scene.network.id, image: scene.image.id, method, parameters, target };
      await this.#show(await jobs.run("explain", question, (job) => (this.job = job.id), this));
    } catch (fault) {
      this.failed(fault);
    }
  }

  /** Goes on with a search that was paused. */
  async goOn(): Promise<void> {
    if (!this.job) return;
    this.stage = "waiting";
    this.fault = "";
    try {
      await this.#show(await jobs.resume<Explained>(this.job, this));
    } catch (fault) {
      this.failed(fault);
    }
  }

  /** Fetches what the search has found so far; one request at a time, the latest wins. */
  peek(): void {
    const { job } = this;
    if (!job || this.gone) return;
    this.#latest.run(async () => {
      // With the end of a job its previews go; the result is on its way then.
      if (this.live?.state !== "running") return;
      const glimpse = await previewOf<Explained>(job);
      const plane = await planeOf({ job }, glimpse);
      if (this.stage !== "waiting") return;
      this.glimpse = glimpse;
      if (plane) this.plane = plane;
    });
  }

  async #show(result: Result<Explained>): Promise<void> {
    this.plane = await planeOf(result, result);
    // The map first; what there is to read about it a frame later.
    await drawn();
    this.result = result;
    this.glimpse = null;
    this.stage = "done";
  }

  text(current: Ask | null): PanelText {
    const { method, parameters, pinned } = this;
    return { kind: "map", method, parameters, ask: this.asked(current), pinned };
  }
}

export type VerifyView = "after" | "picture" | "before";

/** The network's answer with a part of the picture taken away. */
export class VerifyPanel extends Asking {
  readonly kind = "verify";
  readonly slot = "verify";
  result = $state.raw<Result<Verified> | null>(null);
  view = $state<VerifyView>("after");
  removed = $state.raw<Uint8Array | null>(null);
  picture = $state.raw<Uint8Array | null>(null);
  before = $state.raw<Labels | null>(null);
  after = $state.raw<Labels | null>(null);

  constructor(
    scene: Scene,
    ask: Ask,
    readonly removal: Pick<Removal, "what" | "mask" | "explanation" | "share" | "fill">,
  ) {
    super(scene, ask);
    if (scene.network.task !== "segment") this.view = "picture";
  }

  async run(): Promise<void> {
    const { scene, ask, removal } = this;
    if (!ask) return;
    try {
      const asked = { network: scene.network.id, image: scene.image.id, target: targetOf(ask, scene.network), ...removal };
      const result = await jobs.run("verify", asked, (job) => (this.job = job.id), this);
      const of = async (name: string) => {
        const info = result.arrays[name];
        return info ? arrayOf(result, info) : null;
      };
      const [removed, picture, before, after] = await Promise.all([of("removed"), of("picture"), of("before"), of("after")]);
      this.removed = removed as Uint8Array | null;
      this.picture = picture as Uint8Array | null;
      const n = scene.size.width * scene.size.height;
      this.before = asLabels(before as Labels | null, n);
      this.after = asLabels(after as Labels | null, n);
      this.result = result;
      this.stage = "done";
    } catch (fault) {
      this.failed(fault);
    }
  }

  text(current: Ask | null): PanelText {
    const { what, mask = "", explanation = "", share = 0.1, fill = "mean" } = this.removal;
    return { kind: "verify", what, mask, explanation, share, fill, ask: this.asked(current), pinned: this.pinned };
  }
}

/** Labels as they are, or of independent ones [K n] the first of each pixel. */
function asLabels(labels: Labels | null, n: number): Labels | null {
  return labels && labels.length > n ? strongest(labels as Uint8Array, null, n) : labels;
}

export type Panel = ScenePanel | MapPanel | VerifyPanel;
