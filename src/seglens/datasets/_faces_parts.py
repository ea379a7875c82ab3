"""The parts of a face, painted from back to front."""

from dataclasses import dataclass

import numpy as np

from seglens.datasets._faces_head import YAW, Colour, Head, Plane, Portrait, smooth

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
    portrait = Portrait(head, _background(head, looks))
    strands = _strands(head)
    _back_hair(portrait, head, looks, strands)
    near = _ears(portrait, head, looks, nearer=False)
    _neck(portrait, head, looks)
    _cloth(portrait, head, looks)
    _skin(portrait, head, looks)
    if near:
        _ears(portrait, head, looks, nearer=True)
    _beard(portrait, head, looks, strands)
    _mouth(portrait, head, looks)
    _nose(portrait, head, looks)
    for side in (-1, 1):
        _eye(portrait, head, looks, side)
    if looks.glasses > 0:
        _glasses(portrait, head, looks)
    _front_hair(portrait, head, looks, strands)
    if looks.hat:
        _hat(portrait, head, looks)
    return portrait


def _background(head: Head, looks: Looks) -> Plane:
    """A wall, lighter towards the light, darker in the corners."""
    wall = 1.03 - 0.12 * head.y + 0.16 * looks.light * (head.x - 0.5)
    wall -= 0.25 * ((head.x - 0.5) ** 2 + (head.y - 0.45) ** 2)
    return wall[..., None] * np.array(looks.colours.background, np.float32)


def _strands(head: Head) -> Plane:
    """Light and dark along strands that fall from the crown, about −1 to 1."""
    fall = head.across * (1.1 - 0.25 * np.clip(head.height, -1, 2)) + 0.05 * np.sin(5 * head.height + 2 * head.across)
    return 0.6 * np.sin(23 * fall + 1) + 0.4 * np.sin(41 * fall + 4 * head.height)


def _round(head: Head, looks: Looks) -> Plane:
    """Light on the head as a ball: about 1 where it faces the light, less as it turns away."""
    across, height = np.clip(head.across, -1, 1), np.clip(0.85 * head.height, -1, 1)
    out = np.sqrt(np.clip(1 - 0.85 * across**2 - 0.6 * height**2, 0.05, 1))
    lit = 0.62 * looks.light * across - 0.3 * height + 0.85 * out
    return 0.5 + 0.55 * np.clip(lit, 0, 1.2)


def _skull(head: Head, looks: Looks, wider: float, higher: float) -> Plane:
    """About the distance outside the hair on the head, which lies further back than the face."""
    (x, y), (a, b) = head.centre, head.half
    return head.ellipse(x - 0.3 * a * head.turn, y - 0.1 * b, a * wider, b * higher)


def _back_hair(portrait: Portrait, head: Head, looks: Looks, strands: Plane) -> None:
    (x, y), (a, b) = head.centre, head.half
    length = looks.hair_length
    cap = _skull(head, looks, 1.1 + 0.12 * length, 1.06)
    end = y + b * (-0.1 + 1.55 * length)
    half = a * (1.02 + 0.28 * length + 0.04 * np.sin(9 * head.height))
    fall = np.maximum(np.abs(head.x - x + 0.3 * a * head.turn) - half, head.y - end)
    fall = np.maximum(fall, y - 0.2 * b - head.y)
    shade = (0.68 + 0.12 * strands) * (1 + 0.12 * looks.light * head.across)
    portrait.paint(np.minimum(cap, fall), looks.colours.hair, shade, LABEL["hair"])


def _ears(portrait: Portrait, head: Head, looks: Looks, *, nearer: bool) -> bool:
    """Those that stand before the head, or behind its edge. Whether any stands before it."""
    (x, y), (a, b) = head.centre, head.half
    before = False
    for side, name in ((-1, "l_ear"), (1, "r_ear")):
        angle = side * 1.6 + YAW * head.turn / np.sin(YAW)
        front = np.cos(angle) > 0.12
        before |= bool(front)
        if front != nearer:
            continue
        ear = float(x + a * 1.03 * np.sin(angle))
        shell = head.ellipse(ear, y + 0.1 * b, 0.16 * a, 0.2 * b)
        shade = _round(head, looks) * 0.95
        portrait.paint(shell, looks.colours.skin, shade, LABEL[name])
        inner = head.ellipse(ear + 0.02 * a * side, y + 0.1 * b, 0.08 * a, 0.12 * b)
        portrait.dim(0.3 * np.clip(0.5 - inner / head.pixel, 0, 1))
    return before


