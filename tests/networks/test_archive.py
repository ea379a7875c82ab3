"""Nothing in a `.pt2` gets to run, and nothing damaged gets half way."""

import json
import logging
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pt2 import Bomb, Small, changed, exported, opened, same, saved
from torch import Tensor, nn

from seglens.core.errors import NetworkError, UnsafeFileError
from seglens.networks.program import checked_program


@pytest.fixture(scope="module")
def net() -> Small:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def static(net: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(net, tmp_path_factory.mktemp("pt2") / "static.pt2")


class TestSafety:
    @pytest.mark.parametrize("new_format", [True, False])
    @pytest.mark.parametrize("member", ["data/sample_inputs/model.pt", "data/weights/model.pt"])
    def test_hidden_pickle_never_runs(self, static: Path, tmp_path: Path, member: str, new_format: bool):
        marker = tmp_path / "ran"
        payload = saved(((Bomb(marker),), {}), new_format)

        def swap(name: str, data: bytes) -> bytes | None:
            return None if name == member else data

        path = changed(static, tmp_path / "bomb.pt2", swap, **{member: payload})
        with pytest.raises(UnsafeFileError, match=r"bomb\.pt2 \(its part .*\n.*trust=True") as refused:
            opened(path)
        assert "touch" in str(refused.value) or "getattr" in str(refused.value)
        assert not marker.exists()

    def test_the_bomb_would_go_off(self, static: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        marker = tmp_path / "ran"
        payload = saved(((Bomb(marker),), {}))
        path = changed(
            static,
            tmp_path / "bomb.pt2",
            lambda name, data: payload if name.startswith("data/sample_inputs") else data,
        )
        caplog.set_level(logging.CRITICAL)
        opened(path, trust=True)
        assert marker.exists()

    def test_bare_pickle_is_refused(self, static: Path, tmp_path: Path):
        marker = tmp_path / "ran"
        path = changed(
            static,
            tmp_path / "bomb.pt2",
            lambda name, data: pickle.dumps(Bomb(marker)) if "sample_inputs" in name else data,
        )
        with pytest.raises(NetworkError):
            opened(path)
        assert not marker.exists()

    def test_pickled_weight_is_rewritten_or_refused(self, static: Path, tmp_path: Path, net: Small):
        marker = tmp_path / "ran"

        def pickled(payload: bytes) -> Callable[[str, bytes], bytes]:
            def change(name: str, data: bytes) -> bytes:
                if name == "data/weights/model_weights_config.json":
                    config = json.loads(data)
                    config["config"]["scale"]["use_pickle"] = True
                    self.place = "data/weights/" + config["config"]["scale"]["path_name"]
                    return json.dumps(config).encode()
                return data

            members = {}
            with zipfile.ZipFile(static) as source:
                for name in source.namelist():
                    members[name.partition("/")[2]] = source.read(name)
            change("data/weights/model_weights_config.json", members["data/weights/model_weights_config.json"])
            return lambda name, data: payload if name == self.place else change(name, data)

        good = changed(static, tmp_path / "good.pt2", pickled(saved(nn.Parameter(torch.full((1,), 3.0)))))
        x = torch.rand(1, 3, 16, 16)
        torch.testing.assert_close(opened(good)(x), net(x) * 3)
        bad = changed(static, tmp_path / "bad.pt2", pickled(saved(Bomb(marker))))
        with pytest.raises(UnsafeFileError):
            opened(bad)
        assert not marker.exists()

    def test_opaque_constant_is_refused(self, static: Path, tmp_path: Path):
        marker = tmp_path / "ran"

        def change(name: str, data: bytes) -> bytes:
            if name == "data/constants/model_constants_config.json":
                config = json.loads(data)
                entry = next(iter(config["config"].values()))
                config["config"]["evil"] = {**entry, "path_name": "opaque_obj_0", "use_pickle": True}
                return json.dumps(config).encode()
            return data

        bomb = {"data/constants/opaque_obj_0": pickle.dumps(Bomb(marker))}
        with pytest.raises(UnsafeFileError, match="'data/constants/opaque_obj_0', which can only be unp"):
            opened(changed(static, tmp_path / "a.pt2", change, **bomb))
        with pytest.raises(UnsafeFileError, match="something that is no part of a network"):
            opened(changed(static, tmp_path / "b.pt2", same, **bomb))
        assert not marker.exists()

    def test_compiled_code_is_refused(self, static: Path, tmp_path: Path):
        path = changed(static, tmp_path / "a.pt2", same, **{"data/aotinductor/m/x.so": b"\x7fELF"})
        with pytest.raises(UnsafeFileError, match=r"compiled code \('data/aotinductor/m/x\.so'\)"):
            opened(path)

    def test_two_members_of_one_name_are_refused(self, static: Path, tmp_path: Path):
        path = tmp_path / "a.pt2"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            changed(static, path, same, **{"models/model.json": b"{}"})
        with pytest.raises(UnsafeFileError, match="two members of one name"):
            opened(path)

    @pytest.mark.parametrize(
        ("key", "evil", "said"),
        [
            ("target", "torch.os.system", "it calls 'torch.os.system'"),
            ("target", "torch.ops.aten.from_file.default", "it calls 'torch.ops.aten.from_file.default'"),
            ("target", "torch.ops.aten.save", "it calls"),
            ("target", "torch.ops.load_library", "it calls"),
            ("target", "torch.ops.aten.__class__", "it calls"),
            ("target", "_operator.attrgetter", "it calls"),
            ("name", 'x");print(1)#', "where a plain name is expected"),
        ],
    )
    def test_words_of_the_graph(self, static: Path, tmp_path: Path, key: str, evil: str, said: str):
        def change(name: str, data: bytes) -> bytes:
            if name == "models/model.json":
                program = json.loads(data)
                program["graph_module"]["graph"]["nodes"][0][key] = evil
                return json.dumps(program).encode()
            return data

        with pytest.raises(UnsafeFileError, match="could run code when opened") as refused:
            opened(changed(static, tmp_path / "a.pt2", change))
        assert said in str(refused.value)

    def test_size_that_is_python_never_runs(self, net: Small, tmp_path: Path):
        """Without a pickle in the file: torch hands sizes to sympy, which evaluates them."""
        marker = tmp_path / "ran"
        side = torch.export.Dim.AUTO
        path = exported(net, tmp_path / "a.pt2", 2, dynamic_shapes=({0: side, 2: side, 3: side},))

        def change(name: str, data: bytes) -> bytes:
            if name != "models/model.json":
                return data
            before, _, rest = data.decode().partition('"expr_str": "')
            after = rest.partition('"')[2]
            evil = f"__import__('pathlib').Path('{marker}').touch() or 2"
            return f'{before}"expr_str": "{evil}"{after}'.encode()

        bomb = changed(path, tmp_path / "bomb.pt2", change)
        with pytest.raises(UnsafeFileError, match="stands for a size, and is more than arithmetic"):
            opened(bomb)
        assert not marker.exists()
        opened(bomb, trust=True)
        assert marker.exists()  # the bomb was live

    @pytest.mark.parametrize(
        "expression",
        [
            "__import__('os').system('true')",
            "exec('1')",
            "Symbol('s0').__class__",
            "Add(\"__import__('os')\", 1)",
            "Add('open', 1)",
            "[x for x in (1,)]",
            "lambda: 0",
            "'s0'",
            "Symbol(name='s0; import os')",
            "s0; s1",
        ],
    )
    def test_sizes_are_arithmetic(self, expression: str):
        raw = json.dumps({"a": {"as_expr": {"expr_str": expression}}}).encode()
        with pytest.raises(UnsafeFileError, match="stands for a size"):
            checked_program(raw, "a.pt2")
        with pytest.raises(UnsafeFileError, match="stands for a size"):
            checked_program(json.dumps({"range_constraints": {expression: 1}}).encode(), "a.pt2")

    @pytest.mark.parametrize("expression", ["s0", "8*s39", "Mul(Integer(8), Symbol('s3', integer=True))"])
    def test_arithmetic_passes(self, expression: str):
        raw = json.dumps({"a": {"expr_str": expression}}).encode()
        assert json.loads(checked_program(raw, "a"))["a"]["expr_str"] == expression

    @pytest.mark.parametrize(
        ("structure", "said"),
        [
            ({"type": "collections.defaultdict", "context": "{}"}, "'collections.defaultdict'; expected"),
            ({"type": "builtins.dict", "context": '[{"__enum__": true, "fqn": "os:x"}]'}, "__enum__"),
        ],
    )
    def test_structures_are_plain_containers(self, structure: dict[str, object], said: str):
        spec = json.dumps([1, {**structure, "children_spec": []}])
        with pytest.raises(UnsafeFileError) as refused:
            checked_program(json.dumps({"in_spec": spec}).encode(), "a.pt2")
        assert said in str(refused.value)
        with pytest.raises(UnsafeFileError, match="is no JSON"):
            checked_program(b'{"in_spec": "import os"}', "a.pt2")

    def test_guards_and_metadata_are_left_out(self):
        raw = {"guards_code": ["__import__('os')"], "metadata": {"custom": "x('y')", "nn_module_stack": "a,,B"}}
        kept = json.loads(checked_program(json.dumps(raw).encode(), "a"))
        assert kept == {"guards_code": [], "metadata": {"nn_module_stack": "a,,B"}}
        with pytest.raises(UnsafeFileError, match="a layer has the name"):
            checked_program(b'{"metadata": {"nn_module_stack": "a\\nimport os"}}', "a")


class TestDamaged:
    @pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
    def test_cut_short(self, static: Path, tmp_path: Path, part: float):
        whole = static.read_bytes()
        (tmp_path / "a.pt2").write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(NetworkError, match=r"a\.pt2 is damaged or cut short"):
            opened(tmp_path / "a.pt2")

    def test_bits_flipped_are_one_error_or_none(self, static: Path, tmp_path: Path):
        whole = static.read_bytes()
        for at in range(50, len(whole), len(whole) // 12):
            flipped = bytearray(whole)
            flipped[at] ^= 0xFF
            (tmp_path / "a.pt2").write_bytes(flipped)
            try:
                opened(tmp_path / "a.pt2")
            except NetworkError:
                continue

    @pytest.mark.parametrize(
        ("left_out", "said"),
        [("models/model.json", "holds no exported program"), ("data/weights/weight_0", "cannot be read")],
    )
    def test_member_missing(self, static: Path, tmp_path: Path, left_out: str, said: str):
        path = changed(static, tmp_path / "a.pt2", lambda n, d: None if n == left_out else d)
        with pytest.raises(NetworkError, match=said):
            opened(path)

    def test_graph_is_no_json(self, static: Path, tmp_path: Path):
        for text, said in ((b"{", "its graph is no JSON"), (b"[]", "its graph is a list")):
            path = changed(static, tmp_path / "a.pt2", lambda n, d, t=text: t if "models" in n else d)
            with pytest.raises(NetworkError, match=said):
                opened(path)

    def test_compressed(self, static: Path, tmp_path: Path):
        with zipfile.ZipFile(static) as source, zipfile.ZipFile(tmp_path / "a.pt2", "w", 8) as target:
            for name in source.namelist():
                target.writestr(name, source.read(name))
        with pytest.raises(NetworkError, match=r"is a compressed archive, which torch\.export\.save does"):
            opened(tmp_path / "a.pt2")

    def test_no_image(self, tmp_path: Path):
        class Scalar(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return x * 2

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.save(torch.export.export(Scalar(), (torch.ones(3),)), tmp_path / "a.pt2")
        with pytest.raises(NetworkError, match="takes no image: its first input is no tensor"):
            opened(tmp_path / "a.pt2")


class TestOlderLayouts:
    @pytest.fixture
    def old(self, static: Path, tmp_path: Path) -> Path:
        """The layout that torch 2.6 and 2.7 wrote: flat, weights and constants pickled."""
        with zipfile.ZipFile(static) as source:
            program = source.read("static/models/model.json")
            inputs = source.read("static/data/sample_inputs/model.pt")
        loaded = torch.export.load(static)
        with zipfile.ZipFile(tmp_path / "old.pt2", "w") as target:
            target.writestr("version", "8.20")
            target.writestr("serialized_exported_program.json", program)
            target.writestr("serialized_state_dict.pt", saved(dict(loaded.state_dict)))
            target.writestr("serialized_constants.pt", saved(dict(loaded.constants)))
            target.writestr("serialized_example_inputs.pt", inputs)
            target.writestr("extra_files/notes.txt", "left out")
        return tmp_path / "old.pt2"

    def test_flat_layout(self, net: Small, old: Path):
        x = torch.rand(2, 3, 16, 16)
        torch.testing.assert_close(opened(old)(x), net(x))

    @pytest.mark.parametrize("part", ["state_dict", "constants", "example_inputs"])
    def test_flat_layout_with_a_bomb(self, old: Path, tmp_path: Path, part: str):
        marker = tmp_path / "ran"
        with zipfile.ZipFile(old) as source, zipfile.ZipFile(tmp_path / "a.pt2", "w") as target:
            for name in source.namelist():
                data = saved({"x": Bomb(marker)}) if part in name else source.read(name)
                target.writestr(name, data)
        with pytest.raises(UnsafeFileError):
            opened(tmp_path / "a.pt2")
        assert not marker.exists()

    def test_weights_in_one_pickle(self, static: Path, tmp_path: Path, net: Small):
        """As torch 2.8 wrote them."""
        loaded = torch.export.load(static)
        path = changed(
            static,
            tmp_path / "a.pt2",
            lambda name, data: None if name.startswith(("data/weights", "data/constants")) else data,
            **{
                "data/weights/model.pt": saved(dict(loaded.state_dict)),
                "data/constants/model.pt": saved(dict(loaded.constants)),
            },
        )
        x = torch.rand(2, 3, 16, 16)
        torch.testing.assert_close(opened(path)(x), net(x))
