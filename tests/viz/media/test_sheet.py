"""The sheet that figures are laid out on: lines keep to their width."""

from seglens.viz.media.sheet import width_of, wrapped


def test_wrapping_keeps_to_the_width_and_loses_nothing():
    text = "a few words, then " + "verylongword" * 20 + " and an end"
    lines = wrapped(text, 8, 1.5)
    assert max(width_of(line, 8) for line in lines) <= 1.5
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    short = wrapped(text, 8, 1.5, lines=2)
    assert len(short) == 2
    assert short[-1].endswith("…")
    assert wrapped("", 8, 1.5) == []
