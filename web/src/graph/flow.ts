/** What can be said of the edges between parts before any part has a place: runs, and ways round. */

import { ENTER, LEAVE, type Local } from "./project";

/** Parts by number, then ENTER, then LEAVE. */
const number = (n: number, place: number) => (place === ENTER ? n : place === LEAVE ? n + 1 : place);

interface Flow {
  next: number[][];
  /** All places, sources first; fewer than there are where the edges run in a circle. */
  order: number[];
}

function flowOf(n: number, edges: readonly Local[]): Flow {
  const next: number[][] = Array.from({ length: n + 2 }, () => []);
  const waiting = new Array<number>(n + 2).fill(0);
  for (const e of edges) {
    const [from, to] = [number(n, e.from), number(n, e.to)];
    if (from === to) continue;
    (next[from] as number[]).push(to);
    (waiting[to] as number)++;
  }
  const order = waiting.flatMap((count, i) => (count ? [] : [i]));
  for (let k = 0; k < order.length; k++) {
    for (const t of next[order[k] as number] as number[]) {
      const left = (waiting[t] as number) - 1;
      waiting[t] = left;
      if (left === 0) order.push(t);
    }
  }
  return { next, order };
}

/** Parts cut into runs: each but the last feeds the next alone, and that reads nothing else. In order of first parts. */
export function runsOf(n: number, edges: readonly Local[]): number[][] {
  const [outs, ins] = [new Array<number>(n).fill(0), new Array<number>(n).fill(0)];
  for (const e of edges) {
    if (e.from >= 0) (outs[e.from] as number)++;
    if (e.to >= 0) (ins[e.to] as number)++;
  }
  const follows = new Map<number, number>();
  const led = new Set<number>();
  for (const { from, to } of edges) {
    if (from < 0 || to < 0 || from === to || outs[from] !== 1 || ins[to] !== 1) continue;
    follows.set(from, to);
    led.add(to);
  }
  const runs: number[][] = [];
  for (let first = 0; first < n; first++) {
    if (led.has(first)) continue;
    const run = [first];
    for (let i = follows.get(first); i !== undefined; i = follows.get(i)) run.push(i);
    runs.push(run);
  }
  return runs;
}

/** Which edges have a longer way round, by way of other parts: skip connections. */
export function skips(n: number, edges: readonly Local[]): boolean[] {
  const { next, order } = flowOf(n, edges);
  const words = Math.ceil((n + 2) / 32);
  const reach = new Uint32Array((n + 2) * words);
  for (const i of [...order].reverse()) {
    for (const t of next[i] as number[]) {
      for (let k = 0; k < words; k++) {
        reach[i * words + k] = (reach[i * words + k] as number) | (reach[t * words + k] as number);
      }
      const at = i * words + (t >> 5);
      reach[at] = (reach[at] as number) | (1 << (t & 31));
    }
  }
  const leads = (i: number, j: number) => (((reach[i * words + (j >> 5)] as number) >>> (j & 31)) & 1) === 1;
  return edges.map((e) => {
    const to = number(n, e.to);
    return (next[number(n, e.from)] as number[]).some((t) => t !== to && leads(t, to));
  });
}
