"""Registries: names taken once, plugins found by entry point and imported on first use only."""

import sys

import pytest

from seglens.core.errors import DuplicateNameError, NameNotFoundError
from seglens.core.registry import Registry

GROUP = "seglens.tests"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts fake distributions on sys.path: a module that announces things, and says when it is imported."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(name: str, source: str, **announced: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{key.replace('_', '-')} = {name}:{value}" for key, value in announced.items()]
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n" + "\n".join(lines) + "\n")

    yield put
    for module in [m for m in sys.modules if m.startswith("seglens_fake_")]:
        del sys.modules[module]


def registry(**known):
    table = Registry("method", GROUP)
    for name, thing in known.items():
        table.add(name, thing)
    return table


def test_built_ins():
    table = registry(b=2)

    @table.register("a")
    class Thing:
        pass

    assert table["a"] is Thing
    assert table.name_of(Thing) == "a"
    assert table.name_of(3) is None
    assert list(table) == ["a", "b"]
    assert "a" in table
    assert "c" not in table


def test_a_name_is_taken_once():
    table = registry(cam=1)
    with pytest.raises(
        DuplicateNameError, match=r"method 'cam' is registered already, by 1.\n  Choose another name for 2"
    ):
        table.add("cam", 2)
    assert table["cam"] == 1


def test_an_unknown_name():
    with pytest.raises(
        NameNotFoundError, match=r"no method 'grad-cma'.\n  Nearest: 'grad-cam'.\n  All of them: grad-cam, lime"
    ):
        registry(**{"grad-cam": 1, "lime": 2})["grad-cma"]


def test_a_plugin_is_imported_when_asked_for(install):
    install("seglens_fake_a", "thing = object()", my_method="thing")
    table = registry(own=1)
    assert table.names() == ["my-method", "own"]
    assert "my-method" in table
    assert table["own"] == 1
    assert "seglens_fake_a" not in sys.modules
    thing = table["my-method"]
    assert thing is sys.modules["seglens_fake_a"].thing
    assert table["my-method"] is thing
    assert table.name_of(thing) == "my-method"


def test_a_plugin_that_fails_is_the_only_one_that_does(install):
    install("seglens_fake_b", "raise ImportError('no such library')", broken="thing")
    table = registry(own=1)
    assert table["own"] == 1
    for _ in range(2):
        with pytest.raises(ImportError, match="no such library"):
            table["broken"]


def test_a_plugin_that_registers_itself(install):
    install(
        "seglens_fake_c", "import seglens_fake_table as t\n@t.table.register('self')\nclass Thing: pass", self="Thing"
    )
    table = registry()
    sys.modules["seglens_fake_table"] = type(sys)("seglens_fake_table")
    sys.modules["seglens_fake_table"].table = table
    assert table["self"].__name__ == "Thing"
    assert table["self"] is table["self"]


def test_a_plugin_cannot_take_a_built_in_name(install):
    install("seglens_fake_d", "thing = 1", own="thing")
    table = registry(own=1, other=2)
    with pytest.raises(
        DuplicateNameError, match="'own' is built in, and the plugin 'seglens_fake_d:thing' claims the name"
    ):
        table["own"]
    assert table["other"] == 2
    assert "seglens_fake_d" not in sys.modules


def test_two_plugins_of_one_name(install):
    """Neither wins, however often one asks; what nobody quarrels about stays usable."""
    install("seglens_fake_e", "thing = 1", same="thing")
    install("seglens_fake_f", "thing = 2", same="thing")
    table = registry(own=1)
    for _ in range(2):
        with pytest.raises(DuplicateNameError, match="two plugins announce the method 'same'"):
            table["same"]
    assert table["own"] == 1
    assert "own" in table.names()
