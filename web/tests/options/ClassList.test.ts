import { cleanup, fireEvent, render, screen } from "@testing-library/svelte";
import { tick } from "svelte";
import { afterEach, describe, expect, it } from "vitest";
import { type DraftClass, pasted } from "../../src/views/options/classes";
import ClassList from "../../src/views/options/ClassList.svelte";

afterEach(cleanup);

/** The list with what it hands up put back into it, as the form does. */
function shown(names: string) {
  let classes = pasted(names);
  const props = {
    fault: null,
    onchange: (next: DraftClass[]) => {
      classes = next;
      void view.rerender({ ...props, classes });
    },
  };
  const view = render(ClassList, { props: { ...props, classes } });
  return { names: () => classes.map((c) => c.name) };
}

const field = (i: number) => screen.getByLabelText<HTMLInputElement>(`Name of class ${i}`);

describe("ClassList", () => {
  it("moves a class with Alt and an arrow, and the focus goes with it", async () => {
    const list = shown("road, car, person");
    field(2).focus();
    await fireEvent.keyDown(field(2), { key: "ArrowUp", altKey: true });
    await tick();
    expect(list.names()).toEqual(["road", "person", "car"]);
    expect(document.activeElement).toBe(field(1));
    await fireEvent.keyDown(field(1), { key: "ArrowDown" });
    expect(list.names()).toEqual(["road", "person", "car"]);
  });

  it("adds behind a class with Enter, and removes", async () => {
    const list = shown("road, car");
    await fireEvent.keyDown(field(0), { key: "Enter" });
    await tick();
    expect(list.names()).toEqual(["road", "", "car"]);
    expect(document.activeElement).toBe(field(1));
    await fireEvent.click(screen.getByLabelText("Remove class 1"));
    expect(list.names()).toEqual(["road", "car"]);
  });

  it("takes a pasted list in the place of what was there", async () => {
    const list = shown("road");
    await fireEvent.click(screen.getByText("Paste a list …"));
    await fireEvent.input(screen.getByRole("textbox", { name: /One class a line/ }), { target: { value: "sky #4682b4\nbus" } });
    await fireEvent.click(screen.getByText("Take 2 classes"));
    expect(list.names()).toEqual(["sky", "bus"]);
  });
});
