"""Descriptions: read with exact errors, written so that they come back, and found by probing."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from network_toys import Classifier, Toy
from torch import Tensor, nn

from seglens.core.classes import ClassTable
from seglens.core.convention import Convention
from seglens.core.errors import GuessWarning, NetworkError, ParameterError
from seglens.core.network import Network
from seglens.networks.description import (
    EXAMPLE,
    Description,
    description_beside,
    read_description,
    write_description,
)
from seglens.networks.probe import describe
from seglens.networks.toml import dumps

texts = st.text(max_size=8)
values = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
numbers = st.floats(-1e6, 1e6)
descriptions = st.builds(
    Description,
    name=st.none() | texts,
    task=st.sampled_from([None, "segment", "classify", "encode"]),
    classes=st.none()
    | st.lists(
        st.tuples(texts, st.tuples(*[st.integers(0, 255)] * 3)), min_size=1, max_size=4, unique_by=lambda c: c[0]
    ).flatmap(
        lambda cs: st.sampled_from(
            [ClassTable(tuple(n for n, _ in cs)), ClassTable(tuple(n for n, _ in cs), tuple(c for _, c in cs))]
        )
    ),
    emits=st.sampled_from([None, "logits", "probabilities"]),
    link=st.sampled_from([None, "softmax", "sigmoid", "none"]),
    output=st.none() | texts | st.integers(-3, 3),
    default_layer=st.none() | texts,
    constructor=st.none() | texts.map(lambda t: t + ":C"),
    constructor_arguments=st.dictionaries(texts, values, max_size=3),
    input=st.none()
    | st.fixed_dictionaries(
        {},
        optional={
            "channels": st.integers(1, 1),
            "order": st.sampled_from(["RGB", "BGR"]),
            "mean": st.lists(numbers, min_size=1, max_size=1),
            "per_image": st.booleans(),
            "divisor": st.integers(1, 64),
            "size": st.lists(st.integers(1, 500), min_size=2, max_size=2),
        },
    ),
)


class TestFiles:
    @settings(max_examples=60, deadline=None)
    @given(description=descriptions, suffix=st.sampled_from([".toml", ".json"]))
    def test_round_trip(self, description: Description, suffix: str, tmp_path_factory: Any):
        path = tmp_path_factory.getbasetemp() / f"round{suffix}"
        write_description(description, path)
        assert read_description(path) == description

    @settings(max_examples=60, deadline=None)
    @given(st.dictionaries(texts, values, max_size=4))
    def test_toml_comes_back(self, table: dict[str, Any]):
        back = tomllib.loads(dumps(table))
        assert json.dumps(back, sort_keys=True) == json.dumps(table, sort_keys=True)

    def test_readable(self):
        text = dumps(Description(name="a", classes=ClassTable(("x", "y")), input={"mean": [0.5]}).to_dict())
        assert text == 'name = "a"\nclasses = ["x", "y"]\n\n[input]\nmean = [0.5]\n'
        with pytest.raises(ParameterError, match="'a' is None, which TOML cannot hold"):
            dumps({"a": None})

    def test_example_is_valid(self, tmp_path: Path):
        (tmp_path / "a.toml").write_text(EXAMPLE)
        described = read_description(tmp_path / "a.toml")
        assert described.convention({}).divisor == 32
        assert described.fields()["classes"].names == ("road", "car")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("name = \n", "a.toml is no valid TOML: Invalid value (at line 1, column 8)."),
            ("clases = []", "unknown key 'clases'.\n  Nearest: 'classes'"),
            ("divisor = 3", "unknown key 'divisor'.\n  It belongs under [input]."),
            ("[input]\nmeen = [1.0]", "unknown key [input] 'meen'.\n  Nearest: 'mean'"),
            ("classes = 3", "'classes' is to be a list of texts, at least one, not 3."),
            ("classes = []", "'classes' is to be a list of texts, at least one, not []."),
            ("classes = ['a', 'a']", "a.toml: class names are to differ"),
            ("classes = ['a']\ncolours = [[1, 2]]", "'colours' is to be a list of [red, green, blue]"),
            ("classes = ['a']\ncolours = [[1, 2, 300]]", "each 0 to 255, not [[1, 2, 300]]"),
            ("colours = [[1, 2, 3]]", "'colours' are given without 'classes'"),
            ("emits = 'logit'", "'emits' is to be one of 'logits', 'probabilities', not 'logit'"),
            ("task = 'x'", "'task' is to be one of 'segment', 'classify', 'encode'"),
            ("constructor = 'a.b'", "'constructor' is to be a text 'package.module:Class'"),
            ("name = 3", "'name' is to be a text, not 3"),
            ("output = 1.5", "'output' is to be a text or a whole number"),
            ("input = 3", "'input' is to be a table"),
            ("[input]\nmean = 'x'", "[input] 'mean' is to be a number or a list of numbers"),
            ("[input]\nrange = [0, 1, 2]", "[input] 'range' is to be two numbers, [black, white]"),
            ("[input]\nsize = 3", "[input] 'size' is to be a list of whole numbers"),
            ("[input]\nper_image = 1", "[input] 'per_image' is to be true or false"),
            ("[input]\nchannels = true", "[input] 'channels' is to be a whole number"),
            ("[input]\ndivisor = 0", "a.toml: Convention.divisor is to be >= 1"),
            ("[input]\nstd = [0.0]", "a.toml: Convention.std is to be > 0"),
        ],
    )
    def test_errors(self, tmp_path: Path, text: str, said: str):
        (tmp_path / "a.toml").write_text(text)
        with pytest.raises(NetworkError) as refused:
            read_description(tmp_path / "a.toml")
        assert str(refused.value).startswith("a.toml")
        assert said in str(refused.value)

    def test_other_errors(self, tmp_path: Path):
        path = tmp_path / "a.json"
        path.write_text("{")
        with pytest.raises(NetworkError, match=r"a\.json is no valid JSON: .*line 1"):
            read_description(path)
        path.write_text("[]")
        with pytest.raises(NetworkError, match="is to hold one table of keys, not a list"):
            read_description(path)
        path.write_bytes(b"\xff\xfe")
        with pytest.raises(NetworkError, match="is no text in UTF-8"):
            read_description(path)
        with pytest.raises(NetworkError, match=r"b\.toml cannot be read"):
            read_description(tmp_path / "b.toml")
        with pytest.raises(ParameterError, match=r"is a \.toml or a \.json file, not 'a\.yaml'"):
            write_description(Description(), tmp_path / "a.yaml")

    def test_beside(self, tmp_path: Path):
        weights = tmp_path / "unet.v2.pt2"
        assert description_beside(weights) is None
        (tmp_path / "unet.v2.toml").touch()
        assert description_beside(weights) == tmp_path / "unet.v2.toml"
        (tmp_path / "unet.v2.json").touch()
        with pytest.raises(NetworkError, match=r"two descriptions, unet\.v2\.toml and unet\.v2\.json"):
            description_beside(weights)

    def test_encoder_has_no_link(self):
        assert Description(task="encode").fields() == {"link": "none"}


class Lambda(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def found(module: nn.Module, example: Tensor | None = None, **fields: Any) -> tuple[Description, list[str]]:
    with pytest.warns(GuessWarning) as said:
        described = describe(Network(module=module, **fields), example)
    return described, [str(w.message) for w in said]


class TestProbe:
    @pytest.mark.parametrize("divisor", [1, 2, 16, 64])
    def test_divisor(self, divisor: int):
        described, _ = found(Toy(divisor=divisor))
        assert described.input is not None
        assert described.input["divisor"] == divisor

    def test_segmenter(self):
        module = Toy(channels=1).train()
        described, said = found(module)
        assert module.training
        assert (described.task, described.emits, described.link) == ("segment", "logits", "softmax")
        assert described.input is not None
        assert described.input["channels"] == 1
        assert described.classes == ClassTable(("class 0", "class 1"))
        assert len(said) == 3
        assert "guessed: the input of Toy is RGB in 0 to 1, mean 0, std 1. State it with order" in said[0]
        assert "guessed: Toy gives logits of one class a place (softmax). State it with emits" in said[1]
        assert "guessed: the 2 classes are called 'class 0', …. State it with classes" in said[2]

    def test_what_is_stated_is_not_guessed(self, recwarn: pytest.WarningsRecorder):
        network = Network(module=Toy(), link="softmax", classes=ClassTable(("a", "b")))
        network = network.with_(convention=Convention(mean=(0.5,), std=(0.2,), size=(40, 24)))
        described = describe(network)
        assert not list(recwarn)
        assert described.input is not None
        assert described.input["mean"] == [0.5]
        assert described.input["size"] == [40, 24]

    def test_probabilities(self):
        soft, said = found(nn.Sequential(Toy(3), nn.Softmax(1)))
        assert (soft.emits, soft.link) == ("probabilities", "softmax")
        assert not any("gives" in line for line in said)
        labels, said = found(nn.Sequential(Toy(3), nn.Sigmoid()))
        assert (labels.emits, labels.link) == ("probabilities", "sigmoid")
        assert any("gives probabilities of independent labels (sigmoid)" in line for line in said)

    def test_one_channel(self):
        one, _ = found(Toy(1))
        assert (one.emits, one.link) == ("logits", "sigmoid")
        assert one.classes == ClassTable(("background", "foreground"))

    def test_classifier_of_one_size(self):
        described, said = found(Classifier())
        assert described.task == "classify"
        assert described.input is not None
        assert described.input["size"] == [32, 32]
        assert any("takes images of 32 × 32 only. State it with size" in line for line in said)
        assert any("the 5 outputs of Classifier are scores of classes, not a code" in line for line in said)

    def test_encoder(self):
        described, _ = found(nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(2), Lambda(lambda x: x.mean(2))), link="none")
        assert (described.task, described.link, described.classes) == ("encode", "none", None)

    def test_volume(self):
        described, _ = found(nn.Conv3d(2, 3, 3, padding=1))
        assert described.input is not None
        assert (described.input["channels"], described.input["divisor"]) == (2, 1)

    def test_example_is_tried_first(self):
        module = Lambda(lambda x: x[:, :2] if x.shape[1:] == (7, 48, 40) else x.missing())
        described, said = found(module, torch.rand(2, 7, 48, 40))
        assert any("takes images of 48 × 40 only" in line for line in said)
        assert described.input is not None
        assert described.input["channels"] == 7

    def test_nothing_works(self):
        def fail(x: Tensor) -> Tensor:
            raise ValueError("never")

        with pytest.raises(NetworkError, match=r"ran on none of the inputs tried \(3 channel.*\n.*never"):
            describe(Network(module=Lambda(fail)))
