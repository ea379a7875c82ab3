import numpy as np

from seglens.viz.arrange import arrange


def captions(plan):
    return [[cell and (cell.index, cell.caption) for cell in row] for row in plan.rows]


def test_methods_follow_the_image(make):
    plan = arrange([make(), make(method="saliency", layer=None)])
    assert plan.title == "rider in predicted(rider)"
    assert captions(plan) == [[(0, "image"), (0, "grad-cam at encoder.4"), (1, "saliency")]]
    assert plan.names == ["grad-cam at encoder.4", "saliency"]


def test_two_differences_make_a_table(make):
    dark = np.zeros((24, 36, 3), np.uint8)
    plan = arrange(
        [
            make(method=m, layer=None, image=i, provenance={"image": n})
            for i, n in ((make().image, "x/a.png"), (dark, "x/b.png"))
            for m in ("rise", "saliency")
        ]
    )
    assert plan.headings == ["a.png", "b.png"]
    assert captions(plan) == [
        [(0, "image"), (0, "rise"), (1, "saliency")],
        [(2, ""), (2, ""), (3, "")],
    ]


def test_a_hole_in_a_table_keeps_its_column_named(make):
    plan = arrange(
        [
            make(target="a", method="rise"),
            make(target="b", method="rise"),
            make(target="b", method="saliency"),
        ]
    )
    assert captions(plan) == [
        [(0, "image"), (0, "rise at encoder.4"), None],
        [(1, ""), (1, ""), (2, "saliency at encoder.4")],
    ]


def test_methods_at_layers_make_a_table(make):
    plan = arrange([make(method=m, layer=n) for m in ("grad-cam", "layer-cam") for n in ("a", "b")])
    assert plan.headings == ["grad-cam", "layer-cam"]
    assert [cell.caption for cell in plan.rows[0]] == ["image", "a", "b"]
    assert plan.title == "rider in predicted(rider)"


def test_classes_at_layers_of_one_method_make_a_table_headed_by_layers(make):
    several = [make(target=t, layer=n) for n in ("a", "b", "c", "d", "e") for t in ("rider", "car", "road")]
    plan = arrange(several)
    assert plan.title == "grad-cam"
    assert plan.headings == ["rider", "car", "road"]
    assert [cell.caption for cell in plan.rows[0]] == ["image", "a", "b", "c", "d", "e"]
    assert [[several[cell.index].layer for cell in row[1:]] for row in plan.rows] == [["a", "b", "c", "d", "e"]] * 3
    # Where settings differ too, the layer alone does not tell them apart.
    settled = [make(target=t, layer="a", parameters={"relu": r}) for t in ("rider", "car") for r in (True, False)]
    assert [cell.caption for cell in arrange(settled).rows[0][1:]] == [
        "grad-cam at a, relu = yes",
        "grad-cam at a, relu = no",
    ]


def test_methods_for_classes_make_a_table(make):
    methods = [f"method {i}" for i in range(7)]
    plan = arrange([make(target=t, method=m, layer=None) for m in methods for t in ("rider", "car", "road")])
    assert plan.headings == ["rider", "car", "road"]
    assert [cell.caption for cell in plan.rows[0]] == ["image", *methods]
    assert plan.columns == 8


def asking_nothing(make, **changed):
    fields = {"method": "fusion-map", "layer": None, "target": "no class", "score": float("nan"), "region": None}
    return make(**{**fields, "of": "probabilities", "unit": "probability", **changed})


def test_what_asks_nothing_stands_beside_the_only_question(make):
    plan = arrange([make(), asking_nothing(make)])
    assert plan.title == "rider in predicted(rider)"
    assert plan.names == ["grad-cam at encoder.4", "fusion-map, probabilities"]
    assert "scores are of logits" in plan.subtitle
    several = arrange([make(), make(target="road"), asking_nothing(make)])
    assert several.headings == ["rider in predicted(rider)", "road", "asks about no class"]
    alone = arrange([asking_nothing(make), asking_nothing(make, network="other")])
    assert alone.title == "fusion-map, probabilities"
    assert "scores" not in alone.subtitle


def test_a_number_that_alone_differs_is_named(make):
    activations = [make(method="activation", extras={"channel": np.array(n), "gap": np.array(0.1)}) for n in (3, 17)]
    assert arrange(activations).names == ["activation at encoder.4, channel 3", "activation at encoder.4, channel 17"]
    # A number that came out of another question is no name.
    nodes = [make(target=t, extras={"nodes": np.array(n)}) for t, n in (("a", 50), ("b", 100))]
    assert arrange(nodes).names == ["a", "b"]


def test_settings_that_differ_are_named(make):
    plan = arrange([make(parameters={"steps": n, "seed": 0}) for n in (10, 50)])
    assert plan.names == ["grad-cam at encoder.4, steps = 10", "grad-cam at encoder.4, steps = 50"]


def test_a_shared_image_wears_the_outline_only_where_all_ask_about_it(make):
    other = np.ones((24, 36), bool)
    same = arrange([make(), make(method="rise")])
    differ = arrange([make(target="a"), make(target="b", region=other)])
    assert same.rows[0][0].outlined
    assert not differ.rows[0][0].outlined


def test_images_of_one_name_are_numbered(make):
    plan = arrange([make(), make(image=np.zeros((24, 36, 3), np.uint8))])
    assert plan.names == ["street.png (1)", "street.png (2)"]


def test_equals_follow_each_other(make):
    plan = arrange([make(), make(), make()])
    assert [cell.index for row in plan.rows for cell in row if not cell.plain] == [0, 1, 2]


def test_nothing_is_lost_and_nothing_is_shown_twice(case):
    plan = arrange(case)
    shown = [cell.index for row in plan.rows for cell in row if cell and not cell.plain]
    assert sorted(shown) == list(range(len(case)))
    assert len(plan.headings) == len(plan.rows)
    assert plan.title


def test_latent_units_are_not_said_to_be_logits(make):
    units = [make(target=f"unit {i}", unit="unit of the output", label=None) for i in range(2)]
    assert "scores are of" not in arrange(units).subtitle
    assert "scores are of logits" in arrange([make(), make(target="road")]).subtitle
