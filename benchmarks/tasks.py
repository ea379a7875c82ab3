"""What is measured: each method of seglens, and the same work by the peers."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

import seglens as sl
from benchmarks import peers
from benchmarks.cases import Case
from seglens.perturb import fill

Maps = NDArray[np.float32]
Work = Callable[[], Maps]

NODES = 10
"""Nodes of integrated gradients and noisy copies of SmoothGrad: cost is linear in them."""
NOISE = 0.15
SIZE, STRIDE = 48, 24
"""Of occluding patches. Strides end with the pictures, where Captum's patches are all of full size, as ours are."""
MASKS = 20
"""Of RISE: cost is linear in them."""
STEPS = 5
"""Masks that grid and context saliency try: cost is linear in them."""

CONVENTIONS = (
    "F: floating-point operations over those of one forward pass, by torch's formulas. s: processor seconds, median.",
    "~: max |ours - theirs| / max |theirs|, then Pearson's correlation; of several classes the worst.",
    "Captum: channels summed; ReLU and bilinear upsampling by its own options, or added where the formula asks.",
    "pgc is pytorch-grad-cam: it scales every map to 0..1, so ours is scaled too; that it sums over the region where "
    "we average then does not show, but in grad-cam-plus-plus: 1e-6 more in the denominator of its weights.",
    f"integrated-gradients: {NODES} Gauss-Legendre nodes; xrai: {NODES // 2} from black, {NODES // 2} from white. "
    f"smooth-grad: {NODES} samples, of the same spread but other draws: ~ is the difference of the draws.",
    "activation: the channel that contributes most; named: channel 0. guided-backprop of pgc: sizes summed, then "
    f"scaled, by us. occlusion: of logits, patches of {SIZE}, strides of {STRIDE}, filled with the mean colour. "
    f"rise: {MASKS} masks. grid-saliency, context-saliency: {STEPS} masks in reference mode, early=False.",
    "-: not offered. *: not run; the price of one class, times the classes.",
)


@dataclass(frozen=True, slots=True)
class Task:
    """One row: the same work by up to three contestants; None where a peer does not offer it.

    times: how often the peers would have to do theirs for what ours does once; it is run once, and multiplied.
    """

    name: str
    ours: Work
    captum: Work | None = None
    cam: Work | None = None
    times: int = 1

    def contestants(self) -> dict[str, Work]:
        """Those that take part, by name."""
        every = {"seglens": self.ours, "captum": self.captum, "pytorch-grad-cam": self.cam}
        return {name: work for name, work in every.items() if work is not None}


def tasks(case: Case) -> list[Task]:
    """Every method on one case, one class each, and Grad-CAM of all classes in one call."""
    one, every = [case.channel], list(range(case.classes))
    spare = replace(case, module=deepcopy(case.module))
    # Not black: untrained networks without biases are homogeneous, so that every node would have the same gradient.
    white = fill(case.network, case.x, "white")
    mean = fill(case.network, case.x, "mean")
    sigma = NOISE * float(case.x.max() - case.x.min())
    # A gap that is always met: neither side doubles the nodes, so that both do the same work.
    integrated = sl.IntegratedGradients(nodes=NODES, most=NODES, gap=1e9, baseline="white")

    def ours(method: sl.Method, channels: list[int]) -> Work:
        return lambda: method(case.network, case.x, case.targets(channels)).values[0].numpy()

    def of_logits(method: sl.Method) -> Work:
        target = sl.Target(case.channel, sl.mask(case.region), of="logits")
        return lambda: method(case.network, case.x, sl.Targets.of(target)).values[0].numpy()

    def cam(name: str, channels: list[int]) -> Work:
        return lambda: peers.cam(case, name, channels)

    return [
        Task("saliency", ours(sl.Saliency(), one), lambda: peers.captum_saliency(case)),
        Task("input-x-gradient", ours(sl.InputXGradient(), one), lambda: peers.captum_input_x_gradient(case)),
        Task(
            "integrated-gradients",
            ours(integrated, one),
            lambda: peers.captum_integrated_gradients(case, NODES, white),
        ),
        Task(
            "smooth-grad",
            ours(sl.SmoothGrad(samples=NODES, noise=NOISE), one),
            lambda: peers.captum_smooth_grad(case, NODES, sigma),
        ),
        Task(
            "grad-cam",
            ours(sl.GradCAM(case.layer), one),
            lambda: peers.captum_grad_cam(case, one),
            cam("GradCAM", one),
        ),
        Task(
            f"grad-cam, all {case.classes}",
            ours(sl.GradCAM(case.layer), every),
            lambda: peers.captum_grad_cam(case, every),
            cam("GradCAM", every),
        ),
        Task("grad-cam-plus-plus", ours(sl.GradCAMPlusPlus(case.layer), one), None, cam("GradCAMPlusPlus", one)),
        Task(
            "hires-cam",
            ours(sl.HiResCAM(case.layer), one),
            lambda: peers.captum_hires_cam(case),
            cam("HiResCAM", one),
        ),
        Task("layer-cam", ours(sl.LayerCAM(case.layer), one), None, cam("LayerCAM", one)),
        Task("activation", ours(sl.Activation(case.layer), one), lambda: peers.captum_activation(case)),
        Task(
            "activation, named",
            ours(sl.Activation(case.layer, channel=0), one),
            lambda: peers.captum_activation(case, 0),
        ),
        Task("score-map", ours(sl.ScoreMap(), one)),
        Task("fusion-map", ours(sl.FusionMap(), one)),
        Task("ssm", ours(sl.SSM(), one)),
        Task("gssm", ours(sl.GSSM(), one)),
        Task("similarity-map", ours(sl.SimilarityMap(), one)),
        Task("second-order", ours(sl.SecondOrder(case.layer), one)),
        Task("xrai", ours(sl.XRAI(nodes=NODES // 2), one)),
        Task(
            "occlusion",
            of_logits(sl.Occlusion(size=SIZE, stride=STRIDE)),
            lambda: peers.captum_occlusion(case, SIZE, STRIDE, mean),
        ),
        Task("rise", ours(sl.RISE(masks=MASKS), one)),
        Task("grid-saliency", ours(sl.GridSaliency(mode="reference", steps=STEPS, early=False), one)),
        Task("context-saliency", ours(sl.ContextSaliency(mode="reference", steps=STEPS, early=False), one)),
        Task(
            "guided-backprop",
            ours(sl.GuidedBackprop(), one),
            lambda: peers.captum_guided_backprop(case),
            lambda: peers.cam_guided_backprop(spare),
        ),
        Task("guided-grad-cam", ours(sl.GuidedGradCAM(case.layer), one), lambda: peers.captum_guided_grad_cam(case)),
    ]


def many_classes(case: Case) -> list[Task]:
    """Grad-CAM of more classes than the 1×1 head has inputs; the peers can do but one at once."""
    one, every = [case.channel], list(range(case.classes))
    method = sl.GradCAM(case.layer)
    return [
        Task(
            f"grad-cam, all {case.classes}",
            lambda: method(case.network, case.x, case.targets(every)).values[0].numpy(),
            lambda: peers.captum_grad_cam(case, one),
            lambda: peers.cam(case, "GradCAM", one),
            times=case.classes,
        )
    ]
