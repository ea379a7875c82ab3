"""A street's picture and truth: stage, objects from far to near, then light, texture and sensor."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from seglens.datasets._canvas import Canvas, Truth, code_of
from seglens.datasets._layout import Layout, Plot
from seglens.datasets._things import hazed, paint_thing
from seglens.datasets._world import INDEX, Colour, Point, grey, stream

_NEAR = 1.6  # metres ahead of the camera where ground and walls begin, outside every picture
_BRICK: tuple[Colour, ...] = (
    (168, 120, 96),
    (190, 176, 150),
    (148, 148, 146),
    (204, 194, 176),
    (134, 104, 88),
    (172, 158, 164),
)
# Grain of each class's surface: standard deviation of noise from pixel to pixel, and in patches.
_FINE = np.array([7, 5, 5, 9, 0, 3, 3, 3, 2, 3, 3], np.float32)
_PATCHY = np.array([5, 6, 6, 14, 5, 2, 3, 3, 3, 3, 3], np.float32)


def paint(layout: Layout) -> tuple[NDArray[np.uint8], Truth]:
    """The picture [H W 3] and its truth."""
    canvas = Canvas(layout.size)
    _ground(canvas, layout)
    _skyline(canvas, layout)
    for plot in layout.plots:
        _building(canvas, layout, plot) if plot.kind == "building" else _hedge(canvas, layout, plot)
    for thing in layout.things:
        paint_thing(canvas, layout, thing)
    truth = canvas.truth()
    truth = Truth(truth.labels, truth.instances, truth.cue | _road_cue(layout, truth))
    return _expose(canvas, layout, truth), truth


def _ground(canvas: Canvas, layout: Layout) -> None:
    """Sky, lawn behind the building lines, sidewalks, road and its marks."""
    height, width = layout.size
    rng, project, far = stream(layout.entropy, 5), layout.camera.project, 400.0
    horizon = layout.camera.vanishing[1]
    sky = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]
    canvas.polygon(sky, layout.light.sky[1], code_of("sky"))

    def strip(x0: float, x1: float, z0: float, z1: float) -> list[Point]:
        return [project(x, 0.0, z) for x, z in ((x0, z0), (x1, z0), (x1, z1), (x0, z1))]

    lawn = [(0.0, horizon), (width, horizon), (width, height), (0.0, height)]
    canvas.polygon(lawn, (92, 118, 62), code_of("vegetation"))
    slab, tar = rng.uniform(138, 178), rng.uniform(72, 104)
    (left, right), walls = layout.kerbs, layout.walls
    canvas.polygon(strip(walls[0], walls[1], _NEAR, far), (slab, slab * 0.97, slab * 0.92), code_of("sidewalk"))
    for x in (left - 1.3, left - 2.6, right + 1.3, right + 2.6):  # joints between the slabs
        canvas.polygon(strip(x - 0.03, x + 0.03, _NEAR, 30), grey(slab * 0.8))
    for z in np.arange(2.0, 24.0, 1.5):
        for x0, x1 in ((walls[0], left), (right, walls[1])):
            canvas.polygon(strip(x0, x1, float(z), float(z) + 0.06), grey(slab * 0.82))
    canvas.polygon(strip(left, right, _NEAR, far), (tar, tar, tar * 1.04), code_of("road"))
    for kerb, outward in ((left, -1), (right, 1)):
        stone = strip(kerb, kerb + outward * 0.22, _NEAR, far)
        canvas.polygon(stone, grey(slab * 1.14), code_of("sidewalk"))
    middle, start = (left + right) / 2, float(rng.uniform(0, 4))
    for z in np.arange(_NEAR + start, 45.0, 4.0):
        canvas.polygon(strip(middle - 0.08, middle + 0.08, float(z), float(z) + 2), grey(214))
    if rng.random() < 0.3:  # a crossing
        z = float(rng.uniform(5, 14))
        for x in np.arange(left + 0.5, right - 0.6, 1.0):
            canvas.polygon(strip(float(x), float(x) + 0.5, z, z + 2.5), grey(206))


def _skyline(canvas: Canvas, layout: Layout) -> None:
    """Far roofs and trees behind the street's end."""
    rng, width = stream(layout.entropy, 6), layout.size[1]
    base, unit = layout.camera.vanishing[1], layout.camera.focal / 100
    x = -float(rng.uniform(0, 0.1)) * width
    while x < width:
        wide, tall = width * float(rng.uniform(0.05, 0.16)), unit * float(rng.uniform(4, 14))
        if rng.random() < 0.6:
            wall = hazed(layout, _BRICK[int(rng.integers(len(_BRICK)))], 70, 0.9)
            corners = [
                (x, base + 1),
                (x, base - tall),
                (x + wide, base - tall),
                (x + wide, base + 1),
            ]
            canvas.polygon(corners, wall, code_of("building"))
        else:
            green = hazed(layout, (64, 96, 52), 70)
            centre, radii = (x + wide / 2, base), (wide * 0.6, tall * 0.7)
            canvas.ellipse(centre, radii, green, code_of("vegetation"))
        x += wide


