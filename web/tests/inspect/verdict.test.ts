import { cleanup, render, screen } from "@testing-library/svelte";
import { afterEach, describe, expect, it } from "vitest";
import type { Verified } from "../../src/core/api";
import type { VerifyPanel } from "../../src/state/inspect/panel.svelte";
import Verdict from "../../src/views/inspect/Verdict.svelte";

afterEach(cleanup);

const answer = (probability: number, label: string) => ({ score: null, probability, label, iou: null });

function verdict(more: Partial<Verified>, against: string | null = null, task = "segment"): string {
  const meta: Verified = {
    target: "rider in predicted(rider)",
    quantity: "p(rider)",
    fill: "mean",
    removed: 400,
    seen: 100,
    before: answer(0.9, "rider"),
    after: answer(0.6, "rider"),
    bare: null,
    p_value: 0.05,
    controls: { n: 20, probabilities: [] },
    change: [],
    notes: [],
    ...more,
  };
  const scene = { network: { task }, nameOf: () => null };
  const panel = { result: { meta }, ask: { channel: "rider", against }, scene, removed: null, before: null };
  render(Verdict, { panel: panel as unknown as VerifyPanel });
  return (screen.getByRole("region", { name: "What became of it" }).textContent ?? "").replace(/\s+/g, " ");
}

describe("what became of it", () => {
  it("is said by what random parts do as well", () => {
    expect(verdict({})).toContain("the network is far less sure that this is rider.");
    cleanup();
    expect(verdict({ p_value: 0.81 })).toContain("far less sure that this is rider, but 16 of 20 random parts as large do as much.");
    cleanup();
    expect(verdict({ after: answer(0.3, "person"), p_value: 0.5 })).toContain(
      "calls this person, no longer rider, but 10 of 20 random parts as large do as much.",
    );
    cleanup();
    expect(verdict({ after: answer(0.899, "rider"), p_value: 0.9 })).toContain("still calls this rider: that part is not what it goes by.");
  });

  it("speaks of what was asked, also where the network calls it something else and surer than before", () => {
    const more = { before: answer(0.04, "car"), after: answer(0.05, "car"), p_value: 0.95, controls: { n: 4, probabilities: [0.01, 0.02, 0.03, 0.04] } };
    const said = verdict(more, null, "classify");
    expect(said).toContain("the network is about as sure as before that this is rider: that part is not what it goes by.");
    expect(said).toContain("Without 4 random parts as large instead, it is 0.025 on average.");
    expect(said).not.toContain("did as much");
  });

  it("holds what is taken from a classifier's picture against parts anywhere", () => {
    expect(verdict({ p_value: 0.33 })).toContain("Of 20 random parts as large and as far away, 6 did as much");
    cleanup();
    expect(verdict({ p_value: 0.33 }, null, "classify")).toContain("Of 20 random parts as large, 6 did as much");
  });

  it("names the quantity that is measured, of a contrast the difference", () => {
    const said = verdict({ quantity: "p(rider) − p(person)", before: answer(0.75, "rider"), after: answer(-0.2, "rider") }, "person");
    expect(said).toContain("p(rider) − p(person) in the region");
    expect(said).toContain("that this is rider and not person.");
    expect(said).toContain("−1");
  });

  it("tells what the region says by itself", () => {
    expect(verdict({ bare: answer(0.8, "rider") })).toContain("p(rider) is 0.80: the network goes by the region itself.");
    cleanup();
    expect(verdict({ bare: answer(0.2, "rider") })).toContain("p(rider) is 0.20: the network goes by what is around it.");
    cleanup();
    expect(verdict({ bare: answer(0.6, "rider") })).toContain("p(rider) is 0.60.");
  });

  it("counts pixels of the picture, and of it as the network sees it where these are others", () => {
    expect(verdict({})).toContain("400 pixels filled with mean: 100 of the picture as the network sees it, in which whole ones are taken and notes count.");
    cleanup();
    expect(verdict({ seen: 400 })).toContain("400 pixels filled with mean.");
  });
});
