"""How the objects on a street look: figures, what they ride, cars, poles and trees."""

from dataclasses import dataclass

import numpy as np

from seglens.datasets._canvas import Canvas, code_of
from seglens.datasets._layout import Layout, Thing
from seglens.datasets._world import FIRST_THING, Colour, Point, grey, stream

_HAIR: tuple[Colour, ...] = ((38, 30, 26), (74, 50, 34), (128, 98, 60), (96, 92, 90), (24, 22, 24))
_HELMETS: tuple[Colour, ...] = ((208, 208, 204), (190, 158, 50), (172, 66, 52), (74, 128, 170))
_SKIN: tuple[Colour, ...] = ((226, 184, 156), (190, 138, 104), (118, 82, 60), (84, 58, 44))
_PAINT: tuple[Colour, ...] = (
    (180, 34, 36),
    (36, 70, 140),
    (212, 212, 214),
    (52, 54, 60),
    (140, 146, 152),
    (36, 96, 74),
    (206, 166, 60),
)


@dataclass(frozen=True, slots=True)
class _Stand:
    """A board standing across the view at one depth: local metres (right, up) to pixels."""

    canvas: Canvas
    layout: Layout
    x: float
    z: float

    @property
    def scale(self) -> float:
        """Pixels per metre."""
        return self.layout.camera.focal / self.z

    def at(self, right: float, up: float) -> Point:
        return self.layout.camera.project(self.x + right, up, self.z)

    def hazed(self, colour: Colour, brightness: float = 1.0) -> Colour:
        return hazed(self.layout, colour, self.z, brightness)

    def polygon(self, points: list[Point], colour: Colour, code: int | None) -> None:
        self.canvas.polygon([self.at(*point) for point in points], self.hazed(colour), code)

    def line(self, points: list[Point], width: float, colour: Colour, code: int | None) -> None:
        pixels = [self.at(*point) for point in points]
        self.canvas.line(pixels, width * self.scale, self.hazed(colour), code)

    def disc(self, centre: Point, radius: float, colour: Colour, code: int | None, squeeze: float = 1.0) -> None:
        radii = (radius * squeeze * self.scale, radius * self.scale)
        self.canvas.ellipse(self.at(*centre), radii, self.hazed(colour), code)


def hazed(layout: Layout, colour: Colour, z: float, brightness: float = 1.0) -> Colour:
    """`colour` times `brightness`, seen through the haze of z metres of air."""
    clear = float(np.exp(-layout.light.haze * z))
    r, g, b = (clear * brightness * c + (1 - clear) * h for c, h in zip(colour, layout.light.sky[1], strict=True))
    return r, g, b


def paint_thing(canvas: Canvas, layout: Layout, thing: Thing) -> None:
    """Draws `thing`, its mount before it and its planted panel before both."""
    stand = _Stand(canvas, layout, thing.x, thing.z)
    rng = stream(layout.entropy, 3, thing.number)
    half, tall = _EXTENTS[thing.kind]
    if thing.panel:
        left, top = stand.at(-half - 0.35, tall + 0.3)
        right, bottom = stand.at(half + 0.35, 0.0)
        canvas.panel((left, top, right, bottom), FIRST_THING)
    own = 2 * thing.number + 1
    if thing.kind in ("person", "rider"):
        _cast_shadow(stand, half, tall)
        if thing.mount is not None:
            mount = code_of(thing.mount, own + 1, thing.mount_is_cue)
            # a stream of its own, so that the figure is the same with and without its mount
            _CRAFT[thing.mount](stand, stream(layout.entropy, 4, thing.number), mount)
        _figure(stand, rng, code_of(thing.kind, own), thing.kind == "rider")
    elif thing.kind in _CRAFT:
        _cast_shadow(stand, half, tall)
        _CRAFT[thing.kind](stand, rng, code_of(thing.kind, own))
    elif thing.kind == "car":
        _car(stand, rng, code_of("car", own))
    elif thing.kind == "pole":
        _pole(stand, rng)
    else:
        _tree(stand, rng)


