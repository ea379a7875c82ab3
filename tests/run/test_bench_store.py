"""Finished stages on disk: found by what determines them, whole or not at all, and told where damaged."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from seglens.core.errors import SeglensWarning
from seglens.run.bench.store import Store, key_of


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Store, nn.Module]:
    store, module = Store(tmp_path), small()
    store.keep_network("one", "k" * 64, module, {"seconds": 2.5})
    store.keep_arrays("maps", "one", "a" * 64, {"x": np.arange(5.0), "b": np.array([True])}, {"seconds": np.nan})
    return store, module


def test_what_is_kept_comes_back(kept: tuple[Store, nn.Module]) -> None:
    store, module = kept
    found = store.network("one", "k" * 64, small)
    assert found is not None
    assert found[1]["seconds"] == 2.5
    assert not found[0].training
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(found[0].state_dict()[name], tensor, rtol=0, atol=0)
    arrays, about = store.arrays("maps", "one", "a" * 64)
    np.testing.assert_array_equal(arrays["x"], np.arange(5.0))
    assert arrays["b"].dtype == bool
    assert about["seconds"] is None


def test_another_key_or_name_is_not_there(kept: tuple[Store, nn.Module]) -> None:
    store, _ = kept
    assert store.network("one", "j" * 64, small) is None
    assert store.network("two", "k" * 64, small) is None
    assert store.arrays("maps", "one", "b" * 64) is None
    # The first signs of the key are in the name of the file; the rest of it is compared all the same.
    with pytest.warns(SeglensWarning, match="of another stage"):
        assert store.arrays("maps", "one", "a" * 63 + "b") is None


def flip(path: Path, at: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("what", ["networks", "maps"])
@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "text"])
def test_a_damaged_file_is_told_and_does_not_count(kept: tuple[Store, nn.Module], what: str, damage: str) -> None:
    store, _ = kept
    (path,) = (store.folder / what).iterdir()
    if damage == "flipped":
        # In the middle of the values: the file still opens, and only a checksum tells.
        flip(path, 0.9 if what == "networks" else 0.2)
    else:
        size = {"cut": path.stat().st_size // 2, "empty": 0, "text": 0}[damage]
        path.write_bytes(path.read_bytes()[:size] + (b"no such file" if damage == "text" else b""))
    with pytest.warns(SeglensWarning, match=r"is damaged .*done again"):
        assert (
            store.network("one", "k" * 64, small) if what == "networks" else store.arrays("maps", "one", "a" * 64)
        ) is None


def test_weights_of_another_network_are_told(kept: tuple[Store, nn.Module]) -> None:
    store, _ = kept
    with pytest.warns(SeglensWarning, match="is damaged"):
        assert store.network("one", "k" * 64, lambda: nn.Conv2d(1, 1, 1)) is None


def test_an_interruption_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", stop)
    store = Store(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        store.keep_arrays("maps", "one", "a" * 64, {"x": np.zeros(3)}, {})
    assert not list((tmp_path / "maps").iterdir())
    assert store.arrays("maps", "one", "a" * 64) is None


def test_keys_hang_on_every_part_and_not_on_order() -> None:
    plain = key_of("train", 1, {"a": 1, "b": (2, 3)})
    assert plain == key_of("train", 1, {"b": [2, 3], "a": 1})
    others = [key_of("train", 2, {"a": 1, "b": (2, 3)}), key_of("look", 1, {"a": 1, "b": (2, 3)})]
    others += [key_of("train", 1, {"a": 1, "b": (2, 4)}), key_of("train", 1, {"a": 1})]
    assert len({plain, *others}) == 5
