/** Lays graphs out beside the page, which meanwhile stays responsive. */

import { layout, type Memo } from "./layout";
import type { Tree } from "./tree";

export interface Ask {
  number: number;
  /** Sent once for each network. */
  tree?: Tree;
  open: number[];
  limits: [number, number][];
}

let tree: Tree | null = null;
let memo: Memo = new Map();

self.onmessage = (event: MessageEvent<Ask>) => {
  const { number, open, limits } = event.data;
  if (event.data.tree) {
    tree = event.data.tree;
    memo = new Map();
  }
  if (!tree) return;
  const start = performance.now();
  const scene = layout(tree, { open: new Set(open), limits: new Map(limits) }, memo);
  self.postMessage({ number, scene, milliseconds: performance.now() - start });
};