def _building(canvas: Canvas, layout: Layout, plot: Plot) -> None:
    """A facade along the street, the gable that faces the camera, windows and a door."""
    rng, camera = stream(layout.entropy, 7, plot.number), layout.camera
    x, outward = layout.walls[plot.side > 0], plot.side
    z0, z1, top = max(plot.z0, _NEAR), plot.z1, plot.height
    code, wall = code_of("building"), _BRICK[int(rng.integers(len(_BRICK)))]
    sunlit = 1.06 if layout.light.sun[0] * outward > 0 else 0.76

    def quad(za: float, zb: float, low: float, high: float) -> list[Point]:
        return [camera.project(x, y, z) for z, y in ((za, low), (za, high), (zb, high), (zb, low))]

    gable = [(x, 0), (x, top), (x + outward * 9, top), (x + outward * 9, 0)]
    canvas.polygon([camera.project(a, b, z0) for a, b in gable], hazed(layout, wall, z0, 0.88), code)
    canvas.polygon(quad(z0, z1, 0, top), hazed(layout, wall, (z0 + z1) / 2, sunlit), code)
    canvas.polygon(quad(z0, z1, top - 0.4, top), hazed(layout, wall, z0, sunlit * 0.75))
    canvas.polygon(quad(z0, z1, 0, 0.5), hazed(layout, wall, z0, sunlit * 0.7))
    if z0 > 34:
        return  # windows there are smaller than a pixel
    pitch, storey = rng.uniform(1.7, 2.6), rng.uniform(2.7, 3.4)
    dark: Colour = (66, 78, 92)
    for floor in range(int((top - 0.6) / storey)):
        low = floor * storey + 1.0
        for za in np.arange(z0 + 0.5, z1 - 0.9, pitch):
            lit = rng.random()
            pane: Colour = (214, 190, 122) if lit < 0.06 else dark
            brightness = sunlit * (0.8 + 0.5 * lit)
            frame = quad(float(za) - 0.1, float(za) + pitch * 0.5 + 0.1, low - 0.1, low + 1.5)
            canvas.polygon(frame, hazed(layout, (206, 202, 194), float(za), sunlit))
            window = quad(float(za), float(za) + pitch * 0.5, low, low + 1.4)
            canvas.polygon(window, hazed(layout, pane, float(za), brightness))
    door = z0 + float(rng.uniform(0.2, 0.7)) * (z1 - z0)
    canvas.polygon(quad(door, door + 1.1, 0, 2.1), hazed(layout, (74, 52, 42), door, sunlit))
    if layout.light.sun[0] * outward < 0:  # the row of houses throws its shadow over the street
        reach = x + layout.light.sun[0] * top
        corners = ((x, z0), (reach, z0), (reach, z1), (x, z1))
        canvas.shadow([camera.project(a, 0.0, b) for a, b in corners])


