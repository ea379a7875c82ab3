/** Finding layers by name, type, kind and settings. */

import type { Item, Tree } from "./tree";
import { WORDS } from "./looks";

/** Indices of items in which every word of the query is found, in the order in which they run; none for no words. */
export function search(tree: Tree, query: string): number[] {
  const words = plain(query).split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  return tree.items.filter((i) => i.index > 0 && words.every((w) => text(i).includes(w))).map((i) => i.index);
}

/** The result after (or before) another, round and round; `current` need not be a result itself. */
export function nextResult(results: readonly number[], current: number | null, step: 1 | -1): number | null {
  if (!results.length) return null;
  if (current === null) return (step > 0 ? results[0] : results[results.length - 1]) as number;
  const onwards = step > 0 ? results.find((r) => r > current) : results.findLast((r) => r < current);
  return onwards ?? ((step > 0 ? results[0] : results[results.length - 1]) as number);
}

function text(item: Item): string {
  return plain([...item.ids, item.type, item.detail, WORDS[item.look]].join(" "));
}

/** Case does not matter, and an x stands for ×. */
const plain = (text: string) => text.toLowerCase().replaceAll("×", "x");