def _neck(portrait: Portrait, head: Head, looks: Looks) -> None:
    (x, y), (a, b) = head.centre, head.half
    middle = x + 0.1 * a * head.turn * (1.6 - head.height)
    half = a * (0.5 + 0.25 * np.clip(head.height - 1.05, 0, 1) ** 2)
    column = np.maximum(np.abs(head.x - middle) - half, y + 0.4 * b - head.y)
    turned = (head.x - middle) / half
    shade = 0.82 + 0.14 * looks.light * turned - 0.12 * turned**2
    shade *= 1 - 0.35 * smooth(1.4, 0.95, head.height)  # under the chin
    portrait.paint(column, looks.colours.skin, shade, LABEL["neck"])


def _cloth(portrait: Portrait, head: Head, looks: Looks) -> None:
    (x, y), (a, b) = head.centre, head.half
    chest = x - 0.15 * a * head.turn
    shoulders = head.ellipse(chest, y + 2.35 * b, 2.1 * a, 1.02 * b)
    throat = head.ellipse(chest + 0.1 * a * head.turn, y + 1.3 * b, 0.62 * a, 0.3 * b)
    cloth = np.maximum(shoulders, -throat)
    across = (head.x - chest) / (2 * a)
    shade = 0.95 + 0.25 * looks.light * across - 0.35 * across**2 + 0.05 * np.sin(14 * across + 5 * head.height)
    collar = np.clip(1 - np.abs(throat - 0.012) / 0.014, 0, 1)
    portrait.paint(cloth, looks.colours.cloth, shade * (1 - 0.28 * collar), LABEL["cloth"])


def face_outline(head: Head, mouth_open: float) -> Plane:
    """About the distance outside the face: a ball above, tapering to the chin below, which drops as the mouth opens."""
    low = np.clip(head.height, 0, None) / (1 + 0.06 * mouth_open)
    shift = 0.2 * head.turn * smooth(-0.1, 1.0, head.height)
    taper = 1 - 0.2 * smooth(0.1, 1.05, head.height)
    side = np.abs(head.across - shift) / taper
    out = np.where(head.height > 0, (side**2.3 + low**2.3) ** (1 / 2.3), np.hypot(side, head.height))
    return (out - 1) * head.half[0]


def _skin(portrait: Portrait, head: Head, looks: Looks) -> None:
    shade = _round(head, looks)
    for side in (-1, 1):
        shade = shade - 0.14 * head.hump(side * _EYE, -0.06, 0.26, 0.14)  # sockets
        shade += (0.05 + 0.08 * looks.smile) * head.hump(side * 0.52, 0.26 - 0.05 * looks.smile, 0.22, 0.14)
        fold = head.angle * side - (0.26 + 0.1 * looks.smile + 0.3 * (head.height - 0.4))
        shade -= 0.16 * looks.smile * np.exp(-((fold / 0.05) ** 2) - ((head.height - 0.43) / 0.12) ** 2)
    shade -= 0.13 * head.hump(0, 0.82, 0.24, 0.055) - 0.05 * head.hump(0, 0.92, 0.22, 0.09)  # under the lip; chin
    shade += 0.05 * head.hump(0, -0.5, 0.5, 0.22)  # forehead
    share = portrait.cover(face_outline(head, looks.mouth_open), LABEL["skin"])
    portrait.wash(share, looks.colours.skin, shade)
    rosy = mixed(looks.colours.skin, (214, 88, 74), 0.55)
    for side in (-1, 1):
        portrait.wash(share * 0.3 * head.hump(side * 0.58, 0.28, 0.24, 0.15), rosy, shade)


