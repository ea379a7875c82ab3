import { expect, it, vi } from "vitest";
import type { ImageInfo, NetworkInfo } from "../../src/core/api";

const client = vi.hoisted(() => ({ truthOf: vi.fn() }));
vi.mock("../../src/core/client", async (original) => ({ ...(await original<object>()), ...client }));

import { Scene } from "../../src/state/inspect/scene.svelte";

it("is loaded again after the server was away", async () => {
  const scene = new Scene({ id: "n", task: "encode", classes: [] } as unknown as NetworkInfo, { id: "i", width: 2, height: 1 } as ImageInfo);
  const load = vi.spyOn(scene, "load").mockResolvedValue();
  await scene.again();
  expect(load).not.toHaveBeenCalled();
  scene.fault = "The server does not answer.";
  await scene.again();
  expect([load.mock.calls.length, scene.fault]).toEqual([1, ""]);
});

it("keeps in words why truth cannot be shown", async () => {
  client.truthOf.mockRejectedValue(new Error("The labels go to 10, and the network has 3 classes."));
  const scene = new Scene({ id: "n", classes: [] } as unknown as NetworkInfo, { id: "i", width: 2, height: 1, truth: true } as ImageInfo);
  await scene.wantTruth();
  expect([scene.truth, scene.unfit]).toEqual([null, "The labels go to 10, and the network has 3 classes."]);
  const labels = new Uint8Array(2);
  client.truthOf.mockResolvedValue({ labels, shape: [1, 2] });
  await scene.again();
  await vi.waitFor(() => expect([scene.truth, scene.unfit]).toEqual([labels, ""]));
});