def _cast_shadow(stand: _Stand, half: float, tall: float) -> None:
    """The shadow of an upright box, thrown along the ground."""
    project, (right, ahead) = stand.layout.camera.project, stand.layout.light.sun
    x, z = stand.x, stand.z
    far_x, far_z = x + right * tall, max(z + ahead * tall, 1.5)
    corners = [(x - half, z), (x + half, z), (far_x + half, far_z), (far_x - half, far_z)]
    stand.canvas.shadow([project(a, 0.0, b) for a, b in corners])
    # contact: without it things float
    near, far = max(z - 0.25, 1.5), z + 0.25
    corners = [(x - half, near), (x + half, near), (x + half, far), (x - half, far)]
    stand.canvas.shadow([project(a, 0.0, b) for a, b in corners])


def _figure(stand: _Stand, rng: np.random.Generator, code: int, helmet: bool) -> None:
    """A person and a rider have one body, drawn from one distribution; the helmet alone differs."""
    tall = rng.uniform(1.66, 1.95)
    stride, lean = rng.uniform(0.08, 0.34), rng.uniform(-0.12, 0.12)
    shirt, trousers = rng.uniform(30, 225, 3), rng.uniform(20, 120, 3)
    skin = _SKIN[int(rng.integers(len(_SKIN)))]
    hair = _HAIR[int(rng.integers(len(_HAIR)))]
    shell = _HELMETS[int(rng.integers(len(_HELMETS)))]
    reach = rng.uniform(-0.35, 0.45, 2)
    top: Colour = (float(shirt[0]), float(shirt[1]), float(shirt[2]))
    legs: Colour = (float(trousers[0]), float(trousers[1]), float(trousers[2]))
    hip, shoulder, head = 0.5 * tall, 0.81 * tall, 0.9 * tall
    for foot in (-stride, stride):
        stand.line([(0.08 * np.sign(foot), hip), (foot, 0.05)], 0.2, legs, code)
        stand.line([(foot - 0.06, 0.05), (foot + 0.14, 0.05)], 0.11, (32, 30, 30), code)
    torso = [
        (-0.2, hip - 0.05),
        (0.2, hip - 0.05),
        (lean + 0.26, shoulder),
        (lean + 0.13, shoulder + 0.06),
        (lean - 0.13, shoulder + 0.06),
        (lean - 0.26, shoulder),
    ]
    stand.polygon(torso, top, code)
    sleeve: Colour = (top[0] * 0.8, top[1] * 0.8, top[2] * 0.8)
    for side, swing in ((-1, reach[0]), (1, reach[1])):
        elbow = (lean + side * 0.3, shoulder - 0.3)
        hand = (lean + side * 0.3 + float(swing) * 0.6, hip + 0.05)
        stand.line([(lean + side * 0.24, shoulder), elbow, hand], 0.13, sleeve, code)
    crown = head + 0.05
    stand.disc(
        (lean * 1.2, crown + (0.05 if helmet else 0.035)),
        0.195 if helmet else 0.18,
        shell if helmet else hair,
        code,
    )
    stand.disc((lean * 1.2, crown - 0.07), 0.14, skin, code)


def _bicycle(stand: _Stand, rng: np.random.Generator, code: int) -> None:
    turn = rng.uniform(0.75, 1.0) * (-1 if rng.random() < 0.5 else 1)
    frame = _PAINT[int(rng.integers(len(_PAINT)))]
    wheel, axle = 0.36, 0.56 * turn
    for hub in (-axle, axle):
        stand.disc((hub, wheel), wheel, (28, 28, 30), code, abs(turn))
        stand.disc((hub, wheel), wheel * 0.74, (112, 112, 114), None, abs(turn))
        stand.disc((hub, wheel), wheel * 0.16, (40, 40, 42), None, abs(turn))
    saddle, crank, bar = (-0.22 * turn, 0.9), (-0.05 * turn, 0.34), (0.4 * turn, 0.98)
    tubes = [[(-axle, wheel), saddle, crank, (-axle, wheel)], [saddle, bar, crank]]
    for tube in [*tubes, [bar, (axle, wheel)]]:
        stand.line(tube, 0.08, frame, code)
    stand.line([(-0.36 * turn, 0.93), (-0.1 * turn, 0.93)], 0.1, (30, 28, 28), code)
    stand.line([(0.34 * turn, 1.05), (0.52 * turn, 1.05)], 0.08, (30, 28, 28), code)


