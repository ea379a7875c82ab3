/** What is known of an item, in the words of its box, its tooltip and its card. */

import type { Item } from "./tree";

/** 'a×b×c'; '–' where nothing is known. */
export function shapeText(shape: readonly number[] | null): string {
  return shape?.length ? shape.join("×") : "–";
}

/** Receptive field in pixels: null inside stands for the whole image. */
export function fieldText(field: readonly (number | null)[] | null): string {
  return each(field, (v) => (v === null ? "whole image" : String(v)), " px");
}

/** Pixels from one position to the next. */
export function strideText(stride: readonly (number | null)[] | null): string {
  return each(stride, (v) => (v === null ? "–" : String(+v.toFixed(3))), " px");
}

/** 1,234 or 1.2 M: as long as a box allows. */
export function countText(n: number): string {
  if (n < 10_000) return n.toLocaleString("en");
  const [value, unit] = n < 1e6 ? [n / 1e3, "k"] : n < 1e9 ? [n / 1e6, "M"] : [n / 1e9, "G"];
  return `${value < 100 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

/** The lines in an item's closed box: its name, what it is, and its shape where that is news. */
export function linesOf(item: Item): string[] {
  const lines = [item.name];
  if (item.children.length) {
    lines.push(item.type, `${item.size} inside · ${countText(item.facts.parameters)} params`);
  } else if (item.name !== item.type || item.detail) {
    lines.push([item.name === item.type ? "" : item.type, item.detail].filter(Boolean).join(" "));
  }
  if (item.news && !item.children.length) lines.push(shapeText(item.facts.shape?.slice(1) ?? null));
  return lines;
}

function each<T>(values: readonly T[] | null, word: (v: T) => string, unit: string): string {
  if (!values?.length) return "–";
  const words = values.map(word);
  const said = new Set(words).size === 1 ? (words[0] as string) : words.join("×");
  return /\d$/.test(said) ? said + unit : said;
}
