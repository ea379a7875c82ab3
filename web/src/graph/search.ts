/** Finding layers by name, type, kind and settings. */

import type { Item, Tree } from "./tree";
import { WORDS } from "./looks";

/**
 * Indices of items in which every word of the query is found, in the order in which they run; none for no words.
 *
 * Words may also stand in the path: but who looks for 'conv' does not mean all that lies in a module of that name. So
 * some word has to be of the item itself, unless there is no such item.
 */
export function search(tree: Tree, query: string): number[] {
  const words = plain(query).split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const found = tree.items.filter((i) => i.index > 0 && words.every((w) => text(i).includes(w)));
  const own = found.filter((i) => words.some((w) => ownText(i).includes(w)));
  return (own.length ? own : found).map((i) => i.index);
}

/** The result after (or before) another, round and round; `current` need not be a result itself. */
export function nextResult(results: readonly number[], current: number | null, step: 1 | -1): number | null {
  if (!results.length) return null;
  if (current === null) return (step > 0 ? results[0] : results[results.length - 1]) as number;
  const onwards = step > 0 ? results.find((r) => r > current) : results.findLast((r) => r < current);
  return onwards ?? ((step > 0 ? results[0] : results[results.length - 1]) as number);
}

function ownText(item: Item): string {
  return plain([item.name, item.type, item.detail, item.look === "module" ? "" : WORDS[item.look]].join(" "));
}

function text(item: Item): string {
  return `${plain(item.ids.join(" "))} ${ownText(item)}`;
}

/** Case does not matter, and an x stands for ×. */
const plain = (text: string) => text.toLowerCase().replaceAll("×", "x");
