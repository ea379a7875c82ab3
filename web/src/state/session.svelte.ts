/** What is open: the session that the server told of, the network and the image that every view is about. */

import type { ImageInfo, ImageSet, Message, NetworkInfo, Session } from "../core/api";
import { imagesOf, ownSocket, session as askSession, standing } from "../core/client";
import { live, type LiveState } from "../core/live";
import { readAsk } from "../views/inspect/link";
import { isAnywhere } from "../views/inspect/question";
import { jobs } from "./jobs.svelte";
import { notices } from "./notices.svelte";
import { place } from "./place.svelte";

class SessionState {
  info = $state.raw<Session | null>(null);
  network = $state.raw<NetworkInfo | null>(null);
  /** Source of the network that is being opened; null while none is. */
  opening = $state<string | null>(null);
  sets = $state.raw<ImageSet[]>([]);
  set = $state.raw<ImageSet | null>(null);
  images = $state.raw<ImageInfo[]>([]);
  image = $state.raw<ImageInfo | null>(null);
  connection = $state<LiveState>("connecting");
  /** How many times a set was asked for: of two answers under way, the one to the later question is shown. */
  #asked = 0;

  /** Asks the server what there is, and opens what the address names, or else what the command line named. */
  async start(): Promise<void> {
    place.read();
    this.info = await askSession();
    this.sets = this.info.sets;
    for (const job of this.info.jobs) jobs.hear(job);
    live((message) => this.#hear(message), (state, again) => this.#connected(state, again), standing);
    const { n, s, i } = place.fields;
    const first = this.info.networks.find((one) => one.id === this.info?.start.network);
    if (first && (!n || n === first.source)) this.#take(first, false);
    const source = n || this.info.builtin[0]?.name;
    // What the command line named; an image's name begins with its set's.
    const given = this.info.start.image ?? "";
    const home = given.slice(0, given.lastIndexOf("-"));
    const set = this.sets.find((t) => t.id === home) ?? this.sets.find((t) => t.size > 0);
    await Promise.all([
      this.network || !source ? Promise.resolve() : this.openNetwork(source),
      this.follow(s || set?.id || "", i || given),
    ]);
  }

  /**
   * Opens a network by name or file. What fails is said, and the network before stays. `step`: whether the back button
   * is to lead to that one, and to what was asked of it.
   */
  async openNetwork(source: string, step = false): Promise<boolean> {
    this.opening = source;
    try {
      const found = await jobs.run("open", { source });
      if (this.opening !== source) return false;
      this.#take(found.meta, step);
      return true;
    } catch (failed) {
      notices.fail(failed);
      return false;
    } finally {
      if (this.opening === source) this.opening = null;
    }
  }

  /** Lists the images of a set, and chooses one of them, by default the first. */
  async openSet(id: string, image = ""): Promise<void> {
    const before = this.set?.id;
    await this.#list(id, image, (found) => {
      // Scores, order and filter are those of the set before.
      if (this.set?.id !== before) place.note({ ev: "", dx: "", w: "", io: "", ir: "", iq: "", it: "" });
      this.choose(found);
    });
  }

  /** Shows what an address leads to. */
  async follow(id: string, image: string): Promise<void> {
    await this.#list(id, image, (found) => this.show(found));
  }

  async #list(id: string, image: string, go: (found: ImageInfo | null) => void): Promise<void> {
    const set = this.sets.find((s) => s.id === id) ?? this.sets[0];
    if (!set) return;
    const turn = ++this.#asked;
    try {
      // A page of the list after the other: it is open with the one that has the image.
      let images: ImageInfo[] = [];
      let open = false;
      let ended = false;
      while (!ended) {
        const page = await imagesOf(set.id, images.length);
        if (turn !== this.#asked) return;
        images = [...images, ...page];
        ended = page.length === 0 || images.length >= set.size;
        if (open) this.images = [...this.images, ...page];
        else if (ended || !image || page.some((i) => i.id === image)) {
          open = true;
          this.set = set;
          this.images = images;
          place.note({ s: set.id });
          go(images.find((i) => i.id === image) ?? images[0] ?? null);
        }
      }
    } catch (failed) {
      notices.fail(failed);
    }
  }

  /**
   * Goes to another image; the back button leads to the one before, and to what was asked there. A question that
   * names no place of a picture, such as that about all that is called rider, is asked of the new one too.
   */
  choose(image: ImageInfo | null): void {
    if (image?.id === this.image?.id) return;
    this.image = image;
    const { t = "" } = place.fields;
    const asked = readAsk(t);
    place.note({ i: image?.id ?? "", t: asked && isAnywhere(asked.where) ? t : "", p: "", v: "" }, place.view === "inspect");
  }

  /** Shows the image that an address leads to. */
  show(image: ImageInfo | null): void {
    this.image = image;
    place.note({ i: image?.id ?? "" });
  }

  /** An image with news, such as truth of its own or scores, in the place of what was known of it. */
  update(image: ImageInfo): void {
    this.images = this.images.map((i) => (i.id === image.id ? image : i));
    if (this.image?.id === image.id) this.image = image;
  }

  #take(network: NetworkInfo, step: boolean): void {
    notices.clear();
    this.network = network;
    if (place.fields.n === network.source) return;
    // Chosen layers are those of the network before; and so are scores, which take their time.
    place.note({ n: network.source, l: "", ...(step ? { ev: "", dx: "", w: "" } : {}) }, step);
  }

  /** Whether an address, as far as it names any, means the network and the image at hand. */
  isHere({ n, i }: Record<string, string>): boolean {
    return (!n || n === this.network?.source) && (!i || i === this.image?.id);
  }

  /** Says in the address what it leaves open: what is shown. */
  complete(): void {
    const { n, s, i } = place.fields;
    if (!n && this.network) place.note({ n: this.network.source });
    if (!i && this.image && (!s || s === this.set?.id)) place.note({ s: this.set?.id ?? "", i: this.image.id });
  }

  #hear(message: Message): void {
    if (message.type === "job") jobs.hear(message.job);
    else if (message.type === "sets") this.sets = message.sets;
    else if (message.type === "socket") ownSocket(message.id).catch((failed: unknown) => notices.fail(failed));
    else if (message.type === "worker") notices.fail(message.message);
  }

  #connected(state: LiveState, again: boolean): void {
    this.connection = state;
    if (state !== "open" || !again) return;
    // What failed, failed for want of the server. What happened in between is asked for.
    notices.clear();
    const before = [...jobs.all.keys()];
    askSession().then(
      (info) => {
        this.info = info;
        this.sets = info.sets;
        jobs.hearAfter(before, info.jobs);
      },
      (failed: unknown) => notices.fail(failed),
    );
  }
}

export const session = new SessionState();
