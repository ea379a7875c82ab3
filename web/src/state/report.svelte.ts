/** What a person chose for the report, in order; kept in the browser, so that closing the page loses nothing. */

import { movedBy, type ReportItem, readItems } from "../views/report/items";

const STORED = "seglens.report";

class ReportState {
  /** `key` is a result's: the same result stands in a report once. */
  items = $state<ReportItem[]>(readItems(localStorage.getItem(STORED)));

  has(key: string): boolean {
    return this.items.some((item) => item.key === key);
  }

  /** Appends a result; one that is there already stays where it is. */
  add(item: ReportItem): void {
    if (!this.has(item.key)) this.#set([...this.items, { ...item }]);
  }

  remove(key: string): void {
    this.#set(this.items.filter((item) => item.key !== key));
  }

  /** Moves an item so many places down, or up with a negative number; it stops at the ends. */
  move(key: string, by: number): void {
    this.#set(movedBy(this.items, key, by));
  }

  caption(key: string, caption: string): void {
    this.#set(this.items.map((item) => (item.key === key ? { ...item, caption } : item)));
  }

  clear(): void {
    this.#set([]);
  }

  #set(items: ReportItem[]): void {
    this.items = items;
    localStorage.setItem(STORED, JSON.stringify(items));
  }
}

export const report = new ReportState();
