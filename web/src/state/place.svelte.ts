/** Where the page is: the view and its fields, kept in the address so that a link restores them. */

import { type Address, readAddress, type ViewName, writeAddress } from "../core/address";
import { notices } from "./notices.svelte";

class Place {
  view = $state<ViewName>("inspect");
  fields = $state<Record<string, string>>({});

  /** Takes over what the address says; called once at the start and whenever the person goes back or forward. */
  read(): void {
    const { view, fields } = readAddress(location.hash);
    this.view = view;
    this.fields = fields;
  }

  /** Another view: a step that the browser's back button undoes. Fields that are not named stay. */
  go(view: ViewName, fields: Record<string, string> = {}): void {
    if (view !== this.view) notices.clear();
    this.view = view;
    this.fields = { ...this.fields, ...fields };
    history.pushState(null, "", writeAddress(this.address));
  }

  /** Notes a change within the view. `step`: whether the browser's back button is to undo it. */
  note(fields: Record<string, string>, step = false): void {
    const changed = Object.entries(fields).some(([name, value]) => (this.fields[name] ?? "") !== value);
    if (!changed) return;
    this.fields = { ...this.fields, ...fields };
    if (step) history.pushState(null, "", writeAddress(this.address));
    else history.replaceState(null, "", writeAddress(this.address));
  }

  get address(): Address {
    return { view: this.view, fields: this.fields };
  }
}

export const place = new Place();
