/** Keys of the view that is open, for the list of keys: a view lays its own down here while it is shown. */

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
    this.sections = [...this.sections, section];
    return () => {
      this.sections = this.sections.filter((s) => s !== section);
    };
  }
}

export const help = new HelpState();
