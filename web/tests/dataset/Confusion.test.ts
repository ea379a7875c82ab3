import { cleanup, fireEvent, render, screen } from "@testing-library/svelte";
import { tick } from "svelte";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Rgb } from "../../src/core/api";
import Confusion from "../../src/views/dataset/Confusion.svelte";

afterEach(cleanup);

function shown() {
  const onchoose = vi.fn();
  const counts = [
    [80, 20, 0, 0],
    [10, 30, 0, 0],
    [0, 0, 0, 0],
    [0, 5, 0, 5],
  ];
  const colours = counts.map((): Rgb => [1, 2, 3]);
  render(Confusion, { props: { counts, names: ["road", "car", "unseen", "bus"], colours, chosen: null, onchoose } });
  return onchoose;
}

const cell = (says: string) => screen.getByTitle(new RegExp(`^${says}`));

describe("Confusion", () => {
  it("leaves out what does not occur, and says what a cell counts", () => {
    shown();
    expect(screen.getAllByRole("gridcell")).toHaveLength(9);
    expect(cell("road taken for car: 20 pixels, 20.0 % of road").textContent).toBe("20");
  });

  it("opens a cell by mouse and by keyboard with the classes' own indices", async () => {
    const onchoose = shown();
    await fireEvent.click(cell("bus taken for car"));
    expect(onchoose).toHaveBeenLastCalledWith(3, 1);
    await fireEvent.keyDown(cell("bus taken for car"), { key: "ArrowRight" });
    await tick();
    expect(document.activeElement).toBe(cell("bus found"));
    await fireEvent.keyDown(cell("bus found"), { key: "Enter" });
    expect(onchoose).toHaveBeenLastCalledWith(3, 3);
  });

  it("has one stop for the Tab key", async () => {
    shown();
    const stops = () => screen.getAllByRole("gridcell").filter((c) => c.tabIndex === 0);
    expect(stops()).toHaveLength(1);
    await fireEvent.click(cell("car found"));
    expect(stops()).toEqual([cell("car found")]);
  });

  it("gives shares of the prediction, or pixels", async () => {
    shown();
    await fireEvent.click(screen.getByText("of prediction"));
    expect(cell("road found").textContent).toBe("89");
    await fireEvent.click(screen.getByText("pixels"));
    expect(cell("road found").textContent).toBe("80");
  });
});
