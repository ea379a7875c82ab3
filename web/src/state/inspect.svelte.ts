/** The inspection: one image and network, a target, and the panels that show what was asked about it. */

import type { ImageInfo, MethodCard, NetworkInfo } from "../core/api";
import { keepMask } from "../core/client";
import { type Look, USUAL } from "../core/colours";
import { Latest } from "../core/latest";
import { equal, pixelsIn } from "../core/masks";
import { FIT, type Point, readView, type View, writeView } from "../core/zoom";
import { type PanelText, readAsk, readPanels, type Value, writeAsk, writePanels } from "../views/inspect/link";
import { type Ask, isAnywhere, type Where } from "../views/inspect/question";
import { needsTruth, readShown, type Shown, type Within, writeShown } from "../views/inspect/shown";
import { Drawing } from "./inspect/drawing.svelte";
import { MapPanel, type Panel, ScenePanel, type Slot, VerifyPanel } from "./inspect/panel.svelte";
import { classOf, regionMask } from "./inspect/regions";
import { Scene } from "./inspect/scene.svelte";
import { notices } from "./notices.svelte";
import { place } from "./place.svelte";
import { session } from "./session.svelte";

export const TOOLS = ["segment", "pixel", "box", "polygon", "lasso", "brush", "erase", "pan"] as const;
export type Tool = (typeof TOOLS)[number];
/** The tools for a network, first the one in hand when it is opened. Without labels there is nothing to be clicked. */
const HANDS: Record<NetworkInfo["task"], readonly Tool[]> = {
  segment: TOOLS,
  classify: ["box", "polygon", "lasso", "brush", "erase", "pan"],
  encode: ["pan"],
};

export const MOST_PANELS = 9;

/** What is tried first where a place was pointed at, in this order. */
const QUICK = ["hires-cam", "grad-cam", "saliency"];
/** The searches for the least of a picture with which the answer stays: around a region, and in all of it. */
export const CONTEXT = "context-saliency";
export const WHOLE = "grid-saliency";

class Inspect {
  scene = $state.raw<Scene | null>(null);
  panels = $state.raw<Panel[]>([]);
  /** Id of the panel that keys and the display's histogram are about. */
  focus = $state(0);
  ask = $state.raw<Ask | null>(null);
  view = $state.raw<View>(FIT);
  cursor = $state.raw<Point | null>(null);
  tool = $state<Tool>("segment");
  radius = $state(6);
  /** What is drawn: where to ask, or what to take away. */
  drawing = $state<"ask" | "remove">("ask");
  drawn = $state.raw<Drawing | null>(null);
  away = $state.raw<Drawing | null>(null);
  look = $state<Look>({ ...USUAL });
  /** Whether the colours of all maps end at the same value. */
  shared = $state(false);
  outline = $state(true);
  borders = $state(true);
  under = $state<"grey" | "colour" | "none">("grey");
  within = $state<Within>("all");
  /** Of classes over the picture. */
  strength = $state(0.55);
  /** Index of the class that the legend points at. */
  lit = $state<number | null>(null);
  method = $state("");
  parameters = $state.raw<Record<string, Record<string, Value>>>({});
  share = $state(0.1);
  fill = $state("mean");
  #pointer = new Latest();
  #noted = "";
  /** Whether a question was asked since the address was last noted. */
  #stepped = false;

  focused = $derived(this.panels.find((p) => p.id === this.focus) ?? null);
  maps = $derived(this.panels.filter((p): p is MapPanel => p.kind === "map"));
  /** The map that the next step is about: the one in focus, else the newest of this target. */
  current = $derived.by(() => {
    if (this.focused?.kind === "map") return this.focused;
    return this.maps.findLast((p) => p.slot === "long") ?? this.maps.at(-1) ?? null;
  });