def _beard(portrait: Portrait, head: Head, looks: Looks, strands: Plane) -> None:
    if looks.beard <= 0:
        return
    angle = np.abs(head.angle)
    jaw = smooth(0.1, 0.3, head.height - 0.75 + 0.62 * np.clip(angle, 0, 1.1))
    lip = smooth(0.0, 0.05, 0.06 - np.abs(head.height - 0.45)) * smooth(0.36, 0.26, angle)
    gap = smooth(0.0, 0.08, np.hypot(head.angle / 2.6, head.height - _MOUTH - 0.02) - 0.09)
    inside = np.clip(0.5 - face_outline(head, looks.mouth_open) / head.pixel, 0, 1)
    share = inside * np.clip(np.maximum(jaw * gap, lip), 0, 1)
    shade = (0.66 + 0.12 * strands) * _round(head, looks)
    portrait.wash(0.9 * looks.beard * share, looks.colours.hair, shade)


def _mouth(portrait: Portrait, head: Head, looks: Looks) -> None:
    angle = head.angle - 0.1 * head.turn
    half = 0.29 + 0.13 * looks.smile - 0.03 * looks.mouth_open
    place = np.clip(angle / half, -1.3, 1.3)
    arch = np.sqrt(np.clip(1 - place**2, 0, 1))
    line = _MOUTH + 0.02 - (0.17 * looks.smile - 0.05) * place**2 + 0.03 * looks.smile
    gap = (0.2 * looks.mouth_open + 0.015 * looks.smile) * arch**1.3
    top, bottom = line - 0.25 * gap, line + 0.75 * gap
    bow = 1 - 0.25 * np.exp(-((place / 0.16) ** 2))
    upper = 0.075 * (1 - 0.35 * looks.smile) * arch * bow
    lower = 0.1 * (1 - 0.25 * looks.smile) * arch
    scale, ends = head.half[1], (np.abs(place) - 1) * half * head.half[0]

    def between(low: Plane, high: Plane) -> Plane:
        return np.maximum(np.maximum(low - head.height, head.height - high) * scale, ends)

    shade = _round(head, looks)
    red = mixed(looks.colours.skin, (176, 52, 58), 0.62)
    portrait.paint(between(top - upper, top + 0.01), red, 0.86 * shade, LABEL["u_lip"])
    gloss = 1 + 0.16 * np.exp(-(((head.height - bottom - 0.45 * lower) / 0.03) ** 2))
    portrait.paint(between(bottom - 0.01, bottom + lower), red, 1.02 * shade * gloss, LABEL["l_lip"])
    parted = looks.mouth_open > 0.02
    portrait.paint(between(top, bottom), (74, 22, 26), 1.0, LABEL["mouth"] if parted else None)
    if parted:
        teeth = np.maximum(between(top, top + 0.45 * gap), (np.abs(place) - 0.78) * half * head.half[0])
        portrait.paint(teeth, (240, 234, 224), 0.9 * shade)
    seam = np.abs(head.height - line) * scale - 0.006 * (1 - looks.mouth_open)
    portrait.wash(0.6 * portrait.cover(np.maximum(seam, ends)) * float(not parted), (84, 30, 30))


def _nose(portrait: Portrait, head: Head, looks: Looks) -> None:
    """Shading alone: the ridge catches light, the side away from it lies in shadow, and the tip throws one."""
    out = head.turn * 0.3 * smooth(-0.15, 0.3, head.height)  # the tip stands out, and moves further with the yaw
    angle = head.angle - out
    half = 0.09 + 0.11 * smooth(0.0, 0.3, head.height)
    down = smooth(-0.2, 0.2, head.height)
    shape = np.maximum((np.abs(angle) - half) * head.half[0], (-0.1 - head.height) * head.half[1])
    shape = np.maximum(shape, (head.height - 0.37 + 0.9 * angle**2) * head.half[1])
    portrait.cover(shape, LABEL["nose"])
    ends = smooth(0.42, 0.34, head.height) * down
    away = angle * np.sign(looks.light or 1.0)
    depth = 0.05 + 0.2 * abs(looks.light)
    portrait.dim(depth * ends * np.exp(-(((away + 0.75 * half) / 0.09) ** 2)))
    portrait.dim(0.09 * ends * np.exp(-(((away - 0.9 * half) / 0.06) ** 2)))
    portrait.dim(-0.1 * ends * np.exp(-((angle / 0.05) ** 2)))
    portrait.dim(-0.1 * np.exp(-((angle / 0.07) ** 2) - ((head.height - 0.29) / 0.06) ** 2))
    portrait.dim(0.26 * np.exp(-((angle / 0.17) ** 2) - ((head.height - 0.39) / 0.035) ** 2))
    for side in (-1, 1):
        nostril = np.exp(-(((angle - side * 0.085) / 0.05) ** 2) - ((head.height - 0.355) / 0.025) ** 2)
        portrait.dim(0.55 * nostril)


