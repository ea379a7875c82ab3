/** How maps and classes are shown, in the address: only what differs from how they are shown usually. */

import { type Look, USUAL } from "../../core/colours";

/** Where maps are shown, of the class that they are about. */
export const PLACES = ["all", "region", "prediction", "truth", "both", "either"] as const;
export type Within = (typeof PLACES)[number];

export const needsTruth = (within: Within): boolean => within === "truth" || within === "both" || within === "either";

/** Everything that the bar below the panels sets. */
export interface Shown extends Look {
  /** Whether the colours of all maps end at the same value. */
  shared: boolean;
  outline: boolean;
  borders: boolean;
  /** What lies under maps. */
  under: "grey" | "colour" | "none";
  within: Within;
  /** Of classes over the picture, 0 to 1. */
  strength: number;
}

export const USUALLY: Shown = { ...USUAL, shared: false, outline: true, borders: true, under: "grey", within: "all", strength: 0.55 };

const CHOICES: Partial<Record<keyof Shown, readonly string[]>> = {
  colours: ["auto", "sequential", "diverging", "grey"],
  sign: ["both", "positive", "negative", "absolute"],
  under: ["grey", "colour", "none"],
  within: PLACES,
};
const GREATEST: Partial<Record<keyof Shown, number>> = { from: 100, to: 100, opacity: 1, strength: 1 };

/** 'opacity:0.5;sign:positive', or nothing where all is as usual. */
export function writeShown(shown: Shown): string {
  return (Object.keys(USUALLY) as (keyof Shown)[])
    .filter((name) => shown[name] !== USUALLY[name])
    .map((name) => `${name}:${String(shown[name])}`)
    .join(";");
}

/** The other way round. What is unknown or out of its bounds stays as usual. */
export function readShown(text: string | undefined): Shown {
  const shown: Record<string, unknown> = { ...USUALLY };
  for (const part of (text ?? "").split(";")) {
    const [name = "", value = ""] = part.split(":", 2);
    if (!Object.hasOwn(USUALLY, name)) continue;
    const key = name as keyof Shown;
    const usual = USUALLY[key];
    const choices = CHOICES[key];
    if (choices) {
      if (choices.includes(value)) shown[key] = value;
    } else if (typeof usual === "boolean") {
      if (value === "true" || value === "false") shown[key] = value === "true";
    } else if (value !== "" && Number(value) >= 0 && Number(value) <= (GREATEST[key] ?? 1)) shown[key] = Number(value);
  }
  return shown as unknown as Shown;
}
