/** The tree as rows of a list, and what the keys of a tree do in it. */

import { CAP, type View } from "./project";
import type { Item, Tree } from "./tree";

export interface Row {
  /** Index of the item; of a row 'more' that of the module whose parts it stands for. */
  item: number;
  more: number;
  level: number;
  /** Place among its siblings, from 1, and their number. */
  position: number;
  siblings: number;
  open: boolean | null;
}

/** Rows that are shown while some modules are open. */
export function rowsOf(tree: Tree, view: View): Row[] {
  const rows: Row[] = [];
  const add = (module: number, level: number) => {
    const children = (tree.items[module] as Item).children;
    const limit = view.limits.get(module) ?? CAP;
    const shown = children.length > limit + 1 ? limit : children.length;
    const siblings = shown + (shown < children.length ? 1 : 0);
    children.slice(0, shown).forEach((child, i) => {
      const opens = (tree.items[child] as Item).children.length > 0;
      const open = opens ? view.open.has(child) : null;
      rows.push({ item: child, more: 0, level, position: i + 1, siblings, open });
      if (open) add(child, level + 1);
    });
    if (shown < children.length) {
      rows.push({ item: module, more: children.length - shown, level, position: siblings, siblings, open: null });
    }
  };
  add(0, 1);
  return rows;
}

/** move: the row that has the focus next; open, close: of a module; choose, more: of the row itself. */
export type Act =
  | { kind: "move"; row: number }
  | { kind: "open" | "close"; item: number }
  | { kind: "choose"; item: number; add: boolean }
  | { kind: "more"; item: number };

/** What a key does at a row, after the pattern of trees; null of keys that are none of a tree's. */
export function act(rows: readonly Row[], at: number, key: string, shift = false, page = 10): Act | null {
  const row = rows[at];
  if (!row) return rows.length && ["ArrowDown", "ArrowUp", "Home", "End"].includes(key) ? { kind: "move", row: 0 } : null;
  const move = (to: number): Act => ({ kind: "move", row: Math.max(0, Math.min(rows.length - 1, to)) });
  switch (key) {
    case "ArrowDown":
      return move(at + 1);
    case "ArrowUp":
      return move(at - 1);
    case "PageDown":
      return move(at + page);
    case "PageUp":
      return move(at - page);
    case "Home":
      return move(0);
    case "End":
      return move(rows.length - 1);
    case "ArrowRight":
      if (row.open === null) return null;
      return row.open ? move(at + 1) : { kind: "open", item: row.item };
    case "ArrowLeft":
      if (row.open) return { kind: "close", item: row.item };
      return row.level > 1 ? move(rows.findLastIndex((r, i) => i < at && r.level < row.level)) : null;
    case "Enter":
    case " ":
      return row.more ? { kind: "more", item: row.item } : { kind: "choose", item: row.item, add: shift };
    default:
      return null;
  }
}

/** The next row whose name begins so, from `at` on; a single letter moves on, a longer text may stay. */
export function typed(tree: Tree, rows: readonly Row[], at: number, text: string): number {
  const begin = Math.max(0, text.length > 1 ? at : at + 1);
  for (let k = 0; k < rows.length; k++) {
    const i = (begin + k) % rows.length;
    const row = rows[i] as Row;
    const item = tree.items[row.item] as Item;
    const wanted = text.toLowerCase();
    if (!row.more && [item.name, item.type].some((t) => t.toLowerCase().startsWith(wanted))) return i;
  }
  return at;
}
