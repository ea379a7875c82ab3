/** One piece of work at a time, and of those that came meanwhile only the latest: for what follows the pointer. */

export class Latest {
  #busy = false;
  #next: (() => Promise<unknown>) | null = null;

  /** Starts the work at once, or when the piece in hand has ended; whoever waited is dropped. Faults are the work's own. */
  run(work: () => Promise<unknown>): void {
    this.#next = work;
    if (!this.#busy) void this.#go();
  }

  /** Forgets what waits. */
  clear(): void {
    this.#next = null;
  }

  async #go(): Promise<void> {
    this.#busy = true;
    while (this.#next) {
      const work = this.#next;
      this.#next = null;
      try {
        await work();
      } catch {
        // The work says what failed; here the next one has its turn.
      }
    }
    this.#busy = false;
  }
}
