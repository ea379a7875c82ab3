/** The list behind a report, apart from where it is shown and kept. */

export interface ReportItem {
  /** Key of a result on the server. */
  key: string;
  title: string;
  caption: string;
}

/** Items as they were stored; what is not one is left out, so that a damaged store does not stop the page. */
export function readItems(stored: string | null): ReportItem[] {
  if (!stored) return [];
  let plain: unknown;
  try {
    plain = JSON.parse(stored);
  } catch {
    return [];
  }
  if (!Array.isArray(plain)) return [];
  const seen = new Set<string>();
  return plain.flatMap((one: Partial<ReportItem> | null) => {
    if (typeof one?.key !== "string" || seen.has(one.key)) return [];
    seen.add(one.key);
    return [{ key: one.key, title: String(one.title ?? ""), caption: String(one.caption ?? "") }];
  });
}

/** The same items with one of them so many places further down; at the ends it stops. */
export function movedBy(items: readonly ReportItem[], key: string, by: number): ReportItem[] {
  const from = items.findIndex((item) => item.key === key);
  const moved = items[from];
  if (!moved) return [...items];
  const rest = items.filter((_, i) => i !== from);
  const to = Math.min(Math.max(from + by, 0), rest.length);
  return [...rest.slice(0, to), moved, ...rest.slice(to)];
}

/** The report as data: what is in it, in order, without the pictures. */
export function asJson(title: string, items: readonly ReportItem[]): string {
  return `${JSON.stringify({ title, items }, null, 2)}\n`;
}

/** A title as a file's name. */
export function fileName(title: string, suffix: string): string {
  const plain = title
    .normalize("NFKD")
    .replace(/[^\w\s-]/g, "")
    .trim()
    .replace(/\s+/g, "-")
    .toLowerCase()
    .slice(0, 60);
  return `${plain || "report"}.${suffix}`;
}