def _eye(portrait: Portrait, head: Head, looks: Looks, side: int) -> None:
    names = ("l_eye", "l_brow") if side < 0 else ("r_eye", "r_brow")
    angle, height = head.angle - side * _EYE, head.height + 0.02
    half, open_ = 0.19, 0.082 * (1 - 0.22 * looks.smile)
    place = np.clip(angle / half, -1.2, 1.2)
    upper, lower = -open_ * (1 - place**2) - 0.008, 0.75 * open_ * (1 - place**2)
    scale = head.half[1]
    almond = np.maximum(np.maximum(upper - height, height - lower) * scale, (np.abs(place) - 1) * half * head.half[0])
    share = portrait.cover(almond, LABEL[names[0]])
    shade = 0.75 + 0.3 * _round(head, looks)
    portrait.wash(share, (236, 232, 228), shade * (1 - 0.35 * smooth(0.02, -0.1, height)))
    ball = np.hypot(angle * head.half[0] / head.half[1], height + 0.008)  # in half-heights
    for radius, colour in ((0.078, (74, 58, 44)), (0.036, (16, 12, 12))):
        portrait.wash(share * np.clip(0.5 - (ball - radius) * scale / head.pixel, 0, 1), colour)
    glint = np.hypot((angle - 0.05 * np.sign(looks.light or 1)) * head.half[0] / head.half[1], height + 0.035) - 0.018
    portrait.wash(0.85 * share * np.clip(0.5 - glint * scale / head.pixel, 0, 1), (255, 255, 255))
    lash = np.maximum(np.abs(height - upper) - 0.016, 0) * scale
    along_lid = smooth(1.12, 0.95, np.abs(place))
    portrait.wash(0.85 * along_lid * np.clip(1 - lash / head.pixel, 0, 1), (40, 28, 26))
    portrait.dim(0.16 * along_lid * np.exp(-(((height - upper + 0.06) / 0.02) ** 2)))  # crease of the lid
    portrait.dim(0.1 * along_lid * np.exp(-(((height - lower - 0.04) / 0.025) ** 2)))
    brow_angle = head.angle * side - _EYE
    arch = head.height + 0.235 + 0.05 * np.cos(2.6 * (brow_angle - 0.05)) - 0.03
    thick = 0.036 * smooth(0.3, 0.02, np.abs(brow_angle + 0.06) - 0.06) + 0.006
    brow = np.maximum((np.abs(arch) - thick) * scale, (np.abs(brow_angle) - 0.27) * head.half[0])
    dark = mixed(looks.colours.hair, (40, 28, 24), 0.45)
    portrait.wash(0.85 * portrait.cover(brow, LABEL[names[1]]), dark)


