import { describe, expect, it } from "vitest";
import { fileName, movedBy, readItems } from "../../src/views/report/items";

const items = ["a", "b", "c"].map((key) => ({ key, title: key, caption: "" }));
const keys = (list: { key: string }[]) => list.map((item) => item.key).join("");

describe("readItems", () => {
  it("gives back what was stored", () => {
    expect(readItems(JSON.stringify(items))).toEqual(items);
  });

  it("leaves out what is no item, and a key's second coming", () => {
    expect(keys(readItems(JSON.stringify([...items, null, 3, { title: "no key" }, items[0]])))).toBe("abc");
  });

  it("is empty for what is no list", () => {
    for (const stored of [null, "", "{", '{"key": "a"}']) expect(readItems(stored)).toEqual([]);
  });
});

describe("movedBy", () => {
  it("moves up and down and stops at the ends", () => {
    expect(keys(movedBy(items, "b", -1))).toBe("bac");
    expect(keys(movedBy(items, "a", 1))).toBe("bac");
    expect(keys(movedBy(items, "a", 9))).toBe("bca");
    expect(keys(movedBy(items, "a", -1))).toBe("abc");
  });

  it("leaves an unknown key's list as it was", () => {
    expect(keys(movedBy(items, "z", 1))).toBe("abc");
  });
});

describe("fileName", () => {
  it("is made of the title's letters, and is never empty or a path", () => {
    expect(fileName("Why rider? Größe", "html")).toBe("why-rider-groe.html");
    expect(fileName("../../x", "json")).toBe("x.json");
    expect(fileName("???", "json")).toBe("report.json");
  });
});
