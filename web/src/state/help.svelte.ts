/** Keys of the view that is open, for the list of keys: a view lays its own down here while it is shown. */

import { untrack } from "svelte";
import type { Shortcut } from "../core/shortcuts";

interface Section {
  title: string;
  list: readonly Shortcut[];
}

class HelpState {
  sections = $state.raw<Section[]>([]);

  /** Adds a section; what comes back takes it away again (give it back from `$effect`). */
  show(title: string, list: readonly Shortcut[]): () => void {
    const section = { title, list };
    // It reads what it writes: an effect that calls it is not to run again for that.
    untrack(() => (this.sections = [...this.sections, section]));
    return () => {
      this.sections = this.sections.filter((s) => s !== section);
    };
  }
}

export const help = new HelpState();
