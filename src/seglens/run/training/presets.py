"""The recipe that a kind of network and a data set have by themselves: what is trained when nothing else is said."""

from seglens.core.errors import NameNotFoundError, suggest
from seglens.generative import Objective
from seglens.run.training.recipe import KINDS, DataRecipe, Kind, OptimiserRecipe, Recipe

_SIZES: dict[str, tuple[int, int]] = {
    "streets": (64, 128),
    "synthia": (64, 128),
    "a2d2": (64, 128),
    "sprites": (64, 64),
    "dsprites": (64, 64),
}
_SQUARE = (64, 64)
"""Of faces, and of sets that nobody wrote a preset for."""

_MADE = {"sprites": 20_000}
"""Training pictures of sets made by rule, where another number than 2,000: sprites are made a hundred times faster."""

_MIRRORED = ("streets", "synthia", "a2d2", "celeba", "celebamask-hq")
"""Sets that are as likely seen in a mirror. Faces made by rule have their pose among the attributes."""


_CLIP = 1.0
"""Losses are nats of a whole picture, so that gradients are far longer than this: each is brought to one length, which
Adam does not mind, and no single batch throws the weights about."""

_BALANCE = 0.25
"""Rare classes are heard without being shouted for."""


def preset(kind: Kind, data: str) -> Recipe:
    """The recipe of a kind of network for a data set, by the name of the set (what stands before a colon).

    Pictures of sets made by rule are as many as a CPU makes and learns in minutes; those of sets on disk are all that
    there are. Raises NameNotFoundError for another kind.
    """
    if kind not in KINDS:
        raise NameNotFoundError(
            f"no kind of network {kind!r} to be trained.{suggest(kind, KINDS)}\n  All of them: {', '.join(KINDS)}."
        )
    name, _, path = data.partition(":")
    made = not path
    shown = DataRecipe(
        name=data,
        size=_SIZES.get(name, _SQUARE),
        train=_MADE.get(name, 2000) if made else None,
        validation=200 if made else 1000,
        test=300 if made else None,
        flip=name in _MIRRORED and kind != "cvae",
    )
    return _MAKERS[kind](name, shown)


def _vae(name: str, data: DataRecipe) -> Recipe:
    if name in ("sprites", "dsprites"):
        # Higgins et al. 2017 found that a divergence weighed four times keeps the factors of such pictures apart.
        return Recipe(
            kind="vae",
            architecture="BurgessVAE",
            batch=64,
            epochs=10,
            data=data,
            model={"latent": 10},
            loss=Objective(beta=4.0, warmup=500),
            optimiser=OptimiserRecipe(rate=1e-3, clip=_CLIP),
        )
    return Recipe(
        kind="vae",
        batch=32,
        epochs=15,
        data=data,
        # At the same steps the error is half of that with rectifiers.
        model={"latent": 32, "widths": [16, 32, 64, 128], "activation": "silu"},
        loss=Objective(warmup=300),
        optimiser=OptimiserRecipe(rate=1e-3, clip=_CLIP),
    )


def _cvae(name: str, data: DataRecipe) -> Recipe:
    plain = _vae("", data).to_dict()
    return Recipe.from_dict({**plain, "kind": "cvae", "architecture": "CVAE"})


def _seg_vae(name: str, data: DataRecipe) -> Recipe:
    # The paper's code trains without the divergence; with it, draws from the prior decode to masks too.
    return Recipe(
        kind="seg-vae",
        batch=16,
        epochs=15,
        data=data,
        model={"latent": 15, "width": 16},
        loss=Objective(reconstruction="cross-entropy+jaccard", beta=1.0),
        optimiser=OptimiserRecipe(rate=2e-3, clip=_CLIP),
    )


def _mgrad2vae(name: str, data: DataRecipe) -> Recipe:
    return Recipe(
        kind="mgrad2vae",
        batch=8,
        epochs=5,
        balance=_BALANCE,
        data=data,
        model={"latent": 64, "widths": [16, 32, 48, 64]},
        loss=Objective(reconstruction="cross-entropy", beta=1.0),
        optimiser=OptimiserRecipe(rate=2e-3, clip=_CLIP),
    )


def _segmenter(name: str, data: DataRecipe) -> Recipe:
    return Recipe(
        kind="segmenter",
        batch=16,
        epochs=10,
        balance=_BALANCE,
        data=data,
        loss=Objective(reconstruction="cross-entropy", beta=0.0),
        optimiser=OptimiserRecipe(rate=4e-3, weight_decay=0.01, clip=_CLIP),
    )


_MAKERS = {"vae": _vae, "cvae": _cvae, "seg-vae": _seg_vae, "mgrad2vae": _mgrad2vae, "segmenter": _segmenter}
