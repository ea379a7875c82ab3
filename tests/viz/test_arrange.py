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
