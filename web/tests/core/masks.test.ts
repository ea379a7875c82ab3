import { describe, expect, it } from "vitest";
import {
  bordersOf,
  boxBetween,
  commonest,
  edgesOf,
  equal,
  fillBox,
  fillPolygon,
  fromRuns,
  History,
  piecesOf,
  pixelsIn,
  shares,
  stroke,
  toRuns,
} from "../../src/core/masks";

const size = { width: 12, height: 9 };
const empty = () => new Uint8Array(size.width * size.height);

function rows(mask: Uint8Array): string[] {
  return Array.from({ length: size.height }, (_, y) =>
    Array.from({ length: size.width }, (_, x) => (mask[y * size.width + x] ? "#" : ".")).join(""),
  );
}

describe("drawing", () => {
  it("covers the pixels whose centres a stroke covers, and says which rectangle changed", () => {
    const mask = empty();
    const rect = stroke(mask, size, { x: 2.5, y: 4.5 }, { x: 8.5, y: 4.5 }, 1, 1);
    for (let i = 0; i < mask.length; i++) {
      const x = (i % size.width) + 0.5;
      const y = Math.floor(i / size.width) + 0.5;
      const far = Math.hypot(x - Math.min(Math.max(x, 2.5), 8.5), y - 4.5);
      expect(Boolean(mask[i])).toBe(far <= 1);
      if (mask[i]) expect(x > rect.x && x < rect.x + rect.width && y > rect.y && y < rect.y + rect.height).toBe(true);
    }
  });

  it("sets one pixel however small the brush, and erases", () => {
    const mask = empty();
    stroke(mask, size, { x: 3.1, y: 3.9 }, { x: 3.1, y: 3.9 }, 0.1, 1);
    expect(pixelsIn(mask)).toBe(1);
    stroke(mask, size, { x: 3.5, y: 3.5 }, { x: 3.5, y: 3.5 }, 4, 0);
    expect(pixelsIn(mask)).toBe(0);
  });

  it("does nothing outside the image", () => {
    const mask = empty();
    expect(stroke(mask, size, { x: -20, y: -20 }, { x: -18, y: -20 }, 2, 1).width).toBe(0);
    expect(pixelsIn(mask)).toBe(0);
  });

  it("fills polygons by the even-odd rule of pixel centres, as the server does", () => {
    const points = [
      { x: 1, y: 1 },
      { x: 10.2, y: 2.3 },
      { x: 4, y: 8.5 },
      { x: 8, y: 0 },
    ];
    const mask = empty();
    fillPolygon(mask, size, points, 1);
    for (let i = 0; i < mask.length; i++) {
      const x = (i % size.width) + 0.5;
      const y = Math.floor(i / size.width) + 0.5;
      let inside = false;
      points.forEach((a, k) => {
        const b = points[(k + 1) % points.length] as { x: number; y: number };
        if (a.y > y !== b.y > y && x < a.x + ((y - a.y) * (b.x - a.x)) / (b.y - a.y)) inside = !inside;
      });
      expect(Boolean(mask[i])).toBe(inside);
    }
    expect(pixelsIn(mask)).toBeGreaterThan(10);
  });

  it("fills boxes and spans them between any two corners", () => {
    const box = boxBetween({ x: 7.9, y: 5.2 }, { x: 2.1, y: 2.9 }, size);
    expect(box).toEqual([2, 2, 6, 8]);
    const mask = empty();
    fillBox(mask, size, box, 1);
    expect(pixelsIn(mask)).toBe(4 * 6);
    expect(boxBetween({ x: -5, y: -5 }, { x: 99, y: 99 }, size)).toEqual([0, 0, 9, 12]);
  });
});

