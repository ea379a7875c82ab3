/** Numbers and places in words, the same everywhere on the page. */

/** Three significant digits, with a true minus; '–' for what is undefined. */
export function number(value: number | null | undefined, digits = 3): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text =
    size !== 0 && (size < 1e-3 || size >= 1e6)
      ? value.toExponential(Math.max(digits - 1, 0))
      : Number.isInteger(value) && size < 1e6
        ? String(value)
        : value.toPrecision(digits);
  return text.replace(/^-/, "−").replace("e-", "e−");
}

/** 0.1234 as '12.3 %'. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined || Number.isNaN(share)) return "–";
  const hundred = share * 100;
  return `${hundred > 0 && hundred < 0.1 ? "< 0.1" : hundred.toFixed(hundred >= 99.95 || hundred === 0 ? 0 : 1)} %`;
}

/** How many of something: '1 image', '2,000 images'. */
export function counted(n: number, what: string): string {
  return `${count(n)} ${what}${n === 1 ? "" : "s"}`;
}

/** 12345 as '12,345'. */
export const count = (n: number): string => n.toLocaleString("en-US");

/** '192 × 384'. */
export const times = (size: readonly number[]): string => size.join(" × ");

/** Seconds as a person says them. */
export function duration(seconds: number): string {
  if (seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 90) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return `${Math.round(seconds / 60)} min`;
}

/** A class name as the regions' text takes it: quoted where it is no single word. */
export function word(name: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? name : `'${name.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

/** 'a/b/street_01.png' -> 'street_01'. */
export const stem = (name: string): string => (name.split("/").at(-1) ?? name).replace(/\.[^.]*$/, "");
