/** The latent explorer's numbers, apart from drawing them: moves away from what was encoded, in the address and out. */

import type { ImageSet, Units } from "../../core/api";
import { count } from "../../core/words";

/** Units that were moved, with their values. */
export type Moves = Record<number, number>;

/** '3:1.25,7:-0.5' and back. */
export function writeMoves(moves: Moves): string {
  return Object.entries(moves)
    .map(([unit, value]) => `${unit}:${rounded(value)}`)
    .join(",");
}

export function readMoves(text: string | undefined, units: number): Moves {
  const moves: Moves = {};
  for (const part of (text ?? "").split(",")) {
    const [unit, value] = part.split(":").map(Number);
    if (unit !== undefined && value !== undefined && Number.isInteger(unit) && unit >= 0 && unit < units && Number.isFinite(value)) {
      moves[unit] = value;
    }
  }
  return moves;
}

/** The same of a condition's entries: 'smiling:1,beard:0.25'; unknown names are left out. */
export function writeCondition(changed: Record<string, number>): string {
  return Object.entries(changed)
    .map(([name, value]) => `${name}:${rounded(value)}`)
    .join(",");
}

export function readCondition(text: string | undefined, names: readonly string[]): Record<string, number> {
  const read: Record<string, number> = {};
  for (const part of (text ?? "").split(",")) {
    const [name = "", value = ""] = part.split(":", 2);
    const n = Number(value);
    if (names.includes(name) && value !== "" && Number.isFinite(n)) read[name] = Math.min(1, Math.max(0, n));
  }
  return read;
}

/** Three decimals: the same place of a slider is then the same question to the server. */
export const rounded = (value: number): number => Math.round(value * 1000) / 1000;

/** The latent vector of an encoded image with the moved units where they were moved to. */
export const moved = (mu: readonly number[], moves: Moves): number[] => mu.map((m, u) => rounded(moves[u] ?? m));

export interface Rank {
  unit: number;
  kl: number;
  active: boolean;
  sensitivity: number | null;
}

/** Units with the most significant first: by `units` where they are known, else by the KL of the image's own code. */
export function ranked(kl: readonly number[], units: readonly (Rank & { deviation: number })[] | null): Rank[] {
  const own = units ?? kl.map((value, unit) => ({ unit, kl: value, active: value > 0.01, sensitivity: null }));
  return [...own].sort((a, b) => Number(b.active) - Number(a.active) || b.kl - a.kl || a.unit - b.unit);
}

/** Over which images units were measured, and why not over the open set's. */
export function overWhat({ images, instead, enough }: Omit<Units, "units">, set: Pick<ImageSet, "name" | "size"> | null): string {
  const name = set?.name ?? "the set";
  const own = set?.size === 1 ? `the one image of ${name}` : `the ${count(set?.size ?? 0)} images of ${name}`;
  if (instead) return `KL over ${count(images)} images of the built-in ${instead} (${own}: fewer than ${enough} are too few to tell)`;
  const some = images === set?.size ? own : `${count(images)} of ${own}`;
  return `KL over ${some}${images < enough ? `, too few to tell well: ${enough} are enough` : ""}`;
}

/** Ends of a unit's slider: ±3 deviations, further where the image itself or a move lies outside. */
export function ends(deviation: number, mu: number, value: number): number {
  const most = Math.max(3 * deviation, Math.abs(mu), Math.abs(value));
  return Math.ceil(most * 10) / 10;
}

/** Draws of the standard normal distribution, the same for the same seed (mulberry32 and Box-Muller). */
export function normal(seed: number): () => number {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** A random place for each unit, each of its own deviation. */
export function scattered(seed: number, deviations: readonly number[]): Moves {
  const draw = normal(seed);
  return Object.fromEntries(deviations.map((d, u) => [u, rounded(d * draw())]));
}

/** Pictures that show what a unit does: its values at −3 … 3 deviations, n of them. */
export const traverse = (deviation: number, n: number): number[] =>
  Array.from({ length: n }, (_, i) => rounded(deviation * (-3 + (6 * i) / (n - 1))));

/** Whether two pictures in bytes are different ones: by more than a tenth of their range on average. */
export function unlike(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return true;
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs((a[i] as number) - (b[i] as number));
  return sum > 25.5 * a.length;
}
