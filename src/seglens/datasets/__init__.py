"""Data sets with exact truth: what a network was shown is known to the pixel."""

from seglens.datasets.digits import Digits, digits_from
from seglens.datasets.streets import CLASSES, COLOURS, Plant, Scene, Streets
from seglens.datasets.textured_digits import Bias, DigitScene, TexturedDigits, Twin
from seglens.datasets.textures import TEXTURES, texture, textures_from

__all__ = [
    "CLASSES",
    "COLOURS",
    "TEXTURES",
    "Bias",
    "DigitScene",
    "Digits",
    "Plant",
    "Scene",
    "Streets",
    "TexturedDigits",
    "Twin",
    "digits_from",
    "texture",
    "textures_from",
]
