"""The randomisation test: whether a map hangs on what the network learned, or on picture and architecture."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.capture import capture, own
from seglens.core.comparison import Dependence, Interval
from seglens.core.errors import ParameterError, SeglensError, SeglensWarning, ShapeError
from seglens.core.method import Method
from seglens.core.network import Network, upsampled
from seglens.core.progress import tell
from seglens.core.receptive import Follower
from seglens.core.targets import Target, Targets
from seglens.core.view import Region, View
from seglens.metrics.agreement import against_chance, ranks, shifted
from seglens.metrics.shuffling import draw_seed, order_of_use, shuffled_copy
from seglens.networks.layers import default_layer_of

ADEBAYO = "Adebayo et al. 2018, arXiv:1810.03292"
KNOWN_WEAK = {"guided-backprop": ADEBAYO, "guided-grad-cam": ADEBAYO}
"""Methods found to depend weakly on what networks learned, with the source."""

LEAST = 3
"""Copies below which no interval can be given."""

_RESAMPLES = 2000
_Row = NDArray[np.float64]


class Held(Region):
    """A region that stays where it was worked out: bool [B *grid], whatever the network at hand predicts."""

    __slots__ = ("_mask", "_name")

    def __init__(self, mask: Tensor, name: str) -> None:
        self._mask, self._name = mask, name

    def mask(self, view: View) -> Tensor:
        """The mask as it is."""
        return self._mask.to(view.output.device)

    def __str__(self) -> str:
        return self._name


def held(network: Network, x: Tensor, targets: Targets) -> tuple[Targets, Tensor]:
    """(the question, of the same pixels for any network; bool [*grid], the pixels of x [1 C *grid] that it can see).

    Seen is the union of the receptive fields of the region's pixels, without padding; everything for an output that
    cannot be followed back to the input. Cost: F. Raises EmptyRegionError, ShapeError.
    """
    if x.shape[0] != 1 or len(targets) != 1:
        raise ShapeError(
            f"the test takes one image and one target, not {x.shape[0]} and {len(targets)}.", tuple(x.shape)
        )
    follower = Follower()
    grid = tuple(x.shape[2:])
    with capture(network), torch.no_grad():
        x = own(network, x)
        follower.root(x)
        with follower:
            y = network(x)
            pixels = upsampled(network, y, grid)
        reach = follower.reach(pixels)
        bound = targets.bind(network, x, y)
    seen = targets.shown(x)[0]
    item: Target = bound.items[0]
    if bound.masks is not None:
        item = replace(item, region=Held(bound.masks[:, 0], str(item.region or "everything")))
        asked = bound.masks[:, 0]
    else:
        asked = torch.ones(1, dtype=torch.bool)
    if reach is not None and tuple(asked.shape[1:]) == reach.shape:
        seen = seen & reach.seen_from(asked)[0]
    return replace(targets, items=(item,)), seen


def randomisation_test(
    network: Network,
    x: Tensor,
    targets: Targets,
    methods: Mapping[str, Method],
    *,
    draws: int = 8,
    seed: int = 0,
    cascade: int = 0,
    known: Mapping[str, str] | None = None,
) -> tuple[Dependence, ...]:
    """Compare each method's map of x [1 C *grid] and one target with its maps of `draws` shuffled copies.

    Source: Adebayo et al. 2018, arXiv:1810.03292, with all tensors shuffled (`shuffled_copy`), the region held where
    the trained network had it, and inside its receptive field. Rank correlations of |map|, each a mean over copies with
    a bootstrap interval over them (95 %), in [−1, 1]; NaN where no copy gave a map with ranks. See `Dependence` for the
    references that are measured beside it, and for what may be claimed. `cascade`: in so many steps the tensors are
    shuffled from the output back to the input too. `known`: methods of `methods` with what is known of them.

    Cost: (2 · draws + 1) times the methods', and cascade · draws times more; three passes beside. The network is never
    touched. Raises ParameterError for 1 or 2 draws, NetworkError for a module that cannot be copied.
    """
    if draws < LEAST:
        raise ParameterError(f"{draws} shuffled copies give no interval: take at least {LEAST}, or 0 for no test.")
    targets, seen = held(network, x, targets)
    if network.default_layer is None and any(getattr(m, "layer", "") is None for m in methods.values()):
        network = network.with_(default_layer=default_layer_of(network, x))
    where = seen.cpu().numpy()
    order = order_of_use(network, x)[::-1] if cascade else []
    stops = [round(len(order) * (k + 1) / cascade) for k in range(cascade)]
    shown = targets.shown(x)[0]
    seen_on: dict[str, list[_Row | None]] = {name: [] for name in methods}
    blind: dict[str, list[_Row | None]] = {name: [] for name in methods}
    falling: dict[str, list[list[_Row | None]]] = {name: [[] for _ in stops] for name in methods}
    total = draws * (2 + len(stops)) * len(methods)
    done = 0

    def maps_of(net: Network, image: Tensor, into: Mapping[str, list[_Row | None]]) -> None:
        nonlocal done
        for name, method in methods.items():
            into[name].append(_map_of(net, image, targets, method))
            done += 1
            tell("shuffled copies", done, total)

    with warnings.catch_warnings():
        # What a map of noise is like is the result here, not news.
        warnings.simplefilter("ignore", SeglensWarning)
        trained = {name: _values(m(network, x, targets).values) for name, m in methods.items()}
        for d in range(draws):
            copied = network.with_(module=shuffled_copy(network.module, draw_seed(seed, d)))
            maps_of(copied, x, seen_on)
            maps_of(copied, _scrambled(x, shown, draw_seed(seed, d, 1)), blind)
            for k, stop in enumerate(stops):
                part = shuffled_copy(network.module, draw_seed(seed, d), set(order[:stop]))
                maps_of(network.with_(module=part), x, {name: rows[k] for name, rows in falling.items()})
    return tuple(
        _judge(
            name,
            trained[name],
            seen_on[name],
            blind[name],
            where,
            # The same resampling for each, so that its numbers do not hang on the other methods.
            np.random.default_rng(draw_seed(seed, 0, 2)),
            falling[name],
            tuple(stops),
            (known or {}).get(name, ""),
        )
        for name in methods
    )


def _map_of(network: Network, x: Tensor, targets: Targets, method: Method) -> _Row | None:
    """A copy's map; None where its numbers no longer let the method work, or overflow."""
    try:
        return _values(method(network, x, targets).values)
    except SeglensError:
        return None


