"""The parts of a face, painted from back to front."""

from dataclasses import dataclass

import numpy as np

from seglens.datasets._faces_head import Colour, Head, Plane, Portrait, bell, smooth

PARTS: tuple[str, ...] = (
    "background",
    "skin",
    "nose",
    "eye_g",
    "l_eye",
    "r_eye",
    "l_brow",
    "r_brow",
    "l_ear",
    "r_ear",
    "mouth",
    "u_lip",
    "l_lip",
    "hair",
    "hat",
    "neck",
    "cloth",
)
LABEL = {name: number for number, name in enumerate(PARTS)}

_SKINS: tuple[Colour, ...] = ((250, 220, 202), (228, 182, 148), (176, 122, 86), (98, 64, 46))
_HAIRS: tuple[Colour, ...] = ((30, 24, 24), (84, 54, 36), (152, 104, 58), (222, 186, 118))
_REDS: tuple[Colour, ...] = ((52, 20, 18), (126, 46, 26), (188, 84, 40), (232, 158, 98))
_EYE = 0.41  # radians from the middle of the face to an eye
_MOUTH = 0.57  # height of the closed mouth
_PARTED = 0.02  # from here on, what is between the lips shows


@dataclass(frozen=True, slots=True)
class Colours:
    """What the factors say of colour."""

    skin: Colour
    hair: Colour
    cloth: Colour
    hat: Colour
    background: Colour


@dataclass(frozen=True, slots=True)
class Looks:
    """The factors as the painters use them; see `Face` for their meaning and ranges."""

    smile: float
    mouth_open: float
    hair_length: float
    fringe: float
    glasses: float
    beard: float
    light: float
    hat: bool
    colours: Colours


def along(ramp: tuple[Colour, ...], share: float) -> Colour:
    """The colour at a share of 0 to 1 of the way along a ramp."""
    place = float(np.clip(share, 0, 1)) * (len(ramp) - 1)
    low = min(int(place), len(ramp) - 2)
    return mixed(ramp[low], ramp[low + 1], place - low)


def mixed(a: Colour, b: Colour, share: float) -> Colour:
    """a at share 0, b at share 1."""
    r, g, blue = (x + (y - x) * share for x, y in zip(a, b, strict=True))
    return r, g, blue


def hued(hue: float, strength: float, value: float) -> Colour:
    """A colour of that hue (0 to 1 round the circle), saturation and brightness (0 to 255)."""
    r, g, b = (value * (1 - strength * (0.5 - 0.5 * np.cos(2 * np.pi * (hue - third)))) for third in (0, 1 / 3, 2 / 3))
    return float(r), float(g), float(b)


def skin_of(tone: float) -> Colour:
    """From light (0) to dark (1)."""
    return along(_SKINS, tone)


def hair_of(tone: float, red: float) -> Colour:
    """From black (0) through brown to blond (1); red mixes in ginger."""
    return mixed(along(_HAIRS, tone), along(_REDS, tone), red)


def paint_face(head: Head, looks: Looks) -> Portrait:
    """All parts on the background."""
    portrait = Portrait(head, _background(head, looks), np.zeros(head.x.shape, np.uint8))
    strands = _strands(head)
    hair = _silhouette(head, looks)
    portrait.paint(hair, looks.colours.hair, (0.68 + 0.12 * strands) * _glow(head, looks), LABEL["hair"])
    _ears(portrait, looks, nearer=False)
    _neck(portrait, looks)
    _cloth(portrait, looks)
    outline = _outline(head, looks)
    _skin(portrait, looks, outline)
    _ears(portrait, looks, nearer=True)
    if looks.beard > 0:
        _beard(portrait, looks, outline, strands)
    _mouth(portrait.cut((-0.6, 0.6), (0.3, 1.0)), looks)
    _nose(portrait.cut((-0.45, 0.5), (-0.3, 0.5)), looks)
    for side in (-1, 1):
        _eye(portrait.cut((side * _EYE - 0.34, side * _EYE + 0.34), (-0.42, 0.18)), looks, side)
    if looks.glasses > 0:
        _glasses(portrait.cut((-1.6, 1.6), (-0.3, 0.3)), looks)
    _front_hair(portrait, looks, hair, strands)
    if looks.hat:
        _hat(portrait, looks)
    return portrait


