"""How long the benchmark takes at another size, from what it took at this one."""

from collections.abc import Sequence

import torch

from seglens.core.cost import measured
from seglens.networks.digits_unet import DigitsUNet
from seglens.run.bench.plan import Plan
from seglens.run.bench.records import Record
from seglens.run.bench.statistics import mean_known
from seglens.run.bench.training import Recipe


def seconds_for(wanted: Plan, plan: Plan, records: Sequence[Record]) -> float:
    """Seconds that `wanted` takes on the machine on which `plan` gave these records; NaN where they do not tell.

    Training is taken to grow with steps, batch and the operations of a pass, explaining with pictures, methods and the
    operations of a pass. What loads, draws and scores is left out: it is little.
    """
    larger = _flops(wanted) / _flops(plan)
    each = mean_known(r.seconds for r in records)
    training = each * larger * _shown(wanted.recipe) / _shown(plan.recipe)
    methods = {name for r in records for name in r.told}
    means = [mean_known(r.told[m].seconds for r in records if m in r.told) for m in sorted(methods)]
    known = [m for m in means if m == m]
    if not known:
        return float("nan")
    # Methods that gave no time here are taken to need as long as the others.
    explaining = sum(known) / len(known) * len(wanted.methods) * larger * wanted.images
    return len(wanted.parts) * (training + explaining)


def _shown(recipe: Recipe) -> int:
    """Pictures shown in training, each as often as it is."""
    return recipe.steps * recipe.batch


def _flops(plan: Plan) -> int:
    network = DigitsUNet(encoder=plan.recipe.encoder, width=plan.recipe.width).eval()
    with torch.no_grad(), measured() as meter:
        network(torch.zeros(1, 1, 64, 64))
    return meter.flops
