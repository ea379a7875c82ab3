import { cleanup, fireEvent, render, screen } from "@testing-library/svelte";
import { afterEach, expect, test, vi } from "vitest";
import LayerPicker from "../../src/views/network/LayerPicker.svelte";
import NetworkView from "../../src/views/network/NetworkView.svelte";
import { residual } from "./graphs";

afterEach(cleanup);

const rowNames = () => screen.getAllByRole("treeitem").map((r) => r.querySelector(".name")?.textContent);
const rowOf = (name: string) => screen.getAllByRole("treeitem").find((r) => r.querySelector(".name")?.textContent === name) as HTMLElement;

test("the outline moves, closes and chooses by keys", async () => {
  const onchoose = vi.fn();
  render(NetworkView, { graph: residual(2), chosen: [], onchoose });
  const tree = screen.getByRole("tree");
  // Without a height, only the first rows exist.
  expect(rowNames()).toEqual(["input", "blocks", "0", "norm", "conv", "add", "1", "norm"]);
  await fireEvent.keyDown(tree, { key: "0" });
  expect(tree.getAttribute("aria-activedescendant")).toBe(rowOf("0").id);
  await fireEvent.keyDown(tree, { key: "ArrowLeft" });
  expect(rowNames()).toEqual(["input", "blocks", "0", "1", "norm", "conv", "add", "output"]);
  expect(rowOf("0").getAttribute("aria-expanded")).toBe("false");
  await fireEvent.keyDown(tree, { key: "Enter" });
  expect(onchoose).toHaveBeenLastCalledWith(["blocks.0"]);
});

test("with Shift several are chosen, and one that is chosen is dropped", async () => {
  const onchoose = vi.fn();
  const { rerender } = render(NetworkView, { graph: residual(2), chosen: ["blocks.0"], onchoose });
  expect(rowOf("0").getAttribute("aria-selected")).toBe("true");
  await fireEvent.click(rowOf("1"), { shiftKey: true });
  expect(onchoose).toHaveBeenLastCalledWith(["blocks.0", "blocks.1"]);
  await rerender({ chosen: ["blocks.0", "blocks.1"] });
  await fireEvent.click(rowOf("0"), { shiftKey: true });
  expect(onchoose).toHaveBeenLastCalledWith(["blocks.1"]);
});

test("an operation is shown in the card, but never chosen", async () => {
  const onchoose = vi.fn();
  render(NetworkView, { graph: residual(1), chosen: [], onchoose });
  await fireEvent.click(rowOf("add"));
  expect(onchoose).not.toHaveBeenCalled();
  expect(screen.getByText(/has to be a module/)).toBeTruthy();
});

test("a result of the search is shown though its module was closed", async () => {
  render(NetworkView, { graph: residual(40), chosen: [], onchoose: vi.fn() });
  expect(rowOf("conv")).toBeUndefined();
  const field = screen.getByRole("searchbox");
  await fireEvent.input(field, { target: { value: "conv blocks.3." } });
  expect(document.querySelector(".count")?.textContent).toBe("1");
  await fireEvent.keyDown(field, { key: "Enter" });
  expect(rowOf("conv")).toBeTruthy();
  expect(document.querySelector(".count")?.textContent).toBe("1 of 1");
});

test("a layer that the address names is in sight from the beginning", () => {
  render(NetworkView, { graph: residual(40), chosen: ["blocks.2.conv"], onchoose: vi.fn() });
  expect(rowOf("conv").getAttribute("aria-selected")).toBe("true");
  expect(screen.getByRole("heading", { name: "blocks.2.conv" })).toBeTruthy();
});

test("activations are asked for with the layer's id", async () => {
  const activations = vi.fn().mockResolvedValue(null);
  render(NetworkView, { graph: residual(1), chosen: ["blocks.0.conv"], onchoose: vi.fn(), activations });
  await vi.waitFor(() => expect(screen.getByText(/No maps of this layer/)).toBeTruthy());
  expect(activations).toHaveBeenCalledWith("blocks.0.conv");
});

test("the picker gives a layer, and says why an operation is none", async () => {
  const onpick = vi.fn();
  render(LayerPicker, { graph: residual(1), value: null, onpick });
  await fireEvent.click(rowOf("add"));
  expect(onpick).not.toHaveBeenCalled();
  expect(screen.getByText(/not a layer that can be read/)).toBeTruthy();
  await fireEvent.click(rowOf("conv"));
  expect(onpick).toHaveBeenCalledExactlyOnceWith("blocks.0.conv");
});