def _background(head: Head, looks: Looks) -> Plane:
    """A wall [3 h w], lighter towards the light, darker in the corners."""
    wall = 1.03 - 0.12 * head.y + 0.16 * looks.light * (head.x - 0.5)
    wall -= 0.25 * ((head.x - 0.5) ** 2 + (head.y - 0.45) ** 2)
    return np.array(looks.colours.background, np.float32)[:, None, None] * wall


def _strands(head: Head) -> Plane:
    """Light and dark along strands that fall from the crown, about −1 to 1."""
    fall = head.across * (1.1 - 0.25 * np.clip(head.height, -1, 2)) + 0.05 * np.sin(5 * head.height + 2 * head.across)
    return 0.6 * np.sin(23 * fall + 1) + 0.4 * np.sin(41 * fall + 4 * head.height)


def _glow(head: Head, looks: Looks) -> Plane:
    return 1 + 0.12 * looks.light * head.across


def _silhouette(head: Head, looks: Looks) -> Plane:
    """About the distance outside all hair: a skull further back than the face, and a fall to where the hair ends."""
    (x, y), (a, b) = head.centre, head.half
    length = looks.hair_length
    wide = a * (1.09 + 0.16 * length)
    middle = x - 0.3 * a * head.turn
    skull = head.ellipse(middle, y - 0.1 * b, wide, 1.06 * b)
    below = np.clip(head.height + 0.1, 0, 2)
    waves = 0.05 * length * np.sin(7 * head.height + 1) * smooth(0.0, 0.6, below)
    aside = np.abs(head.x - middle) - wide * (1 + 0.08 * length * np.sqrt(below) + waves)
    tips = 0.02 * np.sin(34 * head.across) + 0.06 * np.sin(5 * head.across + 2)
    end = head.height - (-0.1 + 1.5 * length) + 0.3 * length * ((head.x - middle) / wide) ** 2 + length * tips
    fall = np.maximum(np.maximum(aside, end * b), (-0.1 - head.height) * b)
    return np.minimum(skull, fall)


def _ears(portrait: Portrait, looks: Looks, *, nearer: bool) -> None:
    """Those that stand before the head (nearer), or behind its edge."""
    head = portrait.head
    (x, y), (a, b) = head.centre, head.half
    for side, name in ((-1, "l_ear"), (1, "r_ear")):
        angle = side * 1.6 + head.yaw
        if bool(np.cos(angle) > 0.12) != nearer:
            continue
        ear = float(x + a * 1.03 * np.sin(angle))
        shell = head.ellipse(ear, y + 0.1 * b, 0.16 * a, 0.2 * b)
        portrait.paint(shell, looks.colours.skin, 0.95 * head.lit, LABEL[name])
        inner = head.ellipse(ear + 0.02 * a * side, y + 0.1 * b, 0.08 * a, 0.12 * b)
        portrait.dim(0.3 * portrait.cover(inner))


def _neck(portrait: Portrait, looks: Looks) -> None:
    head = portrait.head
    (x, y), (a, b) = head.centre, head.half
    middle = x + 0.1 * a * head.turn * (1.6 - head.height)
    half = a * (0.52 + 0.3 * np.clip(head.height - 1.0, 0, 1) ** 2)
    column = np.maximum(np.abs(head.x - middle) - half, y + 0.4 * b - head.y)
    turned = (head.x - middle) / half
    shade = 0.82 + 0.14 * looks.light * turned - 0.12 * turned**2
    shade *= 1 - 0.35 * smooth(1.4, 0.95, head.height)  # under the chin
    portrait.paint(column, looks.colours.skin, shade, LABEL["neck"])


def _cloth(portrait: Portrait, looks: Looks) -> None:
    head = portrait.head
    (x, y), (a, b) = head.centre, head.half
    chest = x - 0.15 * a * head.turn
    shoulders = head.ellipse(chest, y + 2.25 * b, 2.1 * a, 1.02 * b)
    throat = head.ellipse(chest + 0.1 * a * head.turn, y + 1.2 * b, 0.62 * a, 0.27 * b)
    across = (head.x - chest) / (2 * a)
    shade = 0.95 + 0.25 * looks.light * across - 0.35 * across**2 + 0.05 * np.sin(14 * across + 5 * head.height)
    shade -= 0.28 * shade * np.clip(1 - np.abs(throat - 0.012) / 0.014, 0, 1)  # the collar
    portrait.paint(np.maximum(shoulders, -throat), looks.colours.cloth, shade, LABEL["cloth"])


