/** Classes as they are edited and pasted: names in the order of the output's channels, each with a colour. */

import type { Rgb } from "../../core/api";
import { fromHex } from "../../parts/pixels";

export interface DraftClass {
  name: string;
  colour: Rgb;
}

/** Lines 'name', 'name #rrggbb', 'name 128 64 128' or 'name, 128, 64, 128'; a number before the name is taken for its index. */
export function pasted(text: string): DraftClass[] {
  const lines = text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
  // One line with commas and no colours in it is a list of names.
  const names = lines.length === 1 && !/\d+\s*[,;\s]\s*\d+|#/.test(lines[0] as string) ? (lines[0] as string).split(/[,;]/) : lines;
  return names
    .map((line) => line.trim())
    .filter(Boolean)
    .map((line, i) => read(line, i));
}

const TRIPLE = /[,;\s[(]+(\d{1,3})[,;\s]+(\d{1,3})[,;\s]+(\d{1,3})[\])]?\s*$/;
const HEX = /[,;\s]+(#[0-9a-f]{6})\s*$/i;

function read(line: string, i: number): DraftClass {
  const triple = TRIPLE.exec(line);
  const code = HEX.exec(line);
  let colour = paletteColour(i);
  let name = line;
  if (triple) {
    const values = triple.slice(1, 4).map(Number) as Rgb;
    if (values.every((v) => v <= 255)) [colour, name] = [values, line.slice(0, triple.index)];
  } else if (code) {
    [colour, name] = [fromHex(code[1] as string), line.slice(0, code.index)];
  }
  return { name: unquoted(name.replace(/^\d+[\s:;.,\t]+/, "")), colour };
}

function unquoted(name: string): string {
  return name.trim().replace(/^["'](.*)["']$/, "$1").trim();
}

/** Colours that tell apart however many there are: hues a golden angle from each other, in three lightnesses. */
export function paletteColour(i: number): Rgb {
  const hue = (i * 137.508) % 360;
  const light = [0.55, 0.42, 0.68][Math.floor(i / 12) % 3] as number;
  const channel = (n: number) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (light - 0.62 * Math.min(light, 1 - light) * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}

/** The list with the class at an index moved so many places down. */
export function moved(classes: readonly DraftClass[], at: number, by: number): DraftClass[] {
  const rest = [...classes];
  const [one] = rest.splice(at, 1);
  if (one) rest.splice(Math.min(Math.max(at + by, 0), rest.length), 0, one);
  return rest;
}

/** Whether so many names fit an output [1 K …]; words where they do not. One channel is two classes: not it, and it. */
export function misfit(names: number, output: readonly number[] | null): string | null {
  const channels = output?.[1];
  if (channels === undefined || names === 0 || names === channels || (channels === 1 && names === 2)) return null;
  return `The network gives ${channels} channels, the list names ${names} classes: one name for each channel.`;
}
