/** The network view alone, on the graph in graph.json: for benchmarks/page_graph.py and for looking at it. */

import { mount } from "svelte";
import "../../src/app.css";
import type { GraphData, LayerData, Result } from "../../src/core/api";
import { layouter } from "../../src/graph/layouter";
import { isModule, readable, treeOf } from "../../src/graph/tree";
import Scratch from "./Scratch.svelte";

const graph = (await (await fetch("graph.json")).json()) as GraphData;

/** Made-up maps, so that the card has something to show without a server. */
async function activations(layer: string): Promise<{ result: Result<LayerData>; maps: Float32Array }> {
  const [n, h, w] = [12, 24, 48];
  const maps = Float32Array.from({ length: n * h * w }, (_, i) => Math.sin(i / (7 + layer.length)) * Math.cos(i / 301));
  const info = { name: "maps", dtype: "float16" as const, shape: [n, h, w], scale: 1 };
  const channels = Array.from({ length: n }, (_, index) => ({ index, minimum: -1, maximum: 1, mean: 0 }));
  const meta = { layer, total: 64, silent: 3, channels };
  return { result: { key: layer, task: "layer", meta, arrays: { maps: info }, formats: [], python: "" }, maps };
}

/** Milliseconds of a layout in a new worker, at first and again: with all modules open, or as many as at first. */
async function layoutTimes(all: boolean): Promise<{ boxes: number; first: number; again: number; waited: number }> {
  const tree = treeOf(graph);
  const open = all ? new Set(tree.items.filter((i) => i.index > 0 && isModule(i)).map((i) => i.index)) : readable(tree);
  const one = layouter();
  const start = performance.now();
  const first = await one.ask(tree, { open, limits: new Map() });
  const waited = performance.now() - start;
  const again = await one.ask(tree, { open, limits: new Map() });
  one.close();
  if (!first || !again) throw new Error("a layout was dropped though nothing else was asked for");
  return { boxes: first.scene.boxes.length, first: first.milliseconds, again: again.milliseconds, waited };
}

/** Milliseconds between frames while `each` moves the drawing once a frame. */
function frameTimes(frames: number, each: (i: number) => void): Promise<number[]> {
  return new Promise((done) => {
    const times: number[] = [];
    let last = performance.now();
    let i = 0;
    const step = (now: number) => {
      times.push(now - last);
      last = now;
      if (i === frames) return done(times.slice(2));
      each(i++);
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  });
}

/** Milliseconds between frames while the drawing is zoomed by the wheel, or dragged, to and fro around where it is. */
function moved(frames: number, zoom: boolean): Promise<number[]> {
  const canvas = document.querySelector("canvas") as HTMLCanvasElement;
  const place = canvas.getBoundingClientRect();
  const middle = { clientX: place.left + place.width / 2, clientY: place.top + place.height / 2 };
  // There is no true pointer that could be captured.
  canvas.setPointerCapture = () => {};
  const press = (type: string, dy: number) =>
    canvas.dispatchEvent(new PointerEvent(type, { ...middle, clientY: middle.clientY + dy, button: 0, buttons: 1, bubbles: true }));
  const there = (i: number) => (i % 40 < 20 ? 1 : -1);
  if (zoom) {
    return frameTimes(frames, (i) => {
      canvas.dispatchEvent(new WheelEvent("wheel", { ...middle, deltaY: 60 * there(i), cancelable: true }));
    });
  }
  let dy = 0;
  press("pointerdown", 0);
  return frameTimes(frames, (i) => press("pointermove", (dy += 12 * there(i)))).then((times) => {
    press("pointerup", dy);
    return times;
  });
}

Object.assign(window, { bench: { layoutTimes, moved } });
mount(Scratch, { target: document.getElementById("page") as HTMLElement, props: { graph, activations } });
