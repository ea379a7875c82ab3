/** What of a graph is open, in focus and searched for: shared by the drawing, the outline and the search. */

import type { GraphData } from "../../core/api";
import { revealed } from "../../graph/layout";
import { CAP, type View } from "../../graph/project";
import { nextResult, search } from "../../graph/search";
import { around, isModule, readable, treeOf, type Item, type Tree } from "../../graph/tree";

/** What the drawing does once it has changed: keep a box where it is, or move until one is in sight. */
export interface Goal {
  kind: "keep" | "show";
  item: number;
}

export class Browse {
  readonly tree: Tree;
  view = $state.raw<View>({ open: new Set(), limits: new Map() });
  /** The item that has the keys' focus and that the card is about. */
  current = $state<number | null>(null);
  query = $state("");
  goal = $state.raw<Goal | null>(null);
  readonly results: number[] = $derived.by(() => search(this.tree, this.query));

  constructor(graph: GraphData) {
    this.tree = treeOf(graph);
    this.view = { open: readable(this.tree), limits: new Map() };
  }

  item(index: number): Item {
    return this.tree.items[index] as Item;
  }

  isOpen(index: number): boolean {
    return this.view.open.has(index);
  }

  setOpen(index: number, open: boolean): void {
    if (!isModule(this.item(index)) || this.isOpen(index) === open) return;
    const next = new Set(this.view.open);
    if (open) next.add(index);
    else next.delete(index);
    this.view = { ...this.view, open: next };
    this.goal = { kind: "keep", item: index };
    // The focus does not stay on something that is no longer shown.
    if (!open && this.current !== null && around(this.tree, this.current).includes(index)) this.current = index;
  }

  toggle(index: number): void {
    this.setOpen(index, !this.isOpen(index));
  }

  /** Shows more parts of a large module. */
  more(index: number): void {
    const limits = new Map(this.view.limits);
    limits.set(index, (limits.get(index) ?? CAP) + CAP);
    this.view = { ...this.view, limits };
    this.goal = index ? { kind: "keep", item: index } : null;
  }

  /** Opens what is around an item, gives it the focus, and has the drawing move to it. */
  reveal(index: number): void {
    this.view = revealed(this.tree, this.view, index, CAP);
    this.current = index;
    this.goal = { kind: "show", item: index };
  }

  openAll(): void {
    this.view = { ...this.view, open: new Set(this.tree.items.filter((i) => i.index > 0 && isModule(i)).map((i) => i.index)) };
    this.goal = this.current === null ? null : { kind: "show", item: this.current };
  }

  /** Back to as many levels as one reads at a glance. */
  openFew(): void {
    this.view = { open: readable(this.tree), limits: new Map() };
    this.goal = null;
  }

  /** On to the next result, or with −1 back to the one before. */
  go(step: 1 | -1): void {
    const next = nextResult(this.results, this.current, step);
    if (next !== null) this.reveal(next);
  }

  /** Indices of the items that go by these ids; ids of layers that the graph does not have are left out. */
  indices(ids: readonly string[]): Set<number> {
    return new Set(ids.flatMap((id) => this.tree.byId.get(id) ?? []));
  }
}
