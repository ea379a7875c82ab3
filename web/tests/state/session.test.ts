import { beforeEach, expect, it, vi } from "vitest";
import type { ImageInfo, ImageSet } from "../../src/core/api";

const client = vi.hoisted(() => ({ imagesOf: vi.fn() }));
vi.mock("../../src/core/client", async (original) => ({ ...(await original<object>()), ...client }));

import { session } from "../../src/state/session.svelte";

const sets = ["slow", "quick"].map((id) => ({ id, name: id, origin: "folder", size: 1 }) as ImageSet);
const image = (set: string) => ({ id: `${set}-0`, name: "0.png", set }) as ImageInfo;
const answers = new Map<string, (images: ImageInfo[]) => void>();

beforeEach(() => {
  client.imagesOf.mockImplementation((id: string) => new Promise((resolve) => answers.set(id, resolve)));
  session.sets = sets;
});

it("shows the set that was asked for last, whichever answer comes last", async () => {
  const both = [session.openSet("slow"), session.openSet("quick")];
  answers.get("quick")?.([image("quick")]);
  answers.get("slow")?.([image("slow")]);
  await Promise.all(both);
  expect([session.set?.id, session.image?.id]).toEqual(["quick", "quick-0"]);
});
