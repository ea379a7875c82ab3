import { expect, it } from "vitest";
import { Latest } from "../../src/core/latest";

it("does one thing at a time, and of those that came meanwhile only the last", async () => {
  const done: string[] = [];
  const latest = new Latest();
  let release: () => void = () => {};
  latest.run(() => new Promise<void>((ended) => (release = ended)).then(() => void done.push("first")));
  latest.run(async () => void done.push("second"));
  latest.run(async () => void done.push("third"));
  expect(done).toEqual([]);
  release();
  await new Promise((r) => setTimeout(r));
  expect(done).toEqual(["first", "third"]);
});

it("goes on after a piece that failed", async () => {
  const latest = new Latest();
  let after = false;
  latest.run(() => Promise.reject(new Error("no")));
  latest.run(async () => void (after = true));
  await new Promise((r) => setTimeout(r));
  expect(after).toBe(true);
});