def _glasses(portrait: Portrait, head: Head, looks: Looks) -> None:
    """Two rounded lenses that leave the eyes' own labels, a bridge, and bows to the ears."""
    label = LABEL["eye_g"] if looks.glasses >= 0.5 else None
    dark, frame = looks.glasses, 0.03
    eyes = (portrait.labels == LABEL["l_eye"]) | (portrait.labels == LABEL["r_eye"])
    kept = portrait.labels[eyes]
    lenses = np.full(head.x.shape, 1.0, np.float32)
    for side in (-1, 1):
        a, b = head.angle - side * _EYE, head.height - 0.02
        lens = ((np.abs(a) / 0.3) ** 3 + (np.abs(b) / 0.19) ** 3) ** (1 / 3) - 1
        lenses = np.minimum(lenses, lens * 0.19)
    scale = head.half[1]
    portrait.wash(0.14 * dark * portrait.cover(lenses * scale, label), (210, 222, 236))
    rim = np.abs(lenses) - frame
    bridge = np.maximum(np.abs(head.height + 0.03 + 0.5 * head.angle**2) - frame, np.abs(head.angle) - 0.13)
    bows = np.maximum(np.abs(head.height + 0.05) - 0.8 * frame, 0.68 - np.abs(head.angle))
    bows = np.maximum(bows, np.abs(head.across) - 0.99)
    metal = np.minimum(np.minimum(rim, bridge), bows)
    portrait.wash(0.92 * dark * portrait.cover(metal * scale, label), (34, 30, 34))
    portrait.labels[eyes] = kept


def _front_hair(portrait: Portrait, head: Head, looks: Looks, strands: Plane) -> None:
    length = looks.hair_length
    side = np.abs(head.angle)
    line = -0.74 + 0.34 * looks.fringe + 0.5 * (side / 1.15) ** 4 + 0.05 * np.sin(7 * head.angle + 1.5)
    cap = np.maximum(_skull(head, looks, 1.1 + 0.12 * length, 1.06), (head.height - line) * head.half[1])
    # Beside the face: sideburns of short hair, locks of long hair that hide the ears and fall over the cloth.
    end = -0.1 + 1.55 * length
    inner = 1.28 - 0.42 * smooth(0.15, 0.6, np.full_like(head.x, length)) * smooth(-0.6, 0.3, head.height)
    out = np.abs(head.across + 0.3 * head.turn)
    wide = 1.02 + 0.28 * length + 0.04 * np.sin(9 * head.height)
    outer = np.where(np.abs(head.across) >= 0.999, np.float32(1.6), side)
    locks = np.maximum(np.maximum(inner - outer, head.height - end), out - wide)
    locks = np.maximum(locks, -0.75 - head.height) * head.half[0]
    locks = np.maximum(locks, (0.8 * smooth(0.0, 1.2, head.height) - np.abs(head.across) + 0.1) * head.half[0])
    shade = (0.9 + 0.16 * strands) * (0.35 + 0.65 * _round(head, looks))
    shade += (
        0.2 * np.exp(-(((head.height + 0.85 - 0.25 * head.across**2) / 0.12) ** 2)) * (1 + looks.light * head.across)
    )
    shape = np.minimum(cap, locks)
    rim = np.exp(-((np.clip(shape, 0, None) / 0.012) ** 2))  # what hair throws on the skin
    on_skin = (portrait.labels == LABEL["skin"]) & (shape > 0)
    portrait.dim(0.22 * rim * on_skin)
    portrait.paint(shape, looks.colours.hair, shade, LABEL["hair"])


def _hat(portrait: Portrait, head: Head, looks: Looks) -> None:
    """A knitted cap with a turned-up band."""
    crown = _skull(head, looks, 1.2 + 0.06 * looks.hair_length, 1.16)
    edge = -0.5 + 0.1 * np.clip(head.across, -1.4, 1.4) ** 2
    cap = np.maximum(crown, (head.height - edge) * head.half[1])
    ribs = np.sin(26 * np.arcsin(np.clip(head.across / 1.25, -1, 1)))
    shade = (0.45 + 0.6 * _round(head, looks)) * (1 + 0.06 * ribs)
    band = smooth(-0.02, 0.02, head.height - edge + 0.24)
    shade *= 1 + 0.12 * band - 0.3 * np.exp(-(((head.height - edge + 0.24) / 0.025) ** 2))
    on_skin = (portrait.labels == LABEL["skin"]) | (portrait.labels == LABEL["hair"])
    portrait.dim(0.25 * on_skin * np.exp(-(((head.height - edge) / 0.06) ** 2)))
    portrait.paint(cap, looks.colours.hat, shade, LABEL["hat"])
