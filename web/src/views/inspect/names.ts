/** What panels are called. */

import type { Panel } from "../../state/inspect/panel.svelte";

const KINDS = { image: "Picture", prediction: "Prediction", truth: "Truth", error: "Mistakes" } as const;

export function nameOf(panel: Panel): string {
  if (panel.kind === "map") return panel.method;
  if (panel.kind === "verify") return "Without it";
  return KINDS[panel.kind];
}
