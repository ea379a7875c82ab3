/** Where maps are shown: everywhere, or only in a part of the picture. Values are not changed, colours fit what is shown. */

import { statisticsOf } from "../../core/paint";
import { inspect } from "../../state/inspect.svelte";
import type { MapPanel } from "../../state/inspect/panel.svelte";
import type { Plane } from "../../state/inspect/plane";
import type { Scene } from "../../state/inspect/scene.svelte";
import { needsTruth, PLACES, type Within } from "./shown";

/** In words, and what is said where no pixel is left. */
export const WORDS: Record<Within, { name: string; nowhere: string }> = {
  all: { name: "all of it", nowhere: "" },
  region: { name: "region", nowhere: "The region is empty." },
  prediction: { name: "predicted", nowhere: "{} is predicted nowhere." },
  truth: { name: "true", nowhere: "{} is true nowhere." },
  both: { name: "both", nowhere: "{} is nowhere both predicted and true." },
  either: { name: "either", nowhere: "{} is neither predicted nor true anywhere." },
};

/** The places that there are for an image. Labels that overlap lie on no plane of labels; without labels there are none. */
export function placesOf(scene: Scene): Within[] {
  const { task, exclusive } = scene.network;
  if (task !== "segment") return ["all"];
  if (!exclusive) return ["all", "region"];
  return PLACES.filter((place) => scene.image.truth || !needsTruth(place));
}

/** What is chosen, as far as this image has it. */
export const placeOf = (scene: Scene): Within => (placesOf(scene).includes(inspect.within) ? inspect.within : "all");

type Labels = Uint8Array | Uint16Array | null;

/** One byte a pixel, 1 where the class of the map is; null while that is not known. */
export function coverOf(within: Within, label: number, predicted: Labels, truth: Labels): Uint8Array | null {
  const one = within === "truth" ? truth : predicted;
  const other = within === "prediction" ? predicted : truth;
  if (!one || !other) return null;
  const both = within === "both";
  const made = new Uint8Array(one.length);
  for (let i = 0; i < made.length; i++) {
    const here = one[i] === label;
    made[i] = here === (other[i] === label) ? Number(here) : Number(!both);
  }
  return made;
}

const covered = new WeakMap<Plane, { key: readonly unknown[]; plane: Plane }>();

/** The map as it is shown now: with what of it is covered up, and statistics of the rest. */
export function shownPlane({ plane, ask }: MapPanel, scene: Scene): Plane | null {
  const within = placeOf(scene);
  if (!plane || within === "all" || (within !== "region" && !ask)) return plane;
  const { labels, truth } = scene;
  const key = [within, labels, truth];
  const kept = covered.get(plane);
  if (kept?.key.every((one, i) => one === key[i])) return kept.plane;
  const cover = within === "region" ? plane.region : coverOf(within, scene.indexOf(ask?.channel ?? ""), labels, truth);
  if (!cover || cover.length !== plane.bits.length) return plane;
  const made = { ...plane, cover, found: statisticsOf(plane.bits, cover) };
  covered.set(plane, { key, plane: made });
  return made;
}

/** What is to be said where a map has no pixel to be shown; nothing where it has. */
export function nowhere({ ask }: MapPanel, scene: Scene, shown: Plane): string {
  return shown.cover?.includes(1) === false ? WORDS[placeOf(scene)].nowhere.replace("{}", ask?.channel ?? "The class") : "";
}