def _motorcycle(stand: _Stand, rng: np.random.Generator, code: int) -> None:
    turn = rng.uniform(0.75, 1.0) * (-1 if rng.random() < 0.5 else 1)
    paint = _PAINT[int(rng.integers(len(_PAINT)))]
    wheel, axle = 0.32, 0.68 * turn
    for hub in (-axle, axle):
        stand.disc((hub, wheel), wheel, (22, 22, 24), code, abs(turn))
        stand.disc((hub, wheel), wheel * 0.45, (150, 150, 154), None, abs(turn))
    body = [(-0.85, 0.7), (-0.8, 0.85), (-0.1, 0.82), (0.1, 0.98), (0.42, 0.95), (0.5, 0.6)]
    body += [(0.3, 0.28), (-0.35, 0.28)]
    stand.polygon([(u * turn, v) for u, v in body], paint, code)
    engine = [(-0.3, 0.3), (-0.3, 0.58), (0.25, 0.58), (0.25, 0.3)]
    stand.polygon([(u * turn, v) for u, v in engine], (70, 70, 74), None)
    stand.line([(axle, wheel), (0.44 * turn, 1.02), (0.3 * turn, 1.1)], 0.1, (60, 60, 62), code)
    stand.line([(-0.72 * turn, 0.88), (-0.08 * turn, 0.86)], 0.12, (26, 24, 24), code)
    stand.disc((0.56 * turn, 0.88), 0.1, (250, 244, 200), code)


_CRAFT = {"bicycle": _bicycle, "motorcycle": _motorcycle}
# half width and height in metres, for shadows and panels
_EXTENTS: dict[str, tuple[float, float]] = {
    "person": (0.4, 1.8),
    "rider": (0.4, 1.8),
    "bicycle": (0.85, 1.0),
    "motorcycle": (0.9, 1.0),
    "car": (0.95, 1.5),
    "pole": (0.3, 3.0),
    "vegetation": (1.2, 4.5),
}


def _car(stand: _Stand, rng: np.random.Generator, code: int) -> None:
    if rng.random() < 0.3:
        _car_across(stand, rng, code)
    else:
        _car_along(stand, rng, code)


def _car_across(stand: _Stand, rng: np.random.Generator, code: int) -> None:
    """A car seen from its side."""
    paint, turn = _PAINT[int(rng.integers(len(_PAINT)))], -1 if rng.random() < 0.5 else 1
    half, roof = rng.uniform(1.9, 2.2), rng.uniform(1.4, 1.6)
    _cast_shadow(stand, half, roof * 0.7)
    cabin = [(-0.75, 0.9), (-0.5, roof), (0.25, roof), (0.6, 0.9)]
    stand.polygon([(u * half * turn, v) for u, v in cabin], paint, code)
    for left, right, slope in ((-0.62, -0.12, 0.16), (-0.06, 0.45, -0.2)):
        pane = [(left, 0.95), (left + max(slope, 0), roof - 0.1)]
        pane += [(right + min(slope, 0), roof - 0.1), (right, 0.95)]
        stand.polygon([(u * half * turn, v) for u, v in pane], (58, 74, 88), None)
    body = [(-1.0, 0.3), (-1.0, 0.85), (-0.7, 0.95), (0.62, 0.95), (0.98, 0.78), (1.0, 0.3)]
    stand.polygon([(u * half * turn, v) for u, v in body], paint, code)
    sill: Colour = (paint[0] * 0.6, paint[1] * 0.6, paint[2] * 0.6)
    stand.line([(-half, 0.36), (half, 0.36)], 0.1, sill, None)
    for hub in (-0.62 * half, 0.62 * half):
        stand.disc((hub, 0.32), 0.33, (24, 24, 26), code)
        stand.disc((hub, 0.32), 0.18, (158, 158, 162), None)
    stand.line([(0.9 * half * turn, 0.72), (0.99 * half * turn, 0.72)], 0.12, (250, 240, 190), None)
    stand.line([(-0.99 * half * turn, 0.72), (-0.92 * half * turn, 0.72)], 0.12, (190, 30, 30), None)


