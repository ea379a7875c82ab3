/** Which layers and lines make up a panel, from the state that all panels share. */

import { lookUp, packed, palette, type Ramp, rampOf } from "../../core/colours";
import { percentile } from "../../core/paint";
import { inspect } from "../../state/inspect.svelte";
import { MapPanel, type Panel, type ScenePanel, VerifyPanel } from "../../state/inspect/panel.svelte";
import type { Plane } from "../../state/inspect/plane";
import type { Scene } from "../../state/inspect/scene.svelte";
import { session } from "../../state/session.svelte";
import { maskPath, type Overlay, piecePath, type Sight } from "./draw";
import { gestures } from "./gestures.svelte";
import { labelLayer, type MapLayer, pathOf, pictureLayer } from "./layers";
import { shownPlane } from "./within";

/** Until the server has told its colours. */
const NO_COLOURS = { sequential: [], diverging: [] };

/** How a map's values become colours now. limit, from: in the map's unit. */
export interface Scale {
  ramp: Ramp;
  limit: number;
  from: number;
}

/** `plane`: as it is shown (see `shownPlane`). */
export function scaleOf(plane: Plane): Scale {
  const { look, shared, maps } = inspect;
  const own = (p: Plane) => percentile(p.found, look.to) * p.scale;
  const limit = shared ? Math.max(...maps.map((m) => shownPlane(m, m.scene)).map((p) => (p ? own(p) : 0)), own(plane)) : own(plane);
  const ramp = rampOf(look, session.info?.colours ?? NO_COLOURS, plane.found.minimum < 0);
  return { ramp, limit, from: look.from > 0 ? percentile(plane.found, look.from) * plane.scale : 0 };
}

const tables = new WeakMap<Plane, { key: string; table: Uint32Array }>();

/** The look-up table of a map; the same one until something that it hangs on changes. */
function tableOf(plane: Plane): Uint32Array {
  const { look } = inspect;
  const { ramp, limit, from } = scaleOf(plane);
  const key = [look.colours, look.sign, look.growing, limit, from, ramp.low, ramp.high].join();
  const kept = tables.get(plane);
  if (kept?.key === key) return kept.table;
  const table = lookUp(ramp, look, limit / plane.scale, from / plane.scale);
  tables.set(plane, { key, table });
  return table;
}

/** Errors over a grey picture: wrong in red, ignored in grey, what is right not at all. */
const ERRORS = Uint32Array.of(0, packed([255, 70, 60]), packed([120, 120, 120], 160));

const palettes = new WeakMap<Scene, { lit: number | null; table: Uint32Array }>();

function classTable(scene: Scene): Uint32Array {
  const { lit } = inspect;
  const kept = palettes.get(scene);
  if (kept && kept.lit === lit) return kept.table;
  const { classes } = scene.network;
  const table = palette(classes.map((c) => c.colour), lit, classes.length);
  palettes.set(scene, { lit, table });
  return table;
}

/** `paper`: where the panel's maps are painted. `inside`: whether the pointer is here, and stands for the cross-hair. */
export function sightOf(panel: Panel, scene: Scene, paper: MapLayer, inside: boolean): Sight {
  const { size } = scene;
  const layers: Overlay[] = [];
  const outlines: Sight["outlines"] = [];
  if (panel instanceof MapPanel) map(panel, scene, paper, layers);
  else if (panel instanceof VerifyPanel) verified(panel, scene, layers, outlines);
  else plain(panel.kind, scene, layers, outlines);

  // A map of another question shows the region that it was asked about.
  const about = panel instanceof MapPanel && panel.ask !== inspect.ask ? (panel.plane?.region ?? null) : inspect.region;
  if (about && inspect.outline) outlines.push({ path: maskPath(about, size), style: "region" });
  if (gestures.hover !== null && scene.pieces) {
    outlines.push({ path: piecePath(scene.pieces, gestures.hover, size), style: "hover" });
  }
  const brush = inspect.tool === "brush" || inspect.tool === "erase";
  return {
    size,
    layers,
    outlines,
    drawings: drawings(panel),
    shape: shape(),
    brush: brush && gestures.at ? { at: gestures.at, radius: inspect.radius } : null,
    cursor: inside ? null : inspect.cursor,
  };
}

function put(layers: Overlay[], canvas: CanvasImageSource | null, opacity = 1): void {
  if (canvas) layers.push({ canvas, opacity });
}

function map(panel: MapPanel, scene: Scene, paper: MapLayer, layers: Overlay[]): void {
  const { size, grey, picture } = scene;
  const plane = shownPlane(panel, scene);
  if (inspect.under !== "none") put(layers, inspect.under === "grey" ? grey : picture);
  if (plane && plane.width === size.width && plane.height === size.height) {
    put(layers, paper.painted(plane, tableOf(plane)), inspect.look.opacity);
  }
}

function verified(panel: VerifyPanel, scene: Scene, layers: Overlay[], outlines: Sight["outlines"]): void {
  const before = panel.view === "before";
  put(layers, before || !panel.picture ? scene.picture : pictureLayer(panel.picture, scene.size));
  const labels = panel.view === "picture" ? null : before ? panel.before : panel.after;
  if (labels) put(layers, labelLayer(labels, scene.size, classTable(scene)), inspect.strength);
  if (panel.removed && inspect.outline) outlines.push({ path: maskPath(panel.removed, scene.size), style: "removed" });
}

function plain(kind: ScenePanel["kind"], scene: Scene, layers: Overlay[], outlines: Sight["outlines"]): void {
  const { size, picture, grey, labels, truth, status } = scene;
  put(layers, kind === "error" ? grey : picture);
  if (kind === "error" && status) put(layers, labelLayer(status, size, ERRORS), 0.75);
  if (kind === "truth" && truth) put(layers, labelLayer(truth, size, classTable(scene)), inspect.strength);
  if (kind !== "prediction" || !labels) return;
  put(layers, labelLayer(labels, size, classTable(scene)), inspect.strength);
  if (inspect.borders) outlines.push({ path: pathOf(labels, () => scene.borders), style: "border" });
}

/** Over maps the outline of what was drawn is enough, and what was taken away is gone. */
function drawings(panel: Panel): Sight["drawings"] {
  const both = [
    { drawing: panel instanceof MapPanel ? null : inspect.drawn, what: "ask" as const },
    { drawing: inspect.away, what: "remove" as const },
  ];
  if (panel instanceof VerifyPanel) return [];
  // Reading the version makes panels follow each stroke.
  return both.flatMap(({ drawing, what }) => (drawing && drawing.version > 0 ? [{ drawing, what }] : []));
}

function shape(): Sight["shape"] {
  const { points } = gestures;
  const [a, b] = points;
  if (inspect.tool === "box" && a && b) {
    return { points: [a, { x: b.x, y: a.y }, b, { x: a.x, y: b.y }], closed: true };
  }
  if (inspect.tool === "polygon" && a) return { points: gestures.at ? [...points, gestures.at] : points, closed: false };
  return inspect.tool === "lasso" && points.length > 1 ? { points, closed: false } : null;
}
