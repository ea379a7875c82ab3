/** Keys of the page: one list, which the help shows and from which single keys can be switched off. */

export interface Shortcut {
  /** As `KeyboardEvent.key`; letters in lower case. */
  key: string;
  /** As a person reads it. */
  shown: string;
  does: string;
  run(event: KeyboardEvent): void;
}

const STORED = "seglens.single-keys";

/** Whether single keys do anything: somebody who speaks to the computer may switch them off. */
export function singleKeys(): boolean {
  return localStorage.getItem(STORED) !== "off";
}

export function setSingleKeys(on: boolean): void {
  localStorage.setItem(STORED, on ? "on" : "off");
}

/** Whether a key belongs to what has the focus: text that is typed, a slider, a list, anything in a dialog. */
export function taken(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return true;
  const at = event.target;
  if (!(at instanceof HTMLElement)) return false;
  if (at.closest("dialog")) return true;
  if (at.isContentEditable || at instanceof HTMLTextAreaElement || at instanceof HTMLSelectElement) return true;
  return at instanceof HTMLInputElement && !["checkbox", "radio", "button"].includes(at.type);
}

/** Runs the shortcut of a key, if there is one; says whether it did. */
export function press(event: KeyboardEvent, shortcuts: readonly Shortcut[]): boolean {
  if (taken(event) || !singleKeys()) return false;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const found = shortcuts.find((s) => s.key === key);
  if (!found) return false;
  event.preventDefault();
  found.run(event);
  return true;
}
