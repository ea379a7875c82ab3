/** Asks the worker for layouts; only the answer to the latest question counts. */

import { layout, type Memo } from "./layout";
import type { View } from "./project";
import type { Scene } from "./scene";
import type { Tree } from "./tree";
import type { Ask } from "./worker";

export interface Layouter {
  /** The scene; null where another was asked for meanwhile. milliseconds: that the layout took. */
  ask(tree: Tree, view: View): Promise<{ scene: Scene; milliseconds: number } | null>;
  close(): void;
}

/** In a worker where there are any; else, or if it fails, in the page itself. */
export function layouter(): Layouter {
  let worker = started();
  let sent: Tree | null = null;
  let latest = 0;
  let waiting: { answer: (a: { scene: Scene; milliseconds: number } | null) => void; here: () => void } | null = null;
  let memo: Memo = new Map();

  function started(): Worker | null {
    if (typeof Worker === "undefined") return null;
    try {
      const made = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
      made.onmessage = (event: MessageEvent<{ number: number; scene: Scene; milliseconds: number }>) => {
        if (event.data.number === latest) settle(event.data);
      };
      made.onerror = () => {
        made.terminate();
        worker = null;
        waiting?.here();
      };
      return made;
    } catch {
      return null;
    }
  }

  function settle(answer: { scene: Scene; milliseconds: number } | null): void {
    waiting?.answer(answer);
    waiting = null;
  }

  return {
    ask(tree, view) {
      settle(null);
      const number = ++latest;
      return new Promise((answer) => {
        const here = () => {
          if (sent !== tree) memo = new Map();
          sent = tree;
          const start = performance.now();
          const scene = layout(tree, view, memo);
          settle({ scene, milliseconds: performance.now() - start });
        };
        waiting = { answer, here };
        if (!worker) return here();
        const question: Ask = { number, open: [...view.open], limits: [...view.limits] };
        if (sent !== tree) question.tree = tree;
        sent = tree;
        worker.postMessage(question);
      });
    },
    close() {
      settle(null);
      worker?.terminate();
    },
  };
}
