"""seglens activations: what is printed, what is written, and what is refused."""

import json
from pathlib import Path

import pytest
import typed
from typed import NETWORK, flat

pytestmark = pytest.mark.usefixtures("street")


def run(*words: object, code: int = 0) -> str:
    return typed.run("activations", NETWORK, "street.png", *words, code=code)


def told(*words: object) -> dict:
    return json.loads(run(*words, "--json", "--format", "npz"))


def test_json_is_a_stable_interface() -> None:
    found = told("-c", "road", "--strongest", 3)
    keys = ["network", "source", "image", "layer", "grid", "total", "silent", "order", "target", "score", "of", "unit"]
    assert list(found) == [*keys, "sum_of_contributions", "channels", "notes", "files"]
    assert [c["rank"] for c in found["channels"]] == [1, 2, 3]
    for channel in found["channels"]:
        assert list(channel) == ["index", "contribution", "rank", "mean", "minimum", "maximum", "size", "silent"]
    assert found["files"] == ["explanations/street.road.activations.bottleneck.npz"]
    assert Path(found["files"][0]).is_file()


def test_a_table_of_the_strongest_within_eighty_columns() -> None:
    text = run("-c", "road", "-l", "encoder.block1", "-o", "maps.html")
    assert max(map(len, text.splitlines())) <= 80
    assert "encoder.block1 of streets-unet on street.png" in text
    assert "road in predicted(road), score" in text
    assert "16 of 16 channels" in text
    assert "→ maps.html" in text
    assert "→ maps.html (replaced)" in run("-c", "road", "-l", "encoder.block1", "-o", "maps.html")


def test_which_channels() -> None:
    assert [c["index"] for c in told()["channels"]] == list(range(96))
    assert len(told("-c", "road")["channels"]) == 16
    assert len(told("-c", "road", "--all")["channels"]) == 96
    assert [c["index"] for c in told("-k", 7, "-k", 2)["channels"]] == [7, 2]
    sizes = [c["size"] for c in told("--order", "size", "--strongest", 4)["channels"]]
    assert sizes == sorted(sizes, reverse=True)
    assert "and 76 more" in run("--format", "npz")
    without = told("-k", 7)
    assert without["target"] is None
    assert without["score"] is None
    assert without["channels"][0]["contribution"] is None


def test_a_region_and_a_second_class() -> None:
    found = told("-c", "road", "--against", "sidewalk", "--region", "box(0, 0, 20, 20)", "--reduce", "sum")
    assert found["target"] == "sum of road - sidewalk in box(0, 0, 20, 20)"
    assert "in-box-0-0-20-20" in found["files"][0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--all", "--strongest", "3"], "not several"),
        (["--order", "best"], "contribution, size, index"),
        (["--region", "pixel(1, 1)"], "name the class"),
        (["-o", "street.png"], "one of the inputs"),
        (["-o", "maps.pmg"], "'png'"),
        (["--format", "pmg"], "'png'"),
        (["-o", "maps.png", "--format", "pdf"], "tells the format already"),
    ],
)
def test_usage_errors_exit_with_2(words: list[str], said: str) -> None:
    assert said in flat(run(*words, code=2))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-k", "999"], "no channel 999"),
        (["-l", "encoder.blok4"], "Nearest: 'encoder.block4'"),
        (["-c", "raod"], "Nearest: 'road'"),
        (["--strongest", "3"], "--class"),
    ],
)
def test_errors_exit_with_1_and_write_nothing(words: list[str], said: str) -> None:
    text = run(*words, code=1)
    assert said in text
    assert "Traceback" not in text
    assert not Path("explanations").exists()


def test_explain_takes_the_method_too() -> None:
    words = ["explain", NETWORK, "street.png", "-m", "activation", "-l", "bottleneck", "--channel", "5"]
    (one,) = json.loads(typed.run(*words, "--json", "--format", "npz"))["explanations"]
    assert one["parameters"] == {"layer": "bottleneck", "channel": 5, "rank": 1}
    assert one["score"] is None
    assert one["unit"] == "activation"
    assert one["files"] == ["explanations/street.activation.bottleneck.npz"]


def test_explain_says_which_channel_is_shown() -> None:
    told = run("-c", "road", "--strongest", "1", "--json", "--format", "npz")
    (first,) = json.loads(told)["channels"]
    words = ["explain", NETWORK, "street.png", "-o", "x.npz", "-m", "activation"]
    text = typed.run(*words, "-c", "road", "-m", "grad-cam")
    assert max(map(len, text.splitlines())) <= 80
    # Too long for one line, so that it stands below its method's, and before the next one's.
    below = f"    channel {first['index']}, contribution {words_of(first['contribution'])}\n  grad-cam at bottleneck"
    assert below in text
    assert "activation at bottleneck, in units of activation, channel 5\n" in typed.run(*words, "--channel", 5)


def words_of(number: float) -> str:
    return f"{number:.4g}".replace("-", "−")