def _outline(head: Head, looks: Looks) -> Plane:
    """About the distance outside the face: a ball above, tapering to the chin below, which drops as the mouth opens."""
    low = np.clip(head.height, 0, None) / (1 + 0.06 * looks.mouth_open)
    shift = 0.2 * head.turn * smooth(-0.1, 1.0, head.height)
    taper = 1 - 0.2 * smooth(0.1, 1.05, head.height)
    side = np.abs(head.across - shift) / taper
    above, below = np.sqrt(side**2 + head.height**2), np.sqrt(np.sqrt(side**2 * side**0.5 + low**2 * low**0.5)) ** 1.6
    return (np.where(head.height > 0, below, above) - 1) * head.half[0]


def _skin(portrait: Portrait, looks: Looks, outline: Plane) -> None:
    head, smile = portrait.head, looks.smile
    shade = head.lit.copy()
    for side in (-1, 1):
        shade -= 0.14 * head.hump(side * _EYE, -0.06, 0.26, 0.14)  # sockets
        shade += (0.05 + 0.08 * smile) * head.hump(side * 0.52, 0.26 - 0.05 * smile, 0.22, 0.14)
        fold = head.angle * side - (0.26 + 0.1 * smile + 0.3 * (head.height - 0.4))
        shade -= 0.16 * smile * bell(fold, 0.05) * bell(head.height - 0.43, 0.12)
    shade -= 0.13 * head.hump(0, 0.82, 0.24, 0.055) - 0.05 * head.hump(0, 0.92, 0.22, 0.09)  # under the lip; chin
    shade += 0.05 * head.hump(0, -0.5, 0.5, 0.22)  # forehead
    share = portrait.cover(outline, LABEL["skin"])
    portrait.wash(share, looks.colours.skin, shade)
    rosy = mixed(looks.colours.skin, (214, 88, 74), 0.55)
    cheeks = head.hump(-0.58, 0.28, 0.24, 0.15) + head.hump(0.58, 0.28, 0.24, 0.15)
    portrait.wash(share * 0.3 * cheeks, rosy, shade)


def _beard(portrait: Portrait, looks: Looks, outline: Plane, strands: Plane) -> None:
    head = portrait.head
    angle = np.abs(head.angle)
    jaw = smooth(0.02, 0.34, head.height - 0.68 + 0.6 * np.clip(angle, 0, 1.1))
    lip = smooth(0.0, 0.06, 0.075 - np.abs(head.height - 0.465)) * smooth(0.4, 0.26, angle)
    gap = smooth(0.02, 0.12, np.sqrt((head.angle / 2.6) ** 2 + (head.height - _MOUTH - 0.03) ** 2) - 0.08)
    share = portrait.cover(outline) * np.clip(np.maximum(jaw * gap, lip), 0, 1)
    dark = mixed(looks.colours.hair, (46, 32, 26), 0.4)
    portrait.wash(0.88 * looks.beard * share, dark, (0.88 + 0.14 * strands) * head.lit)


def _mouth(portrait: Portrait, looks: Looks) -> None:
    head, smile = portrait.head, looks.smile
    half = 0.29 + 0.13 * smile - 0.03 * looks.mouth_open
    place = np.clip((head.angle - 0.1 * head.turn) / half, -1.3, 1.3)
    arch = np.sqrt(np.clip(1 - place**2, 0, 1))
    line = _MOUTH + 0.02 - (0.19 * smile - 0.035) * place**2 + 0.03 * smile
    gap = (0.2 * looks.mouth_open + 0.015 * smile) * arch
    top, bottom = line - 0.25 * gap, line + 0.75 * gap
    upper = 0.075 * (1 - 0.35 * smile) * arch * (1 - 0.25 * bell(place, 0.16))
    lower = 0.1 * (1 - 0.25 * smile) * arch
    scale, ends = head.half[1], (np.abs(place) - 1) * half * head.half[0]

    def between(low: Plane, high: Plane) -> Plane:
        return np.maximum(np.maximum(low - head.height, head.height - high) * scale, ends)

    red = mixed(looks.colours.skin, (176, 52, 58), 0.55)
    portrait.paint(between(top - upper, top + 0.01), red, 0.86 * head.lit, LABEL["u_lip"])
    gloss = 1.02 + 0.16 * bell(head.height - bottom - 0.45 * lower, 0.03)
    portrait.paint(between(bottom - 0.01, bottom + lower), red, head.lit * gloss, LABEL["l_lip"])
    if looks.mouth_open <= _PARTED:
        seam = np.maximum(np.abs(head.height - line) * scale - 0.006, ends)
        portrait.wash(0.6 * portrait.cover(seam), (84, 30, 30))
        return
    portrait.paint(between(top, bottom), (74, 22, 26), 1.0, LABEL["mouth"])
    teeth = np.maximum(between(top, top + 0.45 * gap), (np.abs(place) - 0.78) * half * head.half[0])
    portrait.paint(teeth, (240, 234, 224), 0.9 * head.lit)


