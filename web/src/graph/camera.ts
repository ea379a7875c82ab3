/** Which part of the world a view shows: point of the view = (point of the world − origin) · scale. */

export interface Camera {
  x: number;
  y: number;
  scale: number;
}

export interface Size {
  width: number;
  height: number;
}

export interface Area {
  x: number;
  y: number;
  w: number;
  h: number;
}

/** Room at the top of the view for its tools. */
const TOP = 48;

const [LEAST, MOST] = [0.002, 3];

const within = (scale: number) => Math.max(LEAST, Math.min(MOST, scale));

/** An area in the middle of the view, as large as it goes, but never larger than `most`. */
export function fit(area: Area, view: Size, most = 1.2, margin = 16): Camera {
  const room = (side: number) => Math.max(side - 2 * margin, 1);
  const scale = within(Math.min(most, room(view.width) / Math.max(area.w, 1), room(view.height) / Math.max(area.h, 1)));
  return centred(area, view, scale);
}

/** How a drawing is met first: whole where its words can then be read, else its beginning in full width. */
export function opening(area: Area, view: Size): Camera {
  const whole = fit(area, view, 1);
  if (whole.scale >= 0.55) return whole;
  const scale = within(Math.max(0.55, Math.min(0.85, (view.width - 32) / Math.max(area.w, 1))));
  return { ...centred(area, view, scale), y: area.y - TOP / scale };
}

export function centred(area: Area, view: Size, scale: number): Camera {
  const x = area.x + area.w / 2 - view.width / 2 / scale;
  return { x, y: area.y + area.h / 2 - view.height / 2 / scale, scale };
}

/** Larger or smaller by a factor, with the point of the view under the pointer staying where it is. */
export function zoomed(camera: Camera, px: number, py: number, factor: number): Camera {
  const scale = within(camera.scale * factor);
  const move = 1 / camera.scale - 1 / scale;
  return { x: camera.x + px * move, y: camera.y + py * move, scale };
}

/** Moved so far in points of the view. */
export function panned(camera: Camera, dx: number, dy: number): Camera {
  return { ...camera, x: camera.x - dx / camera.scale, y: camera.y - dy / camera.scale };
}

/** Held so that some of the world stays in sight. */
export function held(camera: Camera, world: Size, view: Size): Camera {
  const edge = 60 / camera.scale;
  const hold = (at: number, shown: number, whole: number) => Math.max(edge - shown, Math.min(whole - edge, at));
  return {
    x: hold(camera.x, view.width / camera.scale, world.width),
    y: hold(camera.y, view.height / camera.scale, world.height),
    scale: camera.scale,
  };
}

/** As near as is needed to show an area: unchanged where it is in sight and its words can be read. */
export function showing(camera: Camera, area: Area, view: Size): Camera {
  const scale = Math.max(camera.scale, 0.6);
  const margin = TOP / scale;
  const [w, h] = [view.width / camera.scale, view.height / camera.scale];
  const inside =
    area.x >= camera.x + margin &&
    area.y >= camera.y + margin &&
    area.x + area.w <= camera.x + w - margin &&
    area.y + area.h <= camera.y + h - margin;
  if (inside && scale === camera.scale) return camera;
  const middle = centred(area, view, scale);
  // Of what is taller than the view, the beginning.
  return area.h * scale > view.height ? { ...middle, y: area.y - margin } : middle;
}

/** The point of the world under a point of the view. */
export function under(camera: Camera, px: number, py: number): { x: number; y: number } {
  return { x: camera.x + px / camera.scale, y: camera.y + py / camera.scale };
}

/** Between two cameras, share 0 to 1: steady in the middle of the view and in the scale's logarithm. */
export function between(a: Camera, b: Camera, share: number, view: Size): Camera {
  const scale = Math.exp(Math.log(a.scale) * (1 - share) + Math.log(b.scale) * share);
  const mid = (c: Camera) => ({ x: c.x + view.width / 2 / c.scale, y: c.y + view.height / 2 / c.scale });
  const [p, q] = [mid(a), mid(b)];
  const blend = (u: number, v: number) => u * (1 - share) + v * share;
  return { x: blend(p.x, q.x) - view.width / 2 / scale, y: blend(p.y, q.y) - view.height / 2 / scale, scale };
}
