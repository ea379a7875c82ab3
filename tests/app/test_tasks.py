"""What tasks give is what the library gives: each is asked once over HTTP and once in Python."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from page_client import Page
from PIL import Image

import seglens as sl
from seglens.run.shipped import shipped_picture

pytestmark = pytest.mark.filterwarnings("ignore::seglens.core.errors.SeglensWarning")
IMAGE = "streets-3"


@pytest.fixture(scope="module")
def street() -> np.ndarray:
    return np.asarray(shipped_picture("streets", 3).image)


def test_the_session_says_what_there_is(page: Page, net: str) -> None:
    session = page.get("/api/session")
    assert session["start"] == {"network": net, "image": IMAGE}
    assert {b["name"] for b in session["builtin"]} >= {"streets-unet", "faces-cvae"}
    assert {s["id"]: s["size"] for s in session["sets"] if s["origin"] == "built in"} == {"streets": 64, "faces": 64}
    methods = {m["name"]: m for m in session["methods"]}
    assert set(methods) >= set(sl.METHODS)
    assert [m for m, card in methods.items() if card["iterative"]] == ["context-saliency", "grid-saliency"]
    assert methods["saliency"]["fast"]
    assert not methods["rise"]["fast"]
    assert [m for m, card in methods.items() if not card["takes_target"]] == ["fusion-map"]
    assert [m for m, card in methods.items() if card["needs_context"]] == ["context-saliency"]
    assert {k: len(v) for k, v in session["colours"].items()} == {"sequential": 256, "diverging": 256}
    (known,) = (n for n in session["networks"] if n["id"] == net)
    assert (known["task"], known["exclusive"], known["default_layer"]) == ("segment", True, "bottleneck")
    assert [c["name"] for c in known["classes"]][:2] == ["road", "sidewalk"]


def test_maps_and_segmentations_are_the_library_s(page: Page, net: str, street: np.ndarray) -> None:
    target = {"channel": "rider", "against": "person", "region": "predicted(rider)", "of": "probabilities"}
    asked = {"network": net, "image": IMAGE, "method": "hires-cam", "parameters": {"relu": False}, "target": target}
    found = page.ask("explain", **asked)
    method = sl.HiResCAM(relu=False)
    question = sl.Target(sl.channel("rider") - sl.channel("person"), sl.predicted("rider"), of="probabilities")
    e = sl.explain("streets-unet", street, method, question)
    assert isinstance(e, sl.Explanation)
    assert found["meta"]["score"] == pytest.approx(e.score, rel=1e-5)
    assert found["meta"]["signed"] is e.signed
    assert np.allclose(page.array(found, "map"), e.map, atol=np.abs(e.map).max() / 1000)
    assert np.array_equal(page.array(found, "region"), e.region)
    # The line of Python is one that runs, and gives the same.
    space: dict[str, object] = {}
    exec(found["python"].replace("\nsl.explain", "\nwhy = sl.explain"), space)
    assert np.array_equal(space["why"].map, e.map)  # pyright: ignore
    said = page.ask("segment", network=net, image=IMAGE)
    s = sl.segment("streets-unet", street)
    assert np.array_equal(page.array(said, "labels"), s.labels)
    assert np.allclose(page.array(said, "confidence"), s.confidence, atol=1e-3)
    areas = {c["name"]: c["pixels"] for c in said["meta"]["classes"]}
    assert areas == {f.name: f.pixels for f in sl.find_classes("streets-unet", street)}


def test_files_of_a_result_are_those_that_save_writes(page: Page, net: str, tmp_path: Path) -> None:
    found = page.ask("explain", network=net, image=IMAGE, method="saliency", parameters={}, target={"channel": "car"})
    for suffix, begins in (("png", b"\x89PNG"), ("npz", b"PK"), ("html", b"<!doctype html>"), ("pdf", b"%PDF")):
        answer = page.send("GET", f"/api/results/{found['key']}/file.{suffix}")
        assert answer.body.lower().startswith(begins.lower()), suffix
        assert answer.headers["content-disposition"].startswith("attachment")
        assert "sandbox" in answer.headers["content-security-policy"]
    (tmp_path / "e.npz").write_bytes(page.send("GET", f"/api/results/{found['key']}/file.npz").body)
    e = sl.open(tmp_path / "e.npz")
    assert isinstance(e, sl.Explanation)
    assert np.allclose(page.array(found, "map"), e.map, atol=np.abs(e.map).max() / 1000)
    assert page.send("GET", f"/api/results/{found['key']}/file.exe").status == 404
    labels = page.ask("segment", network=net, image=IMAGE)
    answer = page.send("GET", f"/api/results/{labels['key']}/file.png")
    (tmp_path / "l.png").write_bytes(answer.body)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "l.png")), page.array(labels, "labels"))


def test_the_graph_and_a_layer(page: Page, net: str, street: np.ndarray) -> None:
    graph = page.ask("graph", network=net, image=IMAGE)["meta"]
    expected = sl.network_graph("streets-unet", street).to_dict()
    assert json.loads(json.dumps(expected)) == graph
    layer = page.ask("layer", network=net, image=IMAGE, layer="encoder.block2")
    found = sl.activations("streets-unet", street, "encoder.block2", strongest=24, order="size")
    assert [c["index"] for c in layer["meta"]["channels"]] == [c.index for c in found.channels]
    assert np.allclose(page.array(layer, "maps"), found.maps, atol=float(np.abs(found.maps).max()) / 1000)


def test_what_the_network_receives_and_a_convention_that_does_not_fit(page: Page, net: str) -> None:
    plain = page.ask("receive", network=net, image=IMAGE)["meta"]
    assert plain["shape"] == [1, 3, 96, 192]
    assert plain["output"] == [1, 11, 96, 192]
    assert plain["problem"] is None
    bright = page.ask("receive", network=net, image=IMAGE, description={"input": {"mean": 0.0, "std": 1.0}})["meta"]
    for was, now in zip(plain["channels"], bright["channels"], strict=True):
        assert now["mean"] == pytest.approx(was["mean"] * 0.25 + 0.5, abs=1e-5)
    seen, swapped = (
        page.array(page.ask("receive", network=net, image=IMAGE, description={"input": {"order": order}}), "input")
        for order in ("RGB", "BGR")
    )
    assert np.array_equal(swapped, seen[..., ::-1])
    assert not np.array_equal(swapped, seen)
    wrong = page.ask("receive", network=net, image=IMAGE, description={"input": {"mean": [0.1, 0.2]}})["meta"]
    assert wrong["problem"]["kind"] == "ParameterError"
    assert "2 values for 3 channels" in wrong["problem"]["message"]


def test_a_network_s_own_file_its_description_and_how_it_is_saved(page: Page, given: Path) -> None:
    from safetensors.torch import save_file

    root = page.get("/api/session")["roots"][0]["id"]
    folder = given / "root" / "networks"
    folder.mkdir()
    source = sl.load("streets-unet").module
    save_file(source.state_dict(), folder / "mine.safetensors")
    maker = 'constructor = "seglens.networks.builtin:UNet"\n[input]\nmean = 0.5\nstd = 0.25\ndivisor = 16\n'
    (folder / "mine.toml").write_text(maker)
    listed = page.get(f"/api/files?root={root}&path=networks")
    assert {(e["name"], e["kind"]) for e in listed} == {("mine.safetensors", "network"), ("mine.toml", "other")}
    place = f"{root}:networks/mine.safetensors"
    first = page.ask("open", source=place)["meta"]
    assert (first["source"], first["description_path"]) == (place, "mine.toml")
    assert first["classes"][7]["name"] == "class 7"
    names = [f"kind{i}" for i in range(11)]
    tried = page.ask("describe", network=first["id"], description={"classes": names}, save=False)["meta"]
    assert tried["id"] != first["id"]
    assert tried["classes"][7]["name"] == "kind7"
    assert (folder / "mine.toml").read_text() == maker
    asked = {"image": IMAGE, "method": "saliency", "parameters": {}, "target": {"channel": "kind7"}}
    assert page.ask("explain", network=tried["id"], **asked)["meta"]["target"] == "kind7 in predicted(kind7)"
    saved = page.ask("describe", network=first["id"], description={"classes": names}, save=True)["meta"]
    assert 'constructor = "seglens.networks.builtin:UNet"' in (folder / "mine.toml").read_text()
    opened = page.ask("open", source=place)["meta"]
    assert opened["id"] == saved["id"]
    assert opened["classes"][7]["name"] == "kind7"
    assert opened["description"]["input"]["mean"] == [0.5]


def test_a_built_in_network_s_description_is_not_overwritten(page: Page, net: str) -> None:
    fault = page.failed("describe", network=net, description={}, save=True)
    assert "built in" in fault["message"]


def test_a_network_that_could_run_code_is_refused(page: Page, given: Path) -> None:
    import torch

    class Trap:
        def __reduce__(self):
            return (Path.touch, (given / "sprung",))

    folder = given / "root" / "traps"
    folder.mkdir()
    torch.save({"model": Trap()}, folder / "trap.pth")
    root = page.get("/api/session")["roots"][0]["id"]
    fault = page.failed("open", source=f"{root}:traps/trap.pth")
    assert fault["kind"] == "UnsafeFileError"
    assert fault["message"].endswith("and runs no code of files.")
    assert not (given / "sprung").exists()


def test_the_context_is_verified(page: Page, net: str, street: np.ndarray) -> None:
    target = {"channel": "rider"}
    why = page.ask("explain", network=net, image=IMAGE, method="saliency", parameters={}, target=target)
    asked = {"network": net, "image": IMAGE, "target": target, "what": "salient", "explanation": why["key"]}
    found = page.ask("verify", **asked, share=0.2, fill="black")
    checked = sl.verify("streets-unet", street, "saliency", "rider", share=0.2, fill="black")
    meta = found["meta"]
    assert meta["after"]["probability"] == pytest.approx(checked.after.probability, rel=1e-5)
    assert meta["p_value"] == checked.p_value
    assert len(meta["controls"]["probabilities"]) == 20
    assert np.array_equal(page.array(found, "removed"), checked.removed)
    assert np.array_equal(page.array(found, "after"), checked.after.segmentation.labels)
    rider = next(c for c in meta["change"] if c["name"] == "rider")
    region = why["meta"] and page.array(why, "region") == 1
    assert rider["region_after"] == int(((page.array(found, "after") == 7) & region).sum())


def test_a_set_is_scored_and_its_confusions_name_their_pictures(page: Page, net: str) -> None:
    root = page.get("/api/session")["roots"][0]["id"]
    folder = page.post("/api/sets", {"root": root, "path": "images"})["id"]
    found = page.ask("evaluate", network=net, set=folder)
    meta = found["meta"]
    confusion = np.array(meta["confusion"])
    assert confusion.sum() == 2 * 48 * 96  # the third has no truth
    for cell, behind in meta["cells"].items():
        a, b = map(int, cell.split(":"))
        assert sum(n for _, n, _ in behind) == confusion[a, b]
        assert meta["behind"][cell] == len(behind)
    assert sum(i["wrong"] for i in meta["images"]) == confusion.sum() - np.trace(confusion)
    scored = [i for i in page.get(f"/api/sets/{folder}/images?network={net}") if "scores" in i]
    assert [i["scores"]["mean_iou"] for i in scored] == [i["mean_iou"] for i in meta["images"]]


def test_a_confusion_s_pixels_are_told_as_they_are_scored_and_as_they_are_asked_about(page: Page, net: str) -> None:
    cells = page.ask("evaluate", network=net, set="streets")["meta"]["cells"]
    # Of that picture motorcycle is taken for bicycle; the network sees it at half its size.
    scored, asked = next((n, asked) for id, n, asked in cells["10:9"] if id == IMAGE)
    target = {"channel": "bicycle", "region": "confused(truth=motorcycle, as_=bicycle)"}
    why = page.ask("explain", network=net, image=IMAGE, method="saliency", parameters={}, target=target)
    assert page.array(why, "region").sum() == asked
    picture = shipped_picture("streets", 3)
    whole = sl.evaluate("streets-unet", [picture.image], [picture.truth])
    assert whole.confusion is not None
    assert whole.confusion.counts[10, 9] == scored
    assert (scored, asked) == (322, 288)


def test_the_latent_space_of_a_conditional_autoencoder(page: Page) -> None:
    coder = page.ask("open", source="faces-cvae")["meta"]
    assert coder["task"] == "encode"
    latent = coder["latent"]
    face = shipped_picture("faces", 3)
    seen = page.ask("encode", network=coder["id"], image="faces-3")
    assert seen["meta"]["condition"] == pytest.approx(face.attributes)
    assert len(seen["meta"]["mu"]) == latent["units"]
    assert np.array_equal(page.array(seen, "picture"), np.asarray(face.image))
    z = {"z": seen["meta"]["mu"], "condition": seen["meta"]["condition"]}
    same = page.ask("decode", network=coder["id"], **z)
    assert np.abs(page.array(same, "picture").astype(int) - page.array(seen, "reconstruction")).max() <= 1
    bearded = {**z, "condition": {**z["condition"], "beard": 1.0}}
    other = page.ask("decode", network=coder["id"], **bearded)
    assert np.abs(page.array(other, "picture").astype(int) - page.array(same, "picture")).max() > 20
    assert page.failed("decode", network=coder["id"], z=[0.0])["kind"] == "ParameterError"
    way = page.ask("between", network=coder["id"], a="faces-3", b="faces-4", steps=4)
    assert np.array_equal(page.array(way, "pictures")[0], page.array(same, "picture"))
    assert way["meta"]["shares"] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    looked = page.ask("attend", network=coder["id"], image="faces-3", units=[2, 5])
    expected = sl.latent_attention("faces-cvae", face.image, [2, 5], condition=face.attributes)
    for k, e in enumerate(expected):
        assert np.allclose(page.array(looked, "maps")[k], e.map, atol=1e-3 * np.abs(looked["arrays"]["maps"]["scale"]))


def test_units_are_ranked_over_the_open_set(page: Page, given: Path) -> None:
    coder = page.ask("open", source="faces-vae")["meta"]
    faces = [shipped_picture("faces", i).image for i in range(64)]
    folder = given / "root" / "portraits"
    folder.mkdir()
    for i, face in enumerate(faces[:32]):
        face.save(folder / f"face{i:02}.png")
    root = page.get("/api/session")["roots"][0]["id"]
    own = page.post("/api/sets", {"root": root, "path": "portraits"})["id"]
    for name, pictures in ((own, faces[:32]), ("faces", faces)):
        meta = page.ask("units", network=coder["id"], set=name)["meta"]
        assert (meta["images"], meta["instead"]) == (len(pictures), None)
        found = sl.latent_statistics("faces-vae", pictures, attention=None, slopes=16)
        assert [u["unit"] for u in meta["units"]] == [u.unit for u in found.ranked]
        assert [u["kl"] for u in meta["units"]] == pytest.approx([u.kl for u in found.ranked], rel=1e-5)
        assert [u["sensitivity"] for u in meta["units"]] == pytest.approx(
            [u.sensitivity for u in found.ranked], rel=1e-4
        )


def test_units_are_ranked_over_the_network_s_own_set_where_the_open_one_is_too_small(page: Page) -> None:
    coder = page.ask("open", source="faces-vae")["meta"]
    root = page.get("/api/session")["roots"][0]["id"]
    few = page.post("/api/sets", {"root": root, "path": "images"})["id"]
    found = page.ask("units", network=coder["id"], set=few)
    assert (found["meta"]["images"], found["meta"]["instead"], found["meta"]["enough"]) == (256, "faces", 32)
    expected = sl.latent_statistics("faces-vae", "faces", 256, attention=None, slopes=16)
    assert [u["kl"] for u in found["meta"]["units"]] == pytest.approx([u.kl for u in expected.ranked], rel=1e-5)


def test_a_report_holds_all_of_itself_and_runs_nothing(page: Page, net: str) -> None:
    asked = {"network": net, "image": IMAGE, "method": "saliency", "parameters": {}, "target": {"channel": "car"}}
    why = page.ask("explain", **asked)
    caption = "<script>alert(1)</script> & so on"
    report = page.ask("report", title="<img src=x onerror=alert(1)>", items=[{"key": why["key"], "caption": caption}])
    text = page.send("GET", f"/api/results/{report['key']}/file.html").body.decode()
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; so on" in text
    assert "data:image/png;base64," in text
    assert "http://" not in text
    assert "https://" not in text
    # Numbers as a person reads them; what was painted away has its figure.
    assert f"<dd>{why['meta']['score']:.4g}</dd>".replace("-", "−") in text
    mask = np.zeros((192, 384), np.uint8)
    mask[50:100, 50:100] = 1
    id = page.send("PUT", "/api/masks?height=192&width=384", mask.tobytes()).json["id"]
    gone = page.ask("verify", network=net, image=IMAGE, target={"channel": "car"}, what="mask", mask=id, fill="black")
    report = page.ask("report", title="Without it", items=[{"key": gone["key"], "caption": ""}])
    text = page.send("GET", f"/api/results/{report['key']}/file.html").body.decode()
    data = base64.b64decode(text.partition("data:image/png;base64,")[2].partition('"')[0])
    assert Image.open(io.BytesIO(data)).width > 1000
    kept = np.load(io.BytesIO(page.send("GET", f"/api/results/{gone['key']}/file.npz").body))
    assert np.array_equal(kept["picture-without"], page.array(gone, "picture"))
    assert np.array_equal(kept["prediction-without"], page.array(gone, "after"))
    was, now = (gone["meta"][way]["probability"] for way in ("before", "after"))
    assert f"<dt>p(car)</dt><dd>{was:.4g}, then {now:.4g}</dd>" in text
    missing = page.send(
        "POST", "/api/jobs", json.dumps({"task": "report", "args": {"title": "", "items": [{"key": "0" * 64}]}})
    )
    assert missing.status == 404
