"""Training of the autoencoders and segmenters of this package: recipe, data, module, pictures, card.

Lightning and tensorboard come with the extra 'train', and are imported when a training begins, never before.
"""

from seglens.run.training.data import Splits
from seglens.run.training.fit import Where, train
from seglens.run.training.presets import preset
from seglens.run.training.recipe import KINDS, DataRecipe, OptimiserRecipe, Recipe, read_recipe, write_recipe
from seglens.run.training.result import Trained

__all__ = [
    "KINDS",
    "DataRecipe",
    "OptimiserRecipe",
    "Recipe",
    "Splits",
    "Trained",
    "Where",
    "preset",
    "read_recipe",
    "train",
    "write_recipe",
]
