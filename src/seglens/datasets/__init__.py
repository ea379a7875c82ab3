"""Data sets with exact truth: what a network was shown is known to the pixel."""

from seglens.datasets.digits import Digits, digits_from
from seglens.datasets.faces import Face, Faces, draw_face, measure_face, measure_faces
from seglens.datasets.samples import Sample, SampleSet, open_dataset
from seglens.datasets.sprites import Sprites, draw_sprite
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
    "Face",
    "Faces",
    "Plant",
    "Sample",
    "SampleSet",
    "Scene",
    "Sprites",
    "Streets",
    "TexturedDigits",
    "Twin",
    "digits_from",
    "draw_face",
    "draw_sprite",
    "measure_face",
    "measure_faces",
    "open_dataset",
    "texture",
    "textures_from",
]
