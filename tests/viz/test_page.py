import base64
import re
from hashlib import sha256

import numpy as np
import pytest
from reading import Reader, loads

from seglens.core.cost import Cost
from seglens.core.errors import ParameterError
from seglens.viz.media.store import data_uri
from seglens.viz.page import fragment, page


def test_a_page_is_well_formed_and_loads_nothing(case):
    html = page(case)
    assert Reader(html).open == []
    assert loads(html) == []


def test_the_check_for_what_a_page_loads_can_fail(make):
    html = page([make()])
    evil = ('<a href="http://x.example">', '<p style="color:red">', '<p onclick="f()">', "<style>@import 'x'</style>")
    assert all(loads(html + one) for one in evil)


def test_ids_occur_once(case):
    different = [e for i, e in enumerate(case) if str(e) not in map(str, case[:i])]
    found = [attrs["id"] for _, attrs in Reader(page(different)).tags if "id" in attrs]
    assert len(found) == len(set(found))


def test_the_policy_admits_just_the_pages_own_style_and_script(make):
    html = page([make()])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert policy.startswith("default-src 'none'; img-src data:;")
    for kind in ("style", "script"):
        (inner,) = re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL)
        digest = base64.b64encode(sha256(inner.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_what_comes_from_outside_is_escaped(make):
    evil = '"><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>'
    e = make(
        target=evil,
        method=evil,
        layer=evil,
        unit=evil,
        of=evil,
        network=evil,
        notes=(evil,),
        parameters={evil: evil},
        provenance={"image": evil, evil: evil},
        extras={evil: np.array(1.0)},
    )
    from seglens.core.classes import ClassTable

    e = [e, make(classes=ClassTable((evil, "b", "c")))]
    for html in (page(e[:1]), page(e), fragment(e)):
        read = Reader(html)
        assert len(read.all("script")) == 1
        assert read.all("img") == []
        assert "alert(1)</script><img" not in html
        assert evil in read.text  # said, not run


def test_what_a_page_says(make):
    e = make(
        cost=Cost(3_000_000_000, 1_200_000_000, 0.42),
        notes=("a warning",),
        extras={"gap": np.array([0.0123]), "curve": np.arange(5.0), "name": np.array("x")},
    )
    text = Reader(page([e])).text
    for said in (
        "grad-cam at encoder.4", "rider in predicted(rider)", "7.312 (logits)", "logit", "a warning",
        "2.50 F (3 GFLOP), 0.42 s", "steps", "50", "gap", "0.0123", "torch", "2.9", "street.png",
        "96 pixels, 11 % of the image", "road",
    ):  # fmt: skip
        assert said in text
    assert "curve" not in text


def test_several_have_a_table_that_leads_to_each(make):
    read = Reader(page([make(), make(method="rise", cost=Cost(10, 5, 1.0))]))
    articles = [attrs["id"] for attrs in read.all("article")]
    assert [attrs["href"] for attrs in read.all("a")] == [f"#{name}" for name in articles]
    assert "2.00 F" in read.text
    assert "not counted" in read.text


def test_every_picture_has_words_and_every_control_a_label(case):
    read = Reader(page(case))
    for attrs in read.all("svg"):
        assert attrs.get("aria-hidden") == "true" or attrs["aria-label"]
    assert len(read.all("label")) == len(read.all("input")) + len(read.all("select")) > 0


def test_what_several_share_is_kept_once(make):
    one, three = (page([make(method=m) for m in ms]) for ms in (("a", "b"), ("a", "b", "c", "d")))
    shared = data_uri(make().image)
    assert one.count(shared) == three.count(shared) == 1


def test_without_outline_no_switch_for_it(make):
    plain = Reader(page([make(region=None)]))
    assert "edge" not in {attrs["name"] for attrs in plain.all("input")}
    assert "edge" in {attrs["name"] for attrs in Reader(page([make()])).all("input")}


def test_a_notebook_gets_a_fragment(make):
    html = fragment([make()])
    assert html.startswith("<div>")
    assert "<html" not in html
    assert Reader(html).open == []
    assert fragment([]) == ""


def test_a_page_of_nothing():
    with pytest.raises(ParameterError, match="no explanations to show"):
        page([])
