"""Data sets by the names that a person types."""

from seglens.datasets.samples import DATASETS


def set_name(text: str) -> str:
    """NAME of 'NAME' or 'NAME:PATH'. Raises NameNotFoundError where no data set has that name."""
    name = text.partition(":")[0]
    DATASETS[name]
    return name


def names_set(text: str) -> bool:
    """Whether a text names a data set, alone or with a path."""
    return text.partition(":")[0] in DATASETS
