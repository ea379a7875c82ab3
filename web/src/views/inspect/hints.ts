/** What to do next with the tool in hand, in a few words. */

import { inspect } from "../../state/inspect.svelte";
import { gestures } from "./gestures.svelte";

export function hintFor(): string {
  const { scene, tool, ask, drawing } = inspect;
  if (scene?.network.task === "classify" && !ask) return "This network answers for the whole picture: choose a class in the list.";
  if (scene?.network.task === "encode") return "This network gives units, not classes: choose a unit at the right.";
  const removing = drawing === "remove";
  const what = removing ? "to take it away" : "to ask about it";
  switch (tool) {
    case "segment":
      if (removing) return "Click segments to mark them for removal.";
      return ask ? "Click another segment to ask about it." : "Click what you want explained";
    case "pixel":
      return gestures.held ? "Held: click to let the map follow the pointer again." : "The map follows the pointer; a click holds it.";
    case "box":
      return `Drag a rectangle ${what}.`;
    case "polygon":
      return "Click corner after corner; the first one, or a double click, closes it.";
    case "lasso":
      return `Draw around something ${what}; Shift adds, Alt takes away.`;
    case "pan":
      return "Drag to move, wheel to zoom, 0 shows all.";
    case "erase":
      return "Wipe off what was painted.";
    default:
      return `Paint ${what}; Alt takes away.`;
  }
}
