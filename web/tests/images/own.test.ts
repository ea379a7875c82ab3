import { expect, it, vi } from "vitest";
import type { ImageInfo, ImageSet } from "../../src/core/api";

const client = vi.hoisted(() => ({ imagesOf: vi.fn(), session: vi.fn(), upload: vi.fn() }));
vi.mock("../../src/core/client", async (original) => ({ ...(await original<object>()), ...client }));

import { notices } from "../../src/state/notices.svelte";
import { session } from "../../src/state/session.svelte";
import { own } from "../../src/views/images/own.svelte";

const uploads = { id: "uploads", name: "uploads", origin: "uploads", size: 1 } as ImageSet;
const mine = { id: "uploads-0", name: "mine.png", set: "uploads" } as ImageInfo;
const settled = () => new Promise((resolve) => setTimeout(resolve));

it("says that files are taken once their set is open", async () => {
  let list: (images: ImageInfo[]) => void = () => {};
  client.upload.mockResolvedValue(mine);
  client.session.mockResolvedValue({ sets: [uploads] });
  client.imagesOf.mockImplementation(() => new Promise((resolve) => (list = resolve)));
  const under = own.images([new File(["x"], "mine.png")]);
  await settled();
  expect(own.fates).toEqual([{ file: "mine.png", words: "uploaded", good: true }]);
  expect([own.busy, session.set]).toEqual([true, null]);
  list([mine]);
  await under;
  expect([own.busy, session.set?.id, session.image?.id]).toEqual([false, "uploads", "uploads-0"]);
});

it("is free again where the server does not say what it has", async () => {
  session.sets = [];
  client.session.mockRejectedValue(new Error("The server does not answer."));
  await own.images([new File(["x"], "mine.png")]);
  expect(own.busy).toBe(false);
  expect(notices.shown.map((n) => n.text)).toEqual(["The server does not answer."]);
});
