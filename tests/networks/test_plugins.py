"""Kinds of networks out of other packages: installed as a distribution, found by suffix, by class and by zoo's name.

The package is the page's own: docs/how-to/adding-a-kind-of-network.md says what is here installed.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from seglens.networks import LOADERS

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "adding-a-kind-of-network.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
TOLD = {"width": 8, "classes": ["ground", "thing", "sky"], "mean": [0.5], "std": [0.25]}
ZOO = """

def lab_model(name, arguments, download):
    if not download:
        raise NetworkError("nothing was to be built")
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, arguments.get("classes", 2), 1))
    return Loaded(module, {"mean": [0.5], "std": [0.5]}, fields={"name": name})
"""


def entry_points() -> str:
    """The page's lines of pyproject.toml as an installer writes them."""
    toml = next(code for language, code in BLOCKS if language == "toml")
    lines: list[str] = []
    for line in toml.splitlines():
        if group := re.match(r'\[project\.entry-points\."(.+)"\]', line):
            lines.append(f"[{group[1]}]")
        elif entry := re.match(r'(\w+) = "([^"]+)"', line):
            lines.append(f"{entry[1]} = {entry[2]}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as site-packages has it: the package, and the metadata of its distribution."""
    site = tmp_path_factory.mktemp("site")
    (site / "lab").mkdir()
    (site / "lab" / "__init__.py").write_text("")
    code = [code for language, code in BLOCKS if language == "python"]
    (site / "lab" / "seglens.py").write_text(code[0] + code[1] + ZOO)
    info = site / "lab-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points())
    return site


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network in the lab's own file, a damaged one, and a picture."""
    folder = tmp_path_factory.mktemp("work")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))
    save_file(net.state_dict(), folder / "small.labnet", {"lab": json.dumps(TOLD)})
    (folder / "broken.labnet").write_bytes(b"nothing of the kind")
    pixels = torch.randint(0, 256, (16, 16, 3), generator=torch.Generator().manual_seed(0))
    Image.fromarray(pixels.numpy().astype(np.uint8)).save(folder / "a.png")
    return folder


def python(code: str, installed: Path, folder: Path) -> str:
    """What a new process prints in which the package is installed."""
    env = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    told = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_in_about_twenty_lines():
    loader, adapter = [code for language, code in BLOCKS if language == "python"][:2]
    assert len(loader[loader.index("def load_labnet") :].strip().splitlines()) <= 20
    assert len(adapter.strip().splitlines()) <= 20


def test_a_file_an_object_and_a_name(installed: Path, folder: Path):
    code = """
import sys
import numpy as np, torch, seglens as sl
net = sl.load("streets-unet")
assert "lab.seglens" not in sys.modules, "a plugin was imported before it was needed"
from_file = sl.load("small.labnet")
assert "lab.seglens" in sys.modules
from lab.seglens import LabNetwork
lab = LabNetwork(from_file.module, ["ground", "thing", "sky"], [0.5], [0.25])
maps = []
for network in (from_file, sl.load(lab)):
    assert network.convention.std == (0.25,)
    why = sl.explain(network, "a.png", sl.GradCAM("0", relu=False), sl.Target("sky", sl.everything))
    assert np.abs(why.map).max() > 0, "the tap saw nothing"
    maps.append(why.map)
np.testing.assert_array_equal(*maps)
print(network.name, *why.classes.names)
named = sl.load("lab:small", arguments={"classes": 5}, download=True)
print(named.name, named.module[2].out_channels)
for wrong in ("broken.labnet", "lab:small", 3):
    try:
        sl.load(wrong)
    except sl.SeglensError as said:
        print(type(said).__name__, str(said).splitlines()[0])
"""
    said = python(code, installed, folder).splitlines()
    assert said[:2] == ["lab network ground thing sky", "small 5"]
    assert said[2].startswith("NetworkError broken.labnet is no .labnet file, or is damaged")
    assert said[3].startswith("NetworkError lab:small names a model without its weights")
    assert said[4].startswith("NetworkError a network is a torch module")


def test_on_the_command_line(installed: Path, folder: Path):
    code = """
import sys
from seglens.cli import main
for line in ("layers small.labnet --json", "explain small.labnet a.png --class sky --method saliency --out a.npz -q"):
    sys.argv = ["seglens", *line.split()]
    try:
        main()
    except SystemExit as end:
        assert not end.code, line
"""
    said = python(code, installed, folder)
    assert [layer["path"] for layer in json.loads(said)["layers"]] == ["", "0", "1", "2"]
    assert (folder / "a.npz").is_file()


def test_without_the_package_the_suffix_is_unknown(folder: Path):
    assert "labnet" not in LOADERS
    import seglens as sl

    with pytest.raises(sl.SeglensError, match=r"no loader takes|is no file that"):
        sl.load(folder / "small.labnet")
