import { beforeEach, expect, it, vi } from "vitest";
import type { ImageInfo, ImageSet } from "../../src/core/api";

const client = vi.hoisted(() => ({ imagesOf: vi.fn() }));
vi.mock("../../src/core/client", async (original) => ({ ...(await original<object>()), ...client }));

import { place } from "../../src/state/place.svelte";
import { session } from "../../src/state/session.svelte";

const image = (set: string, n: number) => ({ id: `${set}-${n}`, name: `${n}.png`, set, width: 1, height: 1 }) as ImageInfo;
const named = (id: string, size: number) => ({ id, name: id, origin: "folder", size }) as ImageSet;

beforeEach(() => {
  vi.resetAllMocks();
  place.fields = {};
});

it("shows the set that was asked for last, whichever answer comes last", async () => {
  const answers = new Map<string, (images: ImageInfo[]) => void>();
  client.imagesOf.mockImplementation((id: string) => new Promise((resolve) => answers.set(id, resolve)));
  session.sets = [named("slow", 1), named("quick", 1)];
  const both = [session.openSet("slow"), session.openSet("quick")];
  answers.get("quick")?.([image("quick", 0)]);
  answers.get("slow")?.([image("slow", 0)]);
  await Promise.all(both);
  expect([session.set?.id, session.image?.id]).toEqual(["quick", "quick-0"]);
});

it("lists a large set page after page, and opens an image of a later one", async () => {
  const all = Array.from({ length: 5 }, (_, n) => image("large", n));
  const open: (string | undefined)[] = [];
  client.imagesOf.mockImplementation(async (_: string, offset: number) => {
    open.push(session.image?.id);
    return all.slice(offset, offset + 2);
  });
  session.image = null;
  session.sets = [named("large", 5)];
  await session.follow("large", "large-3");
  expect(session.images).toEqual(all);
  expect(session.image).toEqual(all[3]);
  // Open as soon as it was found: before the last page.
  expect(open).toEqual([undefined, undefined, "large-3"]);
  await session.follow("large", "large-9");
  expect(session.image).toEqual(all[0]);
});

it("asks the next image the same, where the question names no place of a picture", () => {
  session.image = image("s", 0);
  place.note({ t: "rider", p: "prediction", v: "1,2,3" });
  session.choose(image("s", 1));
  expect(place.fields).toMatchObject({ i: "s-1", t: "rider", p: "", v: "" });
  place.note({ t: "rider~~pixel(3, 4)" });
  session.choose(image("s", 2));
  expect(place.fields.t).toBe("");
});

it("leaves what was asked of one picture behind when another set is opened, but not what an address says", async () => {
  client.imagesOf.mockImplementation(async (id: string) => [image(id, 0)]);
  session.sets = [named("a", 1), named("b", 1)];
  place.note({ t: "rider~~pixel(3, 4)", p: "prediction|map:saliency" });
  await session.follow("a", "a-0");
  expect(place.fields).toMatchObject({ i: "a-0", t: "rider~~pixel(3, 4)", p: "prediction|map:saliency" });
  await session.openSet("b");
  expect(place.fields).toMatchObject({ i: "b-0", s: "b", t: "", p: "" });
});