def _values(values: Tensor) -> _Row:
    return values[0, 0].detach().double().cpu().numpy()


def _scrambled(x: Tensor, shown: Tensor, seed: int) -> Tensor:
    """The picture's pixels in random order, padding where it was: the colours of x [1 C *grid] without its content."""
    places = shown.flatten().nonzero()[:, 0]
    order = torch.randperm(len(places), generator=torch.Generator().manual_seed(seed)).to(places.device)
    flat = x.detach().flatten(2).clone()
    flat[:, :, places.to(x.device)] = flat[:, :, places[order].to(x.device)]
    return flat.view_as(x)


def _judge(
    label: str,
    trained: _Row,
    copies: Sequence[_Row | None],
    blind: Sequence[_Row | None],
    where: NDArray[np.bool_],
    rng: np.random.Generator,
    falling: Sequence[Sequence[_Row | None]],
    steps: tuple[int, ...],
    known: str,
) -> Dependence:
    own_ranks = _ranked(trained, where)
    rows = [_ranked(c, where) for c in copies]
    usable = [r for r in rows if r is not None] if own_ranks is not None else []
    dark = [r for b in blind if (r := _ranked(b, where)) is not None]
    decay = ranks(np.mean(dark, 0), where) if dark else None
    if decay is None or np.isnan(decay[where]).all() or own_ranks is None:
        decay = None
    has_signs = bool(np.nanmin(trained) < 0) if np.isfinite(trained).any() else False
    signed: list[float] = []
    if has_signs and own_ranks is not None:
        plain = ranks(trained, where)
        signed = [_r(plain, r, where) for c in copies if c is not None and (r := _with_sign(c, where)) is not None]
    raw = [shifted(own_ranks, r, where) for r in usable] if own_ranks is not None else []
    beyond = [shifted(own_ranks, r, where, decay) for r in usable] if own_ranks is not None else []
    _, chance, _ = against_chance(np.mean(raw, 0)) if raw else (0, np.nan, 0)
    _, chance_beyond, _ = against_chance(np.mean(beyond, 0)) if beyond else (0, np.nan, 0)
    curve = None
    if falling and own_ranks is not None:
        curve = np.array(
            [_mean([_r(own_ranks, r, where) for c in step if (r := _ranked(c, where)) is not None]) for step in falling]
        )
    return Dependence(
        label=label,
        trained=_interval([float(r.flat[0]) for r in raw], rng),
        copies=_pairs(usable, where, rng),
        blind=_interval([_r(own_ranks, r, where) for r in dark] if own_ranks is not None else [], rng),
        beyond=_interval([float(r.flat[0]) for r in beyond], rng),
        signed=_interval(signed, rng) if has_signs else None,
        chance=chance,
        chance_beyond=chance_beyond,
        draws=len(copies),
        undefined=len(copies) - len(usable),
        curve=curve,
        steps=steps if curve is not None else (),
        known=known,
    )


def _ranked(values: _Row | None, where: NDArray[np.bool_]) -> _Row | None:
    """Ranks of the sizes inside `where`; None where the map is the same everywhere there, or not finite."""
    return None if values is None else _with_sign(np.abs(values), where)


def _with_sign(values: _Row, where: NDArray[np.bool_]) -> _Row | None:
    if not np.isfinite(values[where]).all():
        return None
    found = ranks(values, where)
    return None if np.isnan(found[where]).all() else found


def _r(a: _Row, b: _Row, where: NDArray[np.bool_]) -> float:
    return float(np.corrcoef(a[where], b[where])[0, 1])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _interval(values: Sequence[float], rng: np.random.Generator) -> Interval:
    """Mean over copies, with the middle 95 % of the means of resampled copies; no interval for fewer than three."""
    known = np.array([v for v in values if np.isfinite(v)])
    if len(known) < LEAST:
        return Interval(_mean(known.tolist()), float("nan"), float("nan"))
    means = known[rng.integers(len(known), size=(_RESAMPLES, len(known)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(known.mean()), float(low), float(high))


def _pairs(rows: Sequence[_Row], where: NDArray[np.bool_], rng: np.random.Generator) -> Interval:
    """The same over pairs of copies; copies, not pairs, are resampled, since pairs share copies."""
    n = len(rows)
    if n < 2:
        return Interval(float("nan"), float("nan"), float("nan"))
    table: _Row = np.atleast_2d(np.corrcoef(np.stack([r[where] for r in rows])))
    value = float(table[~np.eye(n, dtype=bool)].mean())
    if n < LEAST:
        return Interval(value, float("nan"), float("nan"))
    means: list[float] = []
    for chosen in rng.integers(n, size=(_RESAMPLES, n)):
        # A copy drawn twice is no pair with itself.
        apart = chosen[:, None] != chosen[None]
        if apart.any():
            means.append(float(table[np.ix_(chosen, chosen)][apart].mean()))
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(value, float(low), float(high))
