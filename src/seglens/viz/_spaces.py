"""Colour arithmetic: sRGB to CIELAB and back, and what colour-blind eyes see."""

from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_TO_XYZ: Floats = np.array(
    [
        [0.4123907993, 0.3575843394, 0.1804807884],
        [0.2126390059, 0.7151686788, 0.0721923154],
        [0.0193308187, 0.1191947798, 0.9505321522],
    ]
)
"""Linear sRGB to CIE XYZ; its rows sum to the D65 white, so that grey has a = b = 0 exactly."""

_FROM_XYZ: Floats = np.asarray(np.linalg.inv(_TO_XYZ), np.float64)
_WHITE: Floats = _TO_XYZ.sum(1)
_KNEE = 6 / 29  # below its cube CIELAB is linear

SIGHT = MappingProxyType(
    {
        "normal": np.eye(3),
        "protanopia": np.array(
            [
                [0.152286, 1.052583, -0.204868],
                [0.114503, 0.786281, 0.099216],
                [-0.003882, -0.048116, 1.051998],
            ]
        ),
        "deuteranopia": np.array(
            [
                [0.367322, 0.860646, -0.227968],
                [0.280085, 0.672501, 0.047413],
                [-0.011820, 0.042940, 0.968881],
            ]
        ),
        "tritanopia": np.array(
            [
                [1.255528, -0.076749, -0.178779],
                [-0.078411, 0.930809, 0.147602],
                [0.004733, 0.691367, 0.303900],
            ]
        ),
    }
)
"""What an eye makes of linear sRGB: Machado, Oliveira and Fernandes 2009, severity 1."""


def _linear(rgb: Floats) -> Floats:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _encoded(linear: Floats) -> Floats:
    # The power is taken of positive numbers only: outside the gamut `where` keeps the linear branch.
    power = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, power)


def to_lab(rgb: ArrayLike) -> Floats:
    """sRGB [... 3] in [0, 1] to CIELAB (D65, 2 degrees): L in [0, 100], a, b around [-110, 110]."""
    xyz = _linear(np.asarray(rgb, np.float64)) @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > _KNEE**3, np.cbrt(xyz), xyz / (3 * _KNEE**2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def to_rgb(lab: ArrayLike) -> Floats:
    """CIELAB [... 3] to sRGB [... 3], not clipped: outside [0, 1] the screen cannot show the colour."""
    lab = np.asarray(lab, np.float64)
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    xyz = np.where(f > _KNEE, f**3, 3 * _KNEE**2 * (f - 4 / 29)) * _WHITE
    return _encoded(xyz @ _FROM_XYZ.T)


def seen(rgb: ArrayLike, sight: str) -> Floats:
    """sRGB [... 3] as an eye of that `sight` (a key of `SIGHT`) sees it, in sRGB, within [0, 1]."""
    linear = _linear(np.asarray(rgb, np.float64)) @ SIGHT[sight].T
    return _encoded(np.clip(linear, 0, 1))