describe("equality", () => {
  it("finds the one byte that differs, wherever it lies", () => {
    for (const n of [0, 1, 4, 7, 64]) {
      const mask = Uint8Array.from({ length: n }, (_, i) => i % 3);
      expect(equal(mask, mask.slice())).toBe(true);
      for (let i = 0; i < n; i++) {
        const other = mask.slice();
        other[i]! ^= 1;
        expect(equal(mask, other)).toBe(false);
      }
    }
  });

  it("reads masks that begin amid a buffer, and tells lengths apart", () => {
    const buffer = Uint8Array.from([9, 1, 0, 1, 1, 0, 1, 1, 1, 1]);
    const amid = buffer.subarray(1, 10);
    expect(equal(amid, Uint8Array.from([1, 0, 1, 1, 0, 1, 1, 1, 1]))).toBe(true);
    expect(equal(amid, Uint8Array.from([1, 0, 1, 1, 0, 1, 1, 1, 0]))).toBe(false);
    expect(equal(amid, amid.subarray(0, 8))).toBe(false);
  });
});

describe("undo", () => {
  it("keeps masks as runs, whatever they begin and end with", () => {
    for (const values of [[0, 0, 1, 1, 0], [1, 0, 1], [1, 1], [0, 0], []]) {
      const mask = Uint8Array.from(values);
      const back = new Uint8Array(mask.length).fill(5);
      fromRuns(toRuns(mask), back);
      expect([...back]).toEqual(values);
    }
  });

  it("steps back and forth, and forgets what was undone once something else is drawn", () => {
    const mask = Uint8Array.of(0, 0);
    const history = new History();
    history.keep(mask);
    mask[0] = 1;
    history.keep(mask);
    mask[1] = 1;
    history.keep(mask);
    expect(history.undo(mask)).toBe(true);
    expect([...mask]).toEqual([1, 0]);
    expect(history.redo(mask)).toBe(true);
    expect([...mask]).toEqual([1, 1]);
    history.undo(mask);
    history.undo(mask);
    expect([...mask]).toEqual([0, 0]);
    expect(history.undo(mask)).toBe(false);
    mask.set([0, 1]);
    history.keep(mask);
    expect(history.canRedo).toBe(false);
  });

  it("keeps a bounded number of states", () => {
    const history = new History(2);
    const mask = Uint8Array.of(0);
    for (let i = 0; i < 5; i++) history.keep(mask);
    expect(history.undo(mask)).toBe(true);
    expect(history.undo(mask)).toBe(false);
  });
});

describe("pieces of a prediction", () => {
  const picture = ["aab..", "a.b.b", "..b.b", "bb..b"];
  const labels = Uint8Array.from(picture.join(""), (c) => c.charCodeAt(0));
  const grid = { width: 5, height: 4 };
  const pieces = piecesOf(labels, grid);

  it("joins along sides and corners", () => {
    const bs = pieces.labels.flatMap((label, n) => (label === 98 ? [pieces.pixels[n]] : []));
    // The column in the middle touches the two below left of it by a corner; that on the right touches nothing.
    expect(bs.sort()).toEqual([3, 5]);
    expect(pieces.pixels.reduce((a, b) => a + b)).toBe(20);
  });

  it("gives each its box and its first pixel", () => {
    const n = pieces.ids[4 + 5] as number;
    expect(pieces.first[n]).toEqual({ x: 4, y: 1 });
    expect(pieces.boxes[n]).toEqual({ x: 4, y: 1, width: 1, height: 3 });
    const left = pieces.ids[2] as number;
    expect(pieces.boxes[left]).toEqual({ x: 0, y: 0, width: 3, height: 4 });
  });

  it("agrees with a flood from each pixel, on any picture", () => {
    const width = 17;
    const height = 13;
    let seed = 1;
    const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
    const any = Uint8Array.from({ length: width * height }, () => Math.floor(random() * 3));
    const found = piecesOf(any, { width, height });
    const ids = new Int32Array(any.length).fill(-1);
    let next = 0;
    for (let i = 0; i < any.length; i++) {
      if (ids[i] !== -1) continue;
      const todo = [i];
      ids[i] = next;
      while (todo.length) {
        const at = todo.pop() as number;
        for (const dy of [-1, 0, 1]) {
          for (const dx of [-1, 0, 1]) {
            const x = (at % width) + dx;
            const y = Math.floor(at / width) + dy;
            const j = y * width + x;
            if (x < 0 || y < 0 || x >= width || y >= height || any[j] !== any[i] || ids[j] !== -1) continue;
            ids[j] = next;
            todo.push(j);
          }
        }
      }
      next++;
    }
    expect([...found.ids]).toEqual([...ids]);
    found.boxes.forEach((box, n) => {
      const xs = [...ids.keys()].filter((i) => ids[i] === n).map((i) => i % width);
      const ys = [...ids.keys()].filter((i) => ids[i] === n).map((i) => Math.floor(i / width));
      expect(box).toEqual({
        x: Math.min(...xs),
        y: Math.min(...ys),
        width: Math.max(...xs) - Math.min(...xs) + 1,
        height: Math.max(...ys) - Math.min(...ys) + 1,
      });
    });
  });

  it("joins what meets only later", () => {
    const u = Uint8Array.from("a.aa.aaaa", (c) => c.charCodeAt(0));
    const found = piecesOf(u, { width: 3, height: 3 });
    expect(found.labels.length).toBe(2);
    expect(found.pixels).toEqual([7, 2]);
  });
});