def _nose(portrait: Portrait, looks: Looks) -> None:
    """Shading alone: the ridge catches light, the side away from it lies in shadow, and the tip throws one."""
    head = portrait.head
    out = head.turn * 0.3 * smooth(-0.15, 0.3, head.height)  # the tip stands out, and moves further with the yaw
    angle = head.angle - out
    half = 0.09 + 0.11 * smooth(0.0, 0.3, head.height)
    shape = np.maximum((np.abs(angle) - half) * head.half[0], (-0.1 - head.height) * head.half[1])
    shape = np.maximum(shape, (head.height - 0.37 + 0.9 * angle**2) * head.half[1])
    portrait.cover(shape, LABEL["nose"])
    ridge = smooth(0.42, 0.34, head.height) * smooth(-0.2, 0.2, head.height)
    # The shadow's side passes from one to the other as the light does, without a jump.
    for side in (-1, 1):
        away = np.clip(-side * looks.light, 0, 1)
        portrait.dim(ridge * (0.07 + 0.18 * away) * bell(angle - 0.8 * side * half, 0.08))
    shine = -0.1 * ridge * bell(angle, 0.05) - 0.1 * bell(angle, 0.07) * bell(head.height - 0.29, 0.06)
    portrait.dim(shine + 0.26 * bell(angle, 0.17) * bell(head.height - 0.39, 0.035))
    nostrils = bell(angle - 0.085, 0.05) + bell(angle + 0.085, 0.05)
    portrait.dim(0.55 * nostrils * bell(head.height - 0.355, 0.025))


def _eye(portrait: Portrait, looks: Looks, side: int) -> None:
    head, scale = portrait.head, portrait.head.half[1]
    eye, brow = ("l_eye", "l_brow") if side < 0 else ("r_eye", "r_brow")
    angle, height = head.angle - side * _EYE, head.height + 0.02
    half, open_ = 0.19, 0.082 * (1 - 0.22 * looks.smile)
    place = np.clip(angle / half, -1.2, 1.2)
    lens = open_ * (1 - place**2)
    upper, lower = -lens - 0.008, 0.75 * lens
    almond = np.maximum(np.maximum(upper - height, height - lower) * scale, (np.abs(place) - 1) * half * head.half[0])
    share = portrait.cover(almond, LABEL[eye])
    portrait.wash(share, (236, 232, 228), (0.75 + 0.3 * head.lit) * (1 - 0.35 * smooth(0.02, -0.1, height)))
    flat = head.half[0] / head.half[1]

    def disc(right: float, down: float, radius: float) -> Plane:
        far = np.sqrt(((angle - right) * flat) ** 2 + (height - down) ** 2)
        return share * portrait.cover((far - radius) * scale)

    portrait.wash(disc(0, -0.008, 0.078), (74, 58, 44))
    portrait.wash(disc(0, -0.008, 0.036), (16, 12, 12))
    portrait.wash(0.85 * disc(0.05 * looks.light, -0.035, 0.018), (255, 255, 255))
    lid = smooth(1.12, 0.95, np.abs(place))
    lash = np.maximum(np.abs(height - upper) - 0.016, 0) * scale
    portrait.wash(0.85 * lid * np.clip(1 - lash / head.pixel, 0, 1), (40, 28, 26))
    portrait.dim(lid * (0.16 * bell(height - upper + 0.06, 0.02) + 0.1 * bell(height - lower - 0.04, 0.025)))
    outward = head.angle * side - _EYE
    arch = head.height + 0.205 + 0.05 * np.cos(2.6 * (outward - 0.05))
    thick = 0.036 * smooth(0.3, 0.02, np.abs(outward + 0.06) - 0.06) + 0.006
    hairs = np.maximum((np.abs(arch) - thick) * scale, (np.abs(outward) - 0.27) * head.half[0])
    dark = mixed(looks.colours.hair, (40, 28, 24), 0.45)
    portrait.wash(0.85 * portrait.cover(hairs, LABEL[brow]), dark)


