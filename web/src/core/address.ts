/** The address of a view: everything that it shows, in the part behind the #, so that a link restores it. */

export type ViewName = "inspect" | "network" | "options" | "images" | "latent" | "dataset" | "report";

export const VIEWS: readonly ViewName[] = ["inspect", "network", "options", "images", "latent", "dataset", "report"];

export interface Address {
  view: ViewName;
  fields: Record<string, string>;
}

/** '#/inspect?n=streets-unet&i=…' to its parts; anything unknown is the inspection. */
export function readAddress(hash: string): Address {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  const view = VIEWS.find((v) => v === path) ?? "inspect";
  return { view, fields: Object.fromEntries(new URLSearchParams(query)) };
}

/** The other way round; empty fields are left out, so that addresses stay short. */
export function writeAddress({ view, fields }: Address): string {
  const query = new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== ""));
  const text = query.toString().replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%28", "(").replaceAll("%29", ")");
  return `#/${view}${text ? `?${text}` : ""}`;
}
