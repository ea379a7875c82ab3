"""Sets, uploads, truths and masks: what is taken, as what it is shown, and what is refused."""

import io
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from page_client import UPLOAD, Page
from PIL import Image

from seglens.datasets.streets import COLOURS, Streets


def png(picture: Image.Image, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    picture.save(out, form)
    return out.getvalue()


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def huge() -> bytes:
    """A small PNG that says that it is 60000 × 60000."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    size = (60000).to_bytes(4, "big")
    head = chunk(b"IHDR", size + size + bytes([8, 0, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def folder(page: Page) -> str:
    """Id of the set of the folder images/."""
    root = page.get("/api/session")["roots"][0]["id"]
    return page.post("/api/sets", {"root": root, "path": "images"})["id"]


def test_a_folder_is_a_set_whose_truth_is_found_by_name(page: Page, folder: str, given: Path) -> None:
    infos = page.get(f"/api/sets/{folder}/images")
    assert [(i["name"], i["truth"]) for i in infos] == [
        ("street0.png", True),
        ("street1.png", True),
        ("street2.png", False),
    ]
    assert {(i["width"], i["height"]) for i in infos} == {(96, 48)}
    assert page.get(f"/api/sets/{folder}/images?offset=1&limit=1") == infos[1:2]
    first = infos[0]["id"]
    shown = page.send("GET", f"/api/images/{first}/picture")
    assert shown.headers["content-type"] == "image/png"
    assert np.array_equal(opened(shown.body), opened((given / "root/images/street0.png").read_bytes()))
    truth = page.send("GET", f"/api/images/{first}/truth")
    labels = opened((given / "root/labels/street0.png").read_bytes())
    assert truth.headers["x-shape"] == "48,96"
    assert np.array_equal(np.frombuffer(truth.body, truth.headers["x-dtype"]).reshape(48, 96), labels)
    assert page.send("GET", f"/api/images/{infos[2]['id']}/truth").status == 404
    small = opened(page.send("GET", f"/api/images/{first}/thumbnail").body)
    assert max(small.shape) <= 224


def test_a_truth_of_another_size_is_none_and_says_so(page: Page, net: str, given: Path) -> None:
    scenes = [Streets(3, (48, 96), seed=9)[i] for i in range(3)]
    for name in ("images", "labels"):
        (given / "root/unfit" / name).mkdir(parents=True)
    for i, (scene, size) in enumerate(zip(scenes, ((48, 96), (24, 96), (48, 96)), strict=True)):
        Image.fromarray(scene.image).save(given / f"root/unfit/images/p{i}.png")
        label = given / f"root/unfit/labels/p{i}.png"
        Image.fromarray(scene.labels[: size[0]]).save(label)
    label.write_bytes(label.read_bytes()[:20])
    root = page.get("/api/session")["roots"][0]["id"]
    set = page.post("/api/sets", {"root": root, "path": "unfit/images"})["id"]
    fits, small, cut = page.get(f"/api/sets/{set}/images")
    assert (fits["truth"], small["truth"], cut["truth"]) == (True, False, False)
    assert "unfit" not in fits
    assert small["unfit"].startswith("the truth p1.png is 24 × 96 (height × width), p1.png is 48 × 96:")
    assert "p2.png" in cut["unfit"]
    found = page.ask("evaluate", network=net, set=set)["meta"]
    assert [one["name"] for one in found["images"]] == ["p0.png"]
    assert [one["image"] for one in found["failures"]] == ["p1.png", "p2.png"]
    given_now = page.send("PUT", f"/api/images/{small['id']}/truth", png(Image.fromarray(scenes[1].labels)))
    assert given_now.json["truth"] is True
    assert "unfit" not in given_now.json


def test_built_in_pictures_are_those_of_the_data_set(page: Page) -> None:
    scene = Streets(64, (192, 384), seed=2)[7]
    answer = page.send("GET", "/api/images/streets-7/picture")
    assert np.array_equal(opened(answer.body), scene.image)
    truth = page.send("GET", "/api/images/streets-7/truth")
    assert np.array_equal(np.frombuffer(truth.body, np.uint8).reshape(192, 384), scene.labels)
    assert len(page.get("/api/sets/streets/images")) == 64


def test_an_upload_is_a_picture_that_can_be_asked_about(page: Page, net: str) -> None:
    scene = Streets(1, (48, 96), seed=9)[0]
    answer = page.send("PUT", "/api/uploads?name=..%2F..%2Fmy%20street.png", png(Image.fromarray(scene.image)))
    assert answer.status == 200
    info = answer.json
    assert info["name"] == "my_street.png"
    assert (info["set"], info["truth"]) == ("uploads", False)
    again = page.send("PUT", "/api/uploads?name=other.png", png(Image.fromarray(scene.image))).json
    assert again["id"] == info["id"]
    assert "uploads" in {s["id"] for s in page.get("/api/sets")}
    assert page.failed("mistakes", network=net, image=info["id"])["kind"] == "ImageError"
    small = page.send("PUT", f"/api/images/{info['id']}/truth", png(Image.fromarray(scene.labels[:10])))
    assert small.json["kind"] == "ShapeError"
    lossy = page.send("PUT", f"/api/images/{info['id']}/truth", png(Image.fromarray(scene.labels), "JPEG"))
    assert lossy.status == 415
    taken = page.send("PUT", f"/api/images/{info['id']}/truth", png(Image.fromarray(scene.labels)))
    assert taken.json["truth"] is True
    found = page.ask("mistakes", network=net, image=info["id"])
    status, labels = page.array(found, "status"), page.array(found, "truth")
    assert np.array_equal(labels, scene.labels)
    assert found["meta"]["wrong"] == (status == 1).sum()
    said = page.array(page.ask("segment", network=net, image=info["id"]), "labels")
    assert np.array_equal(status == 0, said == labels)
    first = found["meta"]["regions"][0]
    target = {"channel": first["predicted"], "region": first["region"]}
    why = page.ask("explain", network=net, image=info["id"], method="saliency", parameters={}, target=target)
    assert page.array(why, "region").sum() == first["pixels"]


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 415, "no image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", 415, "no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "no image"),
        (b"GIF89a", 415, ""),
        (png(Image.fromarray(np.zeros((300, 300, 3), np.uint8)))[:200], 415, "damaged"),
        (huge(), 413, "pixels"),
        (png(Image.fromarray(np.zeros((1001, 1000), np.uint8))), 413, "pixels"),
        (bytes(UPLOAD + 1), 413, "bytes"),
    ],
    ids=["empty", "svg", "eps", "gif", "cut", "bomb", "large", "long"],
)
def test_an_upload_that_is_no_picture_or_too_large_is_refused(page: Page, data: bytes, status: int, words: str) -> None:
    before = page.get("/api/sets/uploads/images")
    answer = page.send("PUT", "/api/uploads?name=x.png", data)
    assert answer.status == status, answer.body
    assert words in answer.json["message"]
    assert page.get("/api/sets/uploads/images") == before


def test_an_upload_without_a_stated_length_is_bounded_too(page: Page) -> None:
    def parts():
        for _ in range(40):
            yield bytes(UPLOAD // 20)

    answer = page.send("PUT", "/api/uploads?name=x.png", parts())
    assert answer.status == 413


def test_a_drawn_mask_is_a_region_and_can_be_removed(page: Page, net: str) -> None:
    mask = np.zeros((192, 384), np.uint8)
    mask[120:180, 100:300] = 1
    kept = page.send("PUT", "/api/masks?height=192&width=384", mask.tobytes()).json["id"]
    asked = {"network": net, "image": "streets-3"}
    region = f"mask('{kept}')"
    why = page.ask("explain", **asked, method="saliency", parameters={}, target={"channel": "road", "region": region})
    # On the network's input grid, half as fine as the picture here.
    assert np.array_equal(page.array(why, "region"), mask)
    assert why["meta"]["target"] == f"road in {region}"
    gone = page.ask("verify", **asked, target={"channel": "rider"}, what="mask", mask=kept, fill="black")
    assert np.array_equal(page.array(gone, "removed"), mask)
    assert not page.array(gone, "picture")[mask == 1].any()
    assert gone["meta"]["removed"] == mask.sum()
    before, after = page.array(gone, "before"), page.array(gone, "after")
    assert sum(c["before"] for c in gone["meta"]["change"]) == before.size
    assert sum(c["after"] for c in gone["meta"]["change"]) == after.size


@pytest.mark.parametrize(
    ("query", "length"), [("height=4&width=4", 15), ("height=0&width=4", 0), ("", 4), ("height=99999&width=99999", 4)]
)
def test_a_mask_of_another_length_is_refused(page: Page, query: str, length: int) -> None:
    assert page.send("PUT", f"/api/masks?{query}", bytes(length)).status == 422


def test_a_picture_that_is_damaged_is_listed_with_what_is_wrong(page: Page, given: Path) -> None:
    place = given / "root" / "bad"
    place.mkdir(exist_ok=True)
    (place / "cut.png").write_bytes(png(Image.fromarray(np.zeros((60, 60, 3), np.uint8)))[:40])
    root = page.get("/api/session")["roots"][0]["id"]
    bad = page.post("/api/sets", {"root": root, "path": "bad"})["id"]
    (info,) = page.get(f"/api/sets/{bad}/images")
    assert "damaged" in info["problem"] or "no image" in info["problem"]
    assert page.send("GET", f"/api/images/{info['id']}/thumbnail").status == 415
    answer = page.send("POST", "/api/sets", json.dumps({"root": root, "path": "bad/cut.png"}))
    assert answer.status == 422


def test_a_truth_in_the_colours_of_the_classes_is_read_by_them(page: Page, net: str) -> None:
    scene = Streets(1, (48, 96), seed=11)[0]
    colours = np.array(COLOURS, np.uint8)[scene.labels]
    id = page.send("PUT", "/api/uploads?name=coloured.png", png(Image.fromarray(scene.image))).json["id"]
    assert page.send("PUT", f"/api/images/{id}/truth", png(Image.fromarray(colours))).json["truth"] is True
    answer = page.send("GET", f"/api/images/{id}/truth?network={net}")
    assert answer.status == 200, answer.body
    assert answer.headers["x-shape"] == "48,96"
    assert np.array_equal(np.frombuffer(answer.body, np.uint8).reshape(48, 96), scene.labels)
    assert np.array_equal(page.array(page.ask("mistakes", network=net, image=id), "truth"), scene.labels)
    without = page.send("GET", f"/api/images/{id}/truth")
    assert (without.status, "network" in without.json["message"]) == (415, True)
    colours[3, 5:9] = (1, 2, 3)
    page.send("PUT", f"/api/images/{id}/truth", png(Image.fromarray(colours)))
    asked = page.send("GET", f"/api/images/{id}/truth?network={net}").json
    for fault in (asked, page.failed("mistakes", network=net, image=id)):
        assert fault["kind"] == "ImageError"
        assert "(1, 2, 3): 4 px" in fault["message"]
