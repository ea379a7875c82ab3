/** Short messages to the person at the page: what failed, and what was done. */

import { ServerFault } from "../core/client";

export interface Notice {
  id: number;
  level: "good" | "bad";
  text: string;
}

class Notices {
  shown = $state<Notice[]>([]);
  /** Dialogs that are open: nothing outside of one can be pressed, so that they show messages themselves. */
  dialogs = $state(0);
  #next = 1;

  /** Says what was done; gone after a few seconds. */
  say(text: string): void {
    const id = this.#add("good", text);
    setTimeout(() => this.dismiss(id), 5000);
  }

  /** Says what failed; stays until it is dismissed. The same words are not said twice at once. */
  fail(failed: unknown): void {
    const text = failed instanceof Error ? failed.message : String(failed);
    if (failed instanceof ServerFault && failed.kind === "Cancelled") return;
    if (!this.shown.some((n) => n.text === text)) this.#add("bad", text);
  }

  dismiss(id: number): void {
    this.shown = this.shown.filter((n) => n.id !== id);
  }

  /** Forgets what failed where the person has moved on. */
  clear(): void {
    this.shown = this.shown.filter((n) => n.level === "good");
  }

  #add(level: Notice["level"], text: string): number {
    const id = this.#next++;
    this.shown = [...this.shown.slice(-3), { id, level, text }];
    return id;
  }
}

export const notices = new Notices();