def _car_along(stand: _Stand, rng: np.random.Generator, code: int) -> None:
    """A car seen from behind or ahead: two boxes in perspective."""
    paint, behind = _PAINT[int(rng.integers(len(_PAINT)))], rng.random() < 0.6
    half, roof, long = rng.uniform(0.85, 0.95), rng.uniform(1.4, 1.6), rng.uniform(3.4, 4.4)
    _cast_shadow(stand, half, roof * 0.7)
    canvas, project, x, z = stand.canvas, stand.layout.camera.project, stand.x, stand.z

    def box(w: float, low: float, high: float, near: float, far: float, colour: Colour) -> None:
        side = -w if x > 0 else w  # the side that faces the camera
        for corners, brightness in (
            ([(side, low, near), (side, high, near), (side, high, far), (side, low, far)], 0.72),
            ([(-w, high, near), (w, high, near), (w, high, far), (-w, high, far)], 1.1),
            ([(-w, low, near), (w, low, near), (w, high, near), (-w, high, near)], 1.0),
        ):
            points = [project(x + a, b, z + c) for a, b, c in corners]
            canvas.polygon(points, stand.hazed(colour, brightness), code)

    for hub in (0.8, long - 0.8):
        for side in (-half + 0.02, half - 0.02):
            centre = project(x + side, 0.32, z + hub)
            radius = 0.34 * stand.layout.camera.focal / (z + hub)
            canvas.ellipse(centre, (radius * 0.7, radius), stand.hazed((24, 24, 26)), code)
    box(half, 0.28, 0.9, 0.0, long, paint)
    box(half * 0.86, 0.9, roof, 0.5 if behind else 1.2, long * 0.8, paint)
    glass = [(-0.74, 0.96), (-0.66, roof - 0.1), (0.66, roof - 0.1), (0.74, 0.96)]
    stand.polygon([(u * half, v) for u, v in glass], (52, 66, 80), None)
    stand.polygon([(-half, 0.28), (half, 0.28), (half, 0.4), (-half, 0.4)], (44, 44, 48), None)
    lamp: Colour = (206, 30, 30) if behind else (252, 246, 214)
    for side in (-1, 1):
        lit = [(0.66, 0.62), (0.94, 0.62), (0.94, 0.8), (0.66, 0.8)]
        stand.polygon([(side * u * half, v) for u, v in lit], lamp, None)
    plate = [(-0.24, 0.45), (0.24, 0.45), (0.24, 0.57), (-0.24, 0.57)]
    stand.polygon(plate, (226, 226, 216), None)
    for side in (-half * 0.8, half * 0.8):
        stand.line([(side - 0.11, 0.14), (side + 0.11, 0.14)], 0.28, (26, 26, 28), code)


def _pole(stand: _Stand, rng: np.random.Generator) -> None:
    code, tall = code_of("pole"), rng.uniform(4.0, 7.0)
    level = rng.uniform(70, 150)
    steel: Colour = (level, level, level * 1.04)
    _cast_shadow(stand, 0.12, tall)
    width = max(0.3, 1.6 / stand.scale)  # never under a pixel and a half: thinner cannot be labelled
    stand.line([(0, 0), (0, tall)], width, steel, code)
    stand.line([(-0.1, 0.25), (0.1, 0.25)], 0.5, grey(0.7 * level), code)
    if rng.random() < 0.6:
        inward = -1.0 if stand.x > 0 else 1.0
        stand.line([(0, tall), (inward * 1.2, tall + 0.2)], width * 0.8, steel, code)
        stand.disc((inward * 1.3, tall + 0.15), 0.25, (232, 226, 200), code)


def _tree(stand: _Stand, rng: np.random.Generator) -> None:
    code = code_of("vegetation")
    trunk, crown = rng.uniform(1.6, 2.6), rng.uniform(1.1, 1.9)
    _cast_shadow(stand, crown * 0.8, trunk + crown)
    stand.line([(0, 0), (0, trunk + 0.4)], 0.3, (84, 64, 46), code)
    leaf = np.array((rng.uniform(46, 96), rng.uniform(92, 136), rng.uniform(34, 62)))
    sunny = -np.sign(stand.layout.light.sun[0])
    offsets = rng.normal(0, 0.42, (26, 2)) * crown
    offsets = offsets[np.argsort(offsets[:, 1] + 0.4 * sunny * offsets[:, 0])]  # lit tops last
    for rank, (right, up) in enumerate(offsets):
        r, g, b = leaf * (0.55 + 0.6 * rank / len(offsets)) * rng.uniform(0.85, 1.15)
        centre = (float(right), trunk + crown + float(up) * 0.85)
        stand.disc(centre, crown * rng.uniform(0.28, 0.48), (float(r), float(g), float(b)), code)
