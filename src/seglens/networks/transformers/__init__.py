"""transformers: folders, models and pipelines of the library, segmenters by pixels or masks, and classifiers."""

from seglens.networks.transformers.input import convention_of
from seglens.networks.transformers.loading import adapt, load_folder, queries

__all__ = ["adapt", "convention_of", "load_folder", "queries"]
