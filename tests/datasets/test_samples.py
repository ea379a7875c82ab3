"""Data sets by name: what opens, how long it is, that splits share nothing, and that errors say what to do."""

import numpy as np
import pytest

from seglens.core.errors import NameNotFoundError, ParameterError
from seglens.datasets.samples import DATASETS, SPLITS, open_dataset

BUILT_IN = {"streets": ((64, 128, 3), 2000), "faces": ((64, 64, 3), 4000), "sprites": ((64, 64, 1), 20000)}


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_set_has_what_it_says(name):
    shape, length = BUILT_IN[name]
    samples = open_dataset(name)
    assert len(samples) == length
    assert samples.built_in
    sample = samples[3]
    assert sample.image.shape == shape
    assert sample.image.dtype == np.uint8
    assert samples.classes is not None
    assert sample.labels is not None
    assert sample.labels.dtype == np.uint8
    assert sample.labels.shape == shape[:2]
    assert sample.labels.max() < len(samples.classes)
    for names, values in ((samples.attributes, sample.attributes), (samples.factors, sample.factors)):
        assert (values is None) == (not names)
        if values is not None:
            assert values.shape == (len(names),)
            assert values.dtype == np.float32
    assert sample.name
    with pytest.raises(IndexError):
        samples[length]


@pytest.mark.parametrize("name", BUILT_IN)
def test_splits_and_seeds_are_streams_of_their_own_and_repeat(name):
    opened = {(split, seed): open_dataset(name, split, length=6, seed=seed) for split in SPLITS for seed in (0, 1)}
    pictures = [samples[i].image.tobytes() for samples in opened.values() for i in range(6)]
    assert len(set(pictures)) == len(pictures)
    again = open_dataset(name, "val", length=3, seed=1)
    assert all(np.array_equal(again[i].image, opened["val", 1][i].image) for i in range(3))


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_size_and_a_length_are_kept(name):
    samples = open_dataset(name, "test", size=(32, 48), length=2)
    assert len(samples) == 2
    assert samples[0].image.shape[:2] == (32, 48)
    assert [sample.image.shape[:2] for sample in map(samples.__getitem__, range(2))] == [(32, 48)] * 2


def test_every_public_set_is_announced():
    assert {"celebamask-hq", "celeba", "dsprites", "synthia", "a2d2", *BUILT_IN} <= set(DATASETS.names())


def test_malformed_questions_are_refused():
    with pytest.raises(NameNotFoundError, match="no data set 'street'"):
        open_dataset("street")
    with pytest.raises(ParameterError, match="split = 'dev': one of train, val, test"):
        open_dataset("faces", "dev")  # type: ignore[arg-type]
    for name in BUILT_IN:
        with pytest.raises(ParameterError, match="made by rule and read nothing from disk"):
            open_dataset(f"{name}:/data")
        with pytest.raises(ParameterError, match="a seed is an integer"):
            open_dataset(name, seed=-1)
    for name in ("celebamask-hq", "celeba", "dsprites", "synthia", "a2d2"):
        with pytest.raises(ParameterError, match="is read from disk: say where"):
            open_dataset(name)