def _hedge(canvas: Canvas, layout: Layout, plot: Plot) -> None:
    """A garden in the row of houses: a hedge with a ragged top."""
    rng, camera = stream(layout.entropy, 7, plot.number), layout.camera
    x, code = layout.walls[plot.side > 0], code_of("vegetation")
    z0, z1, top = max(plot.z0, _NEAR), plot.z1, plot.height
    green = np.array((rng.uniform(48, 84), rng.uniform(88, 118), rng.uniform(36, 58)))
    corners = ((z0, 0), (z0, top), (z1, top), (z1, 0))
    leaf: Colour = (float(green[0]), float(green[1]), float(green[2]))
    canvas.polygon([camera.project(x, y, z) for z, y in corners], hazed(layout, leaf, z0), code)
    ends = [(x, 0), (x, top), (x + plot.side * 6, top), (x + plot.side * 6, 0)]
    canvas.polygon([camera.project(a, b, z0) for a, b in ends], hazed(layout, leaf, z0, 0.9), code)
    for z in np.sort(rng.uniform(z0, z1, 14))[::-1]:
        y, depth = float(rng.uniform(0.35, 1.05)) * top, float(z)
        radius = 0.35 * top * camera.focal / depth * float(rng.uniform(0.5, 0.9))
        r, g, b = green * rng.uniform(0.7, 1.25)
        colour = hazed(layout, (float(r), float(g), float(b)), depth)
        canvas.ellipse(camera.project(x, y, depth), (radius * 0.7, radius), colour, code)


def _road_cue(layout: Layout, truth: Truth) -> NDArray[np.bool_]:
    """Visible road in the boxes around cars whose place on the road was planted."""
    cue = np.zeros(layout.size, bool)
    for thing in layout.things:
        if thing.ground_is_cue:
            rows, columns = np.nonzero(truth.instances == 2 * thing.number + 1)
            if rows.size:
                box = []
                for places in (rows, columns):
                    first, last = int(places.min()), int(places.max()) + 1
                    margin = -(-(last - first) // 4)
                    box.append(slice(max(first - margin, 0), last + margin))
                cue[tuple(box)] = True
    return cue & (truth.labels == INDEX["road"])


def _expose(canvas: Canvas, layout: Layout, truth: Truth) -> NDArray[np.uint8]:
    """Sky gradient, shadows, surface grain, time of day, lens and sensor."""
    (height, width), light = layout.size, layout.light
    rng = stream(layout.entropy, 8)
    picture = canvas.picture().copy()
    top, low = (np.array(colour, np.float32) for colour in light.sky)
    horizon = max(layout.camera.vanishing[1], 1.0)
    down = np.clip(np.arange(height, dtype=np.float32) / horizon, 0, 1)[:, None, None]
    sky = truth.labels == INDEX["sky"]
    gradient = np.broadcast_to(top + (low - top) * down, picture.shape)
    picture[sky] = gradient[sky]
    ground = truth.labels <= INDEX["sidewalk"]
    picture *= 1 - light.shadow * (canvas.shade() * ground)[..., None]
    patches = rng.standard_normal((-(-height // 6), -(-width // 6)), dtype=np.float32)
    soft = Image.fromarray(patches).resize((width, height), Image.Resampling.BILINEAR)
    fine = rng.standard_normal((height, width), dtype=np.float32)
    grain = _PATCHY[truth.labels] * np.asarray(soft) + _FINE[truth.labels] * fine
    picture += grain[..., None]
    picture *= np.array(light.tint, np.float32)
    blur = float(rng.uniform(0, 0.6)) * (height * width / 18432) ** 0.5
    clipped = np.clip(picture, 0, 255).astype(np.uint8)
    seen = Image.fromarray(clipped).filter(ImageFilter.GaussianBlur(blur))
    noise = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(rng.uniform(1, 6))
    return np.clip(np.asarray(seen, np.float32) + noise, 0, 255).astype(np.uint8)