describe("outlines", () => {
  it("runs around what is inside, in straight pieces", () => {
    const mask = empty();
    fillBox(mask, size, [2, 3, 5, 9], 1);
    const edges = edgesOf(mask, 1, size, { x: 3, y: 2, width: 6, height: 3 });
    const all = Array.from({ length: edges.length / 4 }, (_, i) => [...edges.slice(4 * i, 4 * i + 4)]);
    expect(all).toEqual([
      [3, 2, 9, 2],
      [3, 5, 9, 5],
      [3, 2, 3, 5],
      [9, 2, 9, 5],
    ]);
  });

  it("has as many edges as pixels that part inside from outside", () => {
    const plane = Uint8Array.from("0110010001110100", Number);
    const grid = { width: 4, height: 4 };
    const edges = edgesOf(plane, 1, grid, { x: 0, y: 0, ...grid });
    let length = 0;
    for (let i = 0; i < edges.length; i += 4) {
      length += Math.abs((edges[i + 2] as number) - (edges[i] as number)) + Math.abs((edges[i + 3] as number) - (edges[i + 1] as number));
    }
    let expected = 0;
    const at = (x: number, y: number) => x >= 0 && y >= 0 && x < 4 && y < 4 && plane[4 * y + x] === 1;
    for (let y = 0; y <= 4; y++) {
      for (let x = 0; x <= 4; x++) {
        if (x < 4 && at(x, y) !== at(x, y - 1)) expected++;
        if (y < 4 && at(x, y) !== at(x - 1, y)) expected++;
      }
    }
    expect(length).toBe(expected);
  });

  it("closes at the image's edge", () => {
    const mask = empty().fill(1);
    const edges = edgesOf(mask, 1, size, { x: 0, y: 0, ...size });
    expect(edges.length).toBe(16);
  });

  it("parts labels that differ", () => {
    expect([...bordersOf(Uint8Array.of(1, 1, 2, 1, 2, 2), { width: 3, height: 2 })]).toEqual([1, 1, 2, 1, 1, 1, 1, 2, 2, 0, 2, 1]);
  });

  it("counts the labels of a mask", () => {
    expect(shares(Uint8Array.of(5, 7, 7, 5, 7), Uint8Array.of(1, 1, 1, 0, 1))).toEqual([
      { label: 7, share: 0.75 },
      { label: 5, share: 0.25 },
    ]);
    expect(shares(Uint8Array.of(5), Uint8Array.of(0))).toEqual([]);
  });

  it("names the commonest label of a mask", () => {
    expect(commonest(Uint8Array.of(5, 7, 7, 5, 5), Uint8Array.of(1, 1, 1, 0, 0))).toBe(7);
    expect(commonest(Uint8Array.of(5), Uint8Array.of(0))).toBeNull();
  });

  it("draws what it says", () => {
    const mask = empty();
    fillBox(mask, size, [0, 0, 2, 3], 1);
    expect(rows(mask).slice(0, 3)).toEqual(["###.........", "###.........", "............"]);
  });
});
