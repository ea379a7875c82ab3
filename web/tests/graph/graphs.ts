/** Small graphs for the tests, made as the server makes them. */

import type { GraphData, GraphEdge, GraphGroup, GraphNode } from "../../src/core/api";

const UNKNOWN = { call: 0, calls: 1, parameters: 0, shape: null, field: null, stride: null };

export function node(id: string, group: string | null, more: Partial<GraphNode> = {}): GraphNode {
  const own = { kind: "convolution", type: "Conv2d", path: id, detail: "", contains: 1, explained: false };
  return { ...UNKNOWN, ...own, id, group, ...more };
}

export function group(id: string, parent: string | null, more: Partial<GraphGroup> = {}): GraphGroup {
  return { ...UNKNOWN, id, type: "Block", path: id, parent, depth: id.split(".").length, ...more };
}

export function edge(source: string, target: string): GraphEdge {
  return { source, target, position: 0, shapes: [], count: 1 };
}

export function graph(nodes: GraphNode[], edges: [string, string][], groups: GraphGroup[] = []): GraphData {
  return { network: "net", type: "Net", parameters: 0, nodes, edges: edges.map(([a, b]) => edge(a, b)), groups, idle: [] };
}

/** input, n blocks of (norm, conv, x + …) in a list 'blocks', output. */
export function residual(n: number): GraphData {
  const nodes = [node(":input", null, { kind: "input", type: "input", path: "" })];
  const groups = [group("blocks", null, { type: "ModuleList" })];
  const edges: [string, string][] = [];
  let last = ":input";
  for (let i = 0; i < n; i++) {
    const block = `blocks.${i}`;
    groups.push(group(block, "blocks"));
    nodes.push(
      node(`${block}.norm`, block, { kind: "normalisation", type: "BatchNorm2d" }),
      node(`${block}.conv`, block, { detail: "3×3", parameters: 9 }),
      node(`${block}:add`, block, { kind: "join", type: "add", path: block }),
    );
    edges.push([last, `${block}.norm`], [`${block}.norm`, `${block}.conv`], [`${block}.conv`, `${block}:add`], [last, `${block}:add`]);
    last = `${block}:add`;
  }
  nodes.push(node(":output", null, { kind: "output", type: "output", path: "" }));
  edges.push([last, ":output"]);
  return graph(nodes, edges, groups);
}

/** Layers in groups four deep with random edges forward: the same for the same seed. */
export function random(seed: number, n = 60): GraphData {
  let state = seed;
  const below = (k: number) => (state = (state * 48271) % 2147483647) % k;
  const groups = ["a", "a.b", "a.b.c", "d", "d.e"].map((id) => group(id, id.includes(".") ? id.slice(0, id.lastIndexOf(".")) : null));
  // Nodes of a group follow one another, as the server promises.
  const homes = [null, "a", "a.b", "a.b.c", "a.b", "a", null, "d", "d.e", "d", null];
  const nodes = Array.from({ length: n }, (_, i) => {
    const home = homes[Math.floor((i * homes.length) / n)] ?? null;
    return node(home ? `${home}.n${i}` : `n${i}`, home, { type: "x".repeat(1 + below(20)) });
  });
  const edges: [string, string][] = [];
  for (let i = 1; i < n; i++) {
    for (let k = 0; k <= below(3); k++) edges.push([(nodes[below(i)] as GraphNode).id, (nodes[i] as GraphNode).id]);
  }
  return graph(nodes, edges, groups);
}
