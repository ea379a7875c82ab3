"""How the search for a mask went: its objective from step to step, beside what the two simplest masks would cost."""

from html import escape

import numpy as np

from seglens.core.explanation import Explanation
from seglens.viz import words

_WIDTH, _HEIGHT = 480, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 90, 10, 32
_HEADROOM = 2.5  # how far the axis goes beyond the empty mask


def search_curve(e: Explanation) -> str:
    """An inline SVG of the extra 'loss', the objective of each mask that was tried; '' for maps without a search."""
    if not {"loss", "empty-loss", "objective"} <= e.extras.keys():
        return ""
    curve = np.asarray(e.extras["loss"], np.float64)
    if curve.ndim != 1 or (tried := int(np.isfinite(curve).sum())) < 2:
        return ""
    curve = curve[:tried]
    levels = {"empty mask": float(e.extras["empty-loss"]), "returned": float(e.extras["objective"])}
    # A search from the full mask begins far above all that it is about.
    top = min(float(curve.max()), _HEADROOM * max(levels.values())) or float(curve.max()) or 1.0

    def at(step: float, value: float) -> tuple[float, float]:
        x = _LEFT + (step - 1) / (tried - 1) * (_WIDTH - _LEFT - _RIGHT)
        return x, _HEIGHT - _BOTTOM - min(value / top, 1) * (_HEIGHT - _TOP - _BOTTOM)

    drawn: list[str] = []
    for value in (0.0, top / 2, top):
        x, y = at(1, value)
        drawn.append(
            f'<path d="M{x:g} {y:.1f}H{_WIDTH - _RIGHT}" stroke="currentColor" stroke-opacity=".2"/>'
            f'<text x="{x - 6:g}" y="{y + 4:.1f}" text-anchor="end">{words.number(value, 2)}</text>'
        )
    for step in (1, tried):
        x, y = at(step, 0)
        drawn.append(f'<text x="{x:g}" y="{y + 16:.1f}" text-anchor="middle">{step}</text>')
    if curve[0] > top:
        drawn.append(f'<text x="{_LEFT + 8}" y="{_TOP + 14}">from {words.number(float(curve[0]))}</text>')
    middle = at((1 + tried) / 2, 0)
    drawn.append(f'<text x="{middle[0]:.1f}" y="{_HEIGHT - 4}" text-anchor="middle">masks tried</text>')
    beside = sorted(((at(1, value)[1], name) for name, value in levels.items()))
    # Names keep a line's distance from each other.
    ends = [beside[0][0], max(beside[1][0], beside[0][0] + 14)]
    for (y, name), end in zip(beside, ends, strict=True):
        drawn.append(
            f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="currentColor" stroke-dasharray="4 3"/>'
            f'<text x="{_WIDTH - _RIGHT + 6}" y="{end + 4:.1f}">{name}</text>'
        )
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(i + 1, v) for i, v in enumerate(curve)))
    drawn.append(f'<polyline points="{points}" fill="none" stroke="var(--accent)" stroke-width="2"/>')
    said = (
        f"Objective of {tried} masks, from {words.number(float(curve[0]))} down to {words.number(float(curve.min()))}; "
        + ", ".join(f"{name} {words.number(value)}" for name, value in levels.items())
    )
    return (
        f'<figure class="search"><h3>Objective of the masks tried: λ times their size, and what the score loses</h3>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(said)}" fill="currentColor" '
        f'font-size="11">{"".join(drawn)}</svg></figure>'
    )