  /** The region that is asked about as it can be told from the labels here. */
  #guess = $derived.by(() => {
    const { ask, scene } = this;
    if (!ask || !scene?.flat || scene.network.task !== "segment") return null;
    // The mask in hand changes in place.
    void this.drawn?.settled;
    const own = this.drawn && this.drawn.pixels > 0 && ask.where.kind === "mask" ? this.drawn.mask.slice() : null;
    return regionMask(scene, ask.where, ask.channel, own);
  });
  /** One byte a pixel: the region that is asked about; null where there is none, or it is not known yet. */
  region = $derived.by(() => {
    const { ask } = this;
    const guess = this.#guess;
    if (!ask || !this.scene?.flat || this.scene.network.task !== "segment") return null;
    // What the server worked out on the network's own grid counts, once its map is seen. Where it is the same, so is its
    // outline, which is long work.
    const told = this.maps.findLast((p) => p.ask === ask && p.plane?.region && (p.stage === "done" || !guess))?.plane?.region;
    return told && !(guess && equal(told, guess)) ? told : guess;
  });
  regionPixels = $derived(this.region ? pixelsIn(this.region) : null);

  /** Layers chosen in the network's drawing, which methods that read one read where none is set. */
  get layers(): string[] {
    return (place.fields.l ?? "").split(",").filter(Boolean);
  }

  /** Takes layers for all methods, in the place of what was set for one. */
  chooseLayers(layers: readonly string[]): void {
    place.note({ l: layers.join(",") });
    this.#forgetLayers();
  }

  /** What was set for one method. */
  #forgetLayers(): void {
    this.parameters = Object.fromEntries(
      Object.entries(this.parameters).map(([method, { layer: _, ...rest }]) => [method, rest]),
    );
  }

  /** What there is to point and draw with. */
  get tools(): readonly Tool[] {
    return this.scene ? HANDS[this.scene.network.task] : [];
  }

  get cards(): MethodCard[] {
    return session.info?.methods ?? [];
  }

  card(name: string): MethodCard | null {
    return this.cards.find((c) => c.name === name) ?? null;
  }

  /** Takes up another image or network; what the address says of panels and target is restored if it is news. */
  open(network: NetworkInfo, image: ImageInfo, fields: Record<string, string>): void {
    if (this.scene?.network.id === network.id && this.scene.image.id === image.id) return;
    const alike = this.scene?.network.task === network.task;
    const moved = this.scene !== null && this.scene.image.id !== image.id;
    // Another network is asked the same, where it knows the class.
    const same = !moved && alike && network.classes.some((c) => c.name === this.ask?.channel) ? this.ask : null;
    const kinds = this.panels.flatMap((p) => (p instanceof ScenePanel && alike ? [p.kind] : []));
    for (const panel of this.panels) if (!(panel instanceof ScenePanel)) panel.leave();
    this.#pointer.clear();
    if (this.scene && this.scene.network.id !== network.id) this.#forgetLayers();
    if (!alike) {
      this.tool = HANDS[network.task][0] as Tool;
      // A classifier is asked about all of the picture, so what is drawn is what goes.
      this.drawing = network.task === "segment" ? "ask" : "remove";
    }
    const scene = new Scene(network, image);
    this.scene = scene;
    this.#stepped = false;
    this.ask = null;
    this.cursor = null;
    this.lit = null;
    this.view = FIT;
    this.drawn = scene.flat ? new Drawing(scene.size) : null;
    this.away = scene.flat ? new Drawing(scene.size) : null;
    this.method ||= this.quick()?.name ?? "";
    const news = moved ? state(fields) !== state({}) : this.#isNews(fields);
    this.panels = [];
    for (const kind of new Set(kinds)) if (image.truth || (kind !== "truth" && kind !== "error")) this.show(kind);
    if (!this.panels.length) this.show(network.task === "segment" ? "prediction" : "image");
    void scene.load();
    this.showWithin(this.within);
    if (news) this.restore(fields);
    else {
      this.#noted = state(fields);
      if (same && isAnywhere(same.where)) void this.#pose(same);
    }
  }

  /** Goes where a link leads within the image at hand; what this page noted itself is no news. */
  follow(fields: Record<string, string>): void {
    if (this.scene && this.#isNews(fields)) this.restore(fields);
  }

  #isNews(fields: Record<string, string>): boolean {
    return state(fields) !== this.#noted && state(fields) !== state({});
  }

  restore(fields: Record<string, string>): void {
    const { scene } = this;
    if (!scene) return;
    this.#noted = state(fields);
    this.#stepped = false;
    const asked = readAsk(fields.t);
    this.ask = asked;
    this.view = readView(fields.v);
    if (fields.d) this.shown = readShown(fields.d);
    const tool = this.tools.find((t) => t === fields.k);
    if (tool) this.tool = tool;
    const texts = readPanels(fields.p);
    if (texts.length) {
      for (const panel of this.panels) if (!(panel instanceof ScenePanel)) panel.leave();
      this.panels = texts.slice(0, MOST_PANELS).map((text) => this.#restored(text, scene, asked));
      this.focus = this.panels.at(-1)?.id ?? 0;
    } else if (asked) void this.#pose(asked);
    else for (const panel of [...this.panels]) if (!(panel instanceof ScenePanel) && !panel.pinned) this.close(panel);
  }

  #restored(text: PanelText, scene: Scene, asked: Ask | null): Panel {
    let panel: Panel;
    if (text.kind === "map") {
      const card = this.card(text.method);
      const ask = text.ask ?? (card && !card.takes_target ? null : asked);
      panel = new MapPanel(scene, ask, text.method, text.parameters, card?.fast ? "quick" : "long");
      this.parameters = { ...this.parameters, [text.method]: text.parameters };
      void panel.run();
    } else if (text.kind === "verify") {
      const { what, share, fill, mask, explanation } = text;
      const ask = text.ask ?? asked ?? { channel: "", against: null, where: { kind: "class" }, of: null };
      panel = new VerifyPanel(scene, ask, what === "mask" ? { what, mask, fill } : { what, explanation, share, fill });
      void panel.run();
    } else {
      panel = new ScenePanel(text.kind);
      this.#wanted(text.kind);
    }
    panel.pinned = text.pinned;
    return panel;
  }

  /** What the address is to say. */
  noted(): Record<string, string> {
    const texts = this.panels.map((p) => (p instanceof ScenePanel ? p.text : p.text(this.ask)));
    const plain = texts.length === 1 && texts[0]?.kind === "prediction" && !texts[0].pinned;
    return {
      t: writeAsk(this.ask),
      p: plain ? "" : writePanels(texts),
      v: writeView(this.view),
      k: this.tool === "segment" ? "" : this.tool,
      d: writeShown(this.shown),
    };
  }

  /** How maps and classes are shown now. */
  get shown(): Shown {
    const { look, shared, outline, borders, under, within, strength } = this;
    return { ...look, shared, outline, borders, under, within, strength };
  }

  set shown({ shared, outline, borders, under, within, strength, ...look }: Shown) {
    this.look = look;
    this.shared = shared;
    this.outline = outline;
    this.borders = borders;
    this.under = under;
    this.strength = strength;
    this.showWithin(within);
  }

  /** Shows maps in a part of the picture only. */
  showWithin(within: Within): void {
    this.within = within;
    if (needsTruth(within)) this.#wanted("truth");
  }

  /** Notes in the address what is seen; another question is a step that the back button undoes. */
  write(fields: Record<string, string>): void {
    this.#noted = state(fields);
    place.note(fields, this.#stepped);
    this.#stepped = false;
  }

  /** Shows image, prediction, truth or error in a panel of its own, or goes to the one that is there. */
  show(kind: ScenePanel["kind"]): void {
    const there = this.panels.find((p) => p.kind === kind);
    if (there) {
      this.focus = there.id;
      return;
    }
    this.#wanted(kind);
    this.#add(new ScenePanel(kind));
  }

  #wanted(kind: ScenePanel["kind"]): void {
    if (kind === "truth" || kind === "error") void this.scene?.wantTruth();
    if (kind === "error") void this.scene?.wantMistakes();
  }

  /** Asks about something else: panels of the question before go unless they are pinned, and the quick answer comes. */
  async pose(ask: Ask): Promise<void> {
    this.#stepped ||= this.ask !== null;
    await this.#pose(ask);
  }

  async #pose(ask: Ask): Promise<void> {
    this.ask = ask;
    if (ask.where.kind !== "mask" && this.drawn?.pixels) this.drawn.clear();
    for (const panel of [...this.panels]) {
      const stale = panel.slot === "long" || panel.slot === "verify";
      if (stale && !panel.pinned) this.close(panel);
    }
    const quick = this.quick();
    if (quick) await this.run(quick.name);
  }

  /** Changes the question, without another place: class, what it is held against, what is read. */
  async change(part: Partial<Ask>): Promise<void> {
    if (this.ask) await this.pose({ ...this.ask, ...part });
  }

  /** Asks where the class is the one that most of the place is predicted as. */
  async poseAt(where: Where): Promise<void> {
    const { scene } = this;
    if (!scene) return;
    const mask = regionMask(scene, where, "", this.drawn?.mask ?? null);
    const channel = where.kind === "segment" ? where.of : where.kind === "confused" ? where.predicted : classOf(scene, mask);
    const kept = this.ask?.channel ?? scene.network.classes[0]?.name ?? "";
    await this.pose({ channel: channel ?? kept, against: null, where, of: this.ask?.of ?? null });
  }

  /** The map follows the pointer: one request in flight, the latest pixel wins. */
  pointAt(pixel: Point): void {
    const { scene } = this;
    const card = this.quick();
    if (!scene || !card) return;
    const channel = scene.nameOf(scene.labels?.[pixel.y * scene.size.width + pixel.x]);
    if (!channel) return;
    const ask: Ask = { channel, against: null, where: { kind: "pixel", at: [pixel.y, pixel.x] }, of: this.ask?.of ?? null };
    this.#pointer.run(async () => {
      if (this.scene !== scene) return;
      const panel = new MapPanel(scene, ask, card.name, this.#settings(card)[0] ?? {}, "quick");
      await panel.run();
      if (this.scene !== scene) return;
      this.ask = ask;
      this.#add(panel);
    });
  }

  /** The method that answers at once: the chosen one where it is fast, else the first that there is. */
  quick(): MethodCard | null {
    const usable = (name: string) => {
      const card = this.card(name);
      // Compiled networks show no layer.
      const readable = !card?.reads_layer || this.scene?.network.default_layer || this.#settings(card).some((set) => "layer" in set);
      return card && card.fast && card.takes_target && !card.problem && readable ? card : null;
    };
    return usable(this.method) ?? QUICK.map(usable).find(Boolean) ?? this.cards.find((c) => usable(c.name)) ?? null;
  }

  /** Puts a method to the target at hand. */
  async run(name = this.method): Promise<void> {
    const { scene } = this;
    const card = this.card(name);
    if (!scene || !card) return;
    if (card.takes_target && !this.ask) {
      notices.fail("First choose what is to be explained: click it in the picture, or a class in the legend.");
      return;
    }
    const ask = card.takes_target ? this.ask : null;
    const panels = this.#settings(card).map((one) => new MapPanel(scene, ask, name, one, card.fast ? "quick" : "long"));
    this.#add(...panels);
    await Promise.all(panels.map((panel) => panel.run()));
  }

  /** A method's parameters as they are set; where several layers are chosen, once for each. */
  #settings(card: MethodCard): Record<string, Value>[] {
    const set = this.parameters[card.name] ?? {};
    if (!card.reads_layer || "layer" in set || !this.layers.length) return [{ ...set }];
    return this.layers.slice(0, MOST_PANELS).map((layer) => ({ ...set, layer }));
  }

  /** Takes away what a map marks, and looks again. */
  async verify(map: MapPanel): Promise<void> {
    if (!map.ask || !map.result) return;
    await this.#remove(map.ask, { what: "salient", explanation: map.result.key, share: this.share, fill: this.fill });
  }

  /** Takes away what was painted. */
  async verifyDrawn(): Promise<void> {
    const { away, scene, ask } = this;
    if (!away || !scene) return;
    if (!ask) {
      notices.fail("First choose what is to be looked at when the painted part is gone: click it in the picture.");
      return;
    }
    try {
      const mask = await keepMask(away.mask, scene.size.height, scene.size.width);
      await this.#remove(ask, { what: "mask", mask, fill: this.fill });
    } catch (failed) {
      notices.fail(failed);
    }
  }

  async #remove(ask: Ask, removal: VerifyPanel["removal"]): Promise<void> {
    if (!this.scene) return;
    const panel = new VerifyPanel(this.scene, ask, removal);
    this.#add(panel);
    await panel.run();
  }

  /** The drawing in hand, by what it is for. */
  get hand(): Drawing | null {
    return this.drawing === "ask" ? this.drawn : this.away;
  }

  /** A stroke or step ended: what was drawn is laid on the server and asked about, if it is for asking. */
  async drew(): Promise<void> {
    const { scene, drawn } = this;
    if (this.drawing !== "ask" || !scene || !drawn) return;
    if (!drawn.pixels) {
      if (this.ask?.where.kind !== "mask") return;
      // Answers without their question would be read as those to the next.
      this.ask = null;
      for (const panel of [...this.panels]) if (panel.slot !== "scene" && !panel.pinned) this.close(panel);
      return;
    }
    try {
      const id = await keepMask(drawn.mask.slice(), scene.size.height, scene.size.width);
      if (this.scene === scene) await this.poseAt({ kind: "mask", id });
    } catch (failed) {
      notices.fail(failed);
    }
  }

  /** Stops what runs for the panel in focus, or else the newest that runs. */
  cancel(): void {
    const busy = [this.focused, ...[...this.panels].reverse()].find((p) => p && !(p instanceof ScenePanel) && p.busy);
    if (busy && !(busy instanceof ScenePanel)) busy.stop();
  }

  close(panel: Panel): void {
    const at = this.panels.indexOf(panel);
    if (!(panel instanceof ScenePanel)) panel.leave();
    this.panels = this.panels.filter((p) => p !== panel);
    if (this.focus === panel.id) this.focus = this.panels[Math.max(0, at - 1)]?.id ?? 0;
  }

  /** Panels of one kind take the places of those of that kind that are not pinned, else places of their own. */
  #add(...panels: Panel[]): void {
    const slot = panels[0]?.slot ?? "scene";
    const old = slot === "scene" ? [] : this.panels.filter((p) => p.slot === slot && !p.pinned);
    for (const panel of old.slice(panels.length)) this.close(panel);
    for (const [i, panel] of panels.entries()) this.#put(panel, old[i]);
  }

  #put(panel: Panel, old: Panel | undefined): void {
    const full = this.panels.length >= MOST_PANELS;
    const out = old ?? (full ? (this.panels.find((p) => !p.pinned && p.slot !== "scene") ?? this.panels.at(-1)) : undefined);
    if (out) {
      panel.place = out.place;
      if (!(out instanceof ScenePanel)) out.leave();
      this.panels = this.panels.map((p) => (p === out ? panel : p));
    } else this.panels = [...this.panels, panel];
    this.focus = panel.id;
  }

  setParameter(method: string, name: string, value: Value | undefined): void {
    const { [name]: _, ...rest } = this.parameters[method] ?? {};
    this.parameters = { ...this.parameters, [method]: value === undefined ? rest : { ...rest, [name]: value } };
  }
}

/** What of the address is this view's. */
const state = ({ t = "", p = "", v = "", k = "", d = "" }: Record<string, string>): string => [t, p, v, k, d].join("\n");

export type { Slot };
export const inspect = new Inspect();
