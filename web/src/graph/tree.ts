/** A network's graph as a tree of modules: what can be opened, closed, chosen and found. */

import type { GraphData, GraphGroup, GraphNode } from "../core/api";
import { lookOf, type Look } from "./looks";

/**
 * A layer, an operation, or a module with all that is inside.
 *
 * Modules that hold one thing only are one item with it: `ids` names them all, from the outermost to the innermost.
 */
export interface Item {
  index: number;
  /** Of the innermost of its modules, or of its node: unique in the tree. */
  id: string;
  ids: string[];
  /** What tells it from its siblings: the path from the module around it on, or the operation. */
  name: string;
  type: string;
  look: Look;
  path: string;
  detail: string;
  /** What a method's field `layer` takes; null of what cannot be tapped. */
  layer: string | null;
  /** Index of the module around it; -1 of the whole network. */
  parent: number;
  children: number[];
  /** Index after the last item inside: items stand in depth-first order. */
  end: number;
  depth: number;
  /** How many layers and operations it holds. */
  size: number;
  /** Whether its output has another shape than all that it reads. */
  news: boolean;
  facts: Pick<GraphNode, "parameters" | "shape" | "field" | "stride" | "call" | "calls">;
}

export interface Link {
  source: number;
  target: number;
  count: number;
}

export interface Tree {
  /** The first is the network itself. */
  items: Item[];
  byId: Map<string, number>;
  links: Link[];
}

/** Modules that only hold others: they are never called, so there is nothing to tap. */
const LISTS = new Set(["ModuleList", "ModuleDict"]);

type Part = GraphGroup | GraphNode;

export function treeOf(graph: GraphData): Tree {
  const { inside, outermost } = contents(graph);
  const news = changed(graph);
  const items: Item[] = [];
  const byId = new Map<string, number>();

  function add(part: Part, parent: number, depth: number): number {
    const chain = [part];
    let last = part;
    for (let within = inside.get(last.id); isGroup(last) && within?.length === 1; within = inside.get(last.id)) {
      last = within[0] as Part;
      chain.push(last);
    }
    const index = items.length;
    const above = items[parent] as Item;
    const item = itemOf(chain, above.path, index, parent, depth);
    item.news = news.has(last.id);
    items.push(item);
    for (const { id } of chain) byId.set(id, index);
    if (isGroup(last)) item.children = (inside.get(last.id) ?? []).map((p) => add(p, index, depth + 1));
    finish(item);
    return index;
  }

  function finish(item: Item): void {
    item.end = items.length;
    item.size = item.children.reduce((n, c) => n + (items[c] as Item).size, item.children.length ? 0 : 1);
  }

  const root = rootOf(graph);
  items.push(root);
  root.children = outermost.map((p) => add(p, 0, 1));
  finish(root);
  const links = graph.edges.flatMap((e) => {
    const [source, target] = [byId.get(e.source), byId.get(e.target)];
    return source === undefined || target === undefined ? [] : [{ source, target, count: e.count }];
  });
  return { items, byId, links };
}

/** Whether an item can be opened. */
export const isModule = (item: Item): boolean => item.children.length > 0;

/** Indices of the modules around an item, the innermost first, without the network itself. */
export function around(tree: Tree, index: number): number[] {
  const found: number[] = [];
  for (let i = (tree.items[index] as Item).parent; i > 0; i = (tree.items[i] as Item).parent) found.push(i);
  return found;
}

/** Modules that are open at first: as many levels as leave at most so many boxes. */
export function readable(tree: Tree, most = 60): Set<number> {
  const deepest = Math.max(...tree.items.map((i) => i.depth));
  let open = new Set<number>();
  for (let depth = 1; depth <= deepest; depth++) {
    const next = new Set(tree.items.filter((i) => i.index > 0 && isModule(i) && i.depth <= depth).map((i) => i.index));
    const boxes = tree.items.filter((i) => i.index > 0 && (i.parent === 0 || next.has(i.parent)) && !next.has(i.index));
    if (boxes.length > most) break;
    open = next;
  }
  return open;
}

function isGroup(part: Part): part is GraphGroup {
  return "parent" in part;
}

/** What lies in each group, in the order in which it ran, and what lies in none. */
function contents(graph: GraphData): { inside: Map<string, Part[]>; outermost: Part[] } {
  const groups = new Map(graph.groups.map((g) => [g.id, g]));
  const inside = new Map<string, Part[]>();
  const outermost: Part[] = [];
  const placed = new Set<string>();
  for (const node of graph.nodes) {
    let part: Part = node;
    let parent = node.group;
    while (parent !== null && groups.has(parent)) {
      const held = inside.get(parent);
      if (held) held.push(part);
      else inside.set(parent, [part]);
      if (placed.has(parent)) break;
      placed.add(parent);
      part = groups.get(parent) as GraphGroup;
      parent = part.parent;
    }
    if (parent === null || !groups.has(parent)) outermost.push(part);
  }
  return { inside, outermost };
}

function itemOf(chain: Part[], above: string, index: number, parent: number, depth: number): Item {
  const last = chain[chain.length - 1] as Part;
  const operation = !isGroup(last) && !isCall(last);
  const tapped = chain.filter((p) => isCall(p) && !(isGroup(p) && LISTS.has(p.type)));
  const lead = above ? `${above}.` : "";
  const name = last.path.startsWith(lead) ? last.path.slice(lead.length) : last.path;
  return {
    index,
    id: last.id,
    ids: chain.map((p) => p.id),
    name: (operation ? last.type : name || last.type) + (last.calls > 1 && !operation ? `#${last.call}` : ""),
    type: last.type,
    look: isGroup(last) ? "module" : lookOf(last.kind, last.type),
    path: last.path,
    detail: isGroup(last) ? "" : last.detail,
    layer: tapped[tapped.length - 1]?.id ?? null,
    parent,
    children: [],
    end: index + 1,
    depth,
    size: 1,
    news: false,
    facts: last,
  };
}

/** Whether it is a module's call, which a tap finds by its id; all else is an operation, an input or an output. */
function isCall(part: Part): boolean {
  return part.path !== "" && (part.id === part.path || part.id === `${part.path}#${part.call}`);
}

function rootOf(graph: GraphData): Item {
  const facts = { parameters: graph.parameters, shape: null, field: null, stride: null, call: 0, calls: 1 };
  const own = { id: "", ids: [], name: graph.network, type: graph.type, look: "module" as const, path: "", detail: "" };
  return { index: 0, ...own, layer: null, parent: -1, children: [], end: 1, depth: 0, size: 0, news: false, facts };
}

/** Ids of nodes whose shape is another than that of all they read. */
function changed(graph: GraphData): Set<string> {
  const same = new Set<string>();
  const shapes = new Map(graph.nodes.map((n) => [n.id, n.shape?.join()]));
  for (const e of graph.edges) {
    if (e.shapes.some((s) => s.join() === shapes.get(e.target))) same.add(e.target);
  }
  return new Set(graph.nodes.filter((n) => n.shape && n.kind !== "output" && !same.has(n.id)).map((n) => n.id));
}