def _glasses(portrait: Portrait, looks: Looks) -> None:
    """Two rounded lenses that leave the eyes' own labels, a bridge, and bows to the ears."""
    head = portrait.head
    label = LABEL["eye_g"] if looks.glasses >= 0.5 else None
    scale, frame = head.half[1], 0.03
    eyes = (portrait.labels == LABEL["l_eye"]) | (portrait.labels == LABEL["r_eye"])
    kept = portrait.labels[eyes]
    a = (np.abs(head.angle) - _EYE) / 0.3  # both lenses at once
    b = (head.height - 0.02) / 0.19
    lenses = (np.cbrt(np.abs(a * a * a) + np.abs(b * b * b)) - 1) * 0.19
    portrait.wash(0.14 * looks.glasses * portrait.cover(lenses * scale, label), (210, 222, 236))
    rim = np.abs(lenses) - frame
    bridge = np.maximum(np.abs(head.height + 0.03 + 0.5 * head.angle**2) - frame, np.abs(head.angle) - 0.13)
    bows = np.maximum(np.abs(head.height + 0.05) - 0.8 * frame, 0.68 - np.abs(head.angle))
    metal = np.minimum(np.minimum(rim, bridge), bows)
    portrait.wash(0.92 * looks.glasses * portrait.cover(metal * scale, label), (34, 30, 34))
    portrait.labels[eyes] = kept


def _front_hair(portrait: Portrait, looks: Looks, hair: Plane, strands: Plane) -> None:
    """Hair before the face: above the hairline, and locks beside it that hide the ears and fall over the cloth."""
    head, length = portrait.head, looks.hair_length
    side = np.abs(head.angle)
    fourth = (side / 1.15) ** 2
    line = -0.74 + 0.34 * looks.fringe + 0.5 * fourth**2 + 0.05 * np.sin(7 * head.angle + 1.5)
    inner = 1.28 - 0.42 * float(np.clip(length / 0.6 - 0.25, 0, 1)) * smooth(-0.6, 0.3, head.height)
    beside = np.where(np.abs(head.across) >= 0.999, np.float32(1.6), side)  # off the head's edge there is no angle
    locks = np.maximum(inner - beside, head.height - (-0.1 + 1.5 * length)) * head.half[0]
    locks = np.maximum(locks, (0.9 * smooth(0.0, 1.2, head.height) - np.abs(head.across) + 0.1) * head.half[0])
    shape = np.maximum(hair, np.minimum((head.height - line) * head.half[1], locks))
    shade = (0.9 + 0.16 * strands) * (0.35 + 0.65 * head.lit)
    shade += 0.2 * bell(head.height + 0.85 - 0.25 * head.across**2, 0.12) * (1 + looks.light * head.across)
    thrown = (portrait.labels == LABEL["skin"]) * bell(np.clip(shape, 0, None), 0.012)
    portrait.dim(0.22 * thrown)
    portrait.paint(shape, looks.colours.hair, shade, LABEL["hair"])


def _hat(portrait: Portrait, looks: Looks) -> None:
    """A knitted cap with a turned-up band."""
    head = portrait.head
    (x, y), (a, b) = head.centre, head.half
    crown = head.ellipse(x - 0.3 * a * head.turn, y - 0.1 * b, a * (1.19 + 0.12 * looks.hair_length), 1.14 * b)
    edge = -0.5 + 0.1 * np.clip(head.across, -1.4, 1.4) ** 2
    cap = np.maximum(crown, (head.height - edge) * b)
    ribs = np.sin(26 * np.arcsin(np.clip(head.across / 1.3, -1, 1)))
    shade = (0.45 + 0.6 * head.lit) * (1 + 0.06 * ribs)
    seam = head.height - edge + 0.24
    shade *= 1 + 0.12 * smooth(-0.02, 0.02, seam) - 0.3 * bell(seam, 0.025)
    below = (portrait.labels == LABEL["skin"]) | (portrait.labels == LABEL["hair"])
    portrait.dim(0.25 * below * bell(head.height - edge, 0.06))
    portrait.paint(cap, looks.colours.hat, shade, LABEL["hat"])
