"""A model of transformers as a function of its pixels, its layers under their own names, and its hooks in our order."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from seglens.core.errors import NetworkError
from seglens.core.frame import resize

_MARK = "_output_capturing_hooks_installed"
_CAPTURING = "output_capturing_hook"


class PixelModel(nn.Module):
    """logits [B K *space'] or [B K] = model(pixel_values = x [B C *space]).

    It holds the model's own dictionaries of parameters, buffers and layers, so that layers keep their names, and what
    is moved or changed in one is moved and changed in the other; the model itself is at `model`, no layer of it.
    """

    model: Any

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        own = vars(model)
        for store in ("_parameters", "_buffers", "_non_persistent_buffers_set", "_modules"):
            self.__dict__[store] = own[store]
        # Not by setattr, which would register it as a layer.
        self.__dict__["model"] = model
        self.training = model.training

    def forward(self, x: Tensor) -> Tensor:
        """Class scores as the model gives them, at its own resolution."""
        with as_called(self.model, self.training):
            return self.model(pixel_values=x, return_dict=True).logits


class MaskClassifier(PixelModel):
    """Per-pixel scores of a model that gives queries: logits [B K H W], and queries [B Q h w], its mask logits.

    Query q has class probabilities p_q = softmax(class logits), the last class being 'no object', and a mask
    σ(m_q). The score of class c at a pixel is their sum over queries (Cheng et al. 2021, semantic inference):

        s_c = Σ_q p_q[c] · σ(m_q),   without 'no object'.

    `logits` are log s_c on the input's grid, so that softmax gives s_c / Σ_k s_k, and the class of the largest logit
    is the library's own. Masks are scaled as its post-processing does: s is taken at the masks' own size, or where
    `mask_size` is set, of mask logits scaled to it, and then scaled (bilinear) to the input. s below the smallest
    normal float (10⁻³⁸) counts as that, with derivative 0.

    task: token ids [1 L] of OneFormer's task; None for models without one.
    """

    task: Tensor | None

    def __init__(self, model: nn.Module, mask_size: tuple[int, int] | None = None, task: Tensor | None = None) -> None:
        super().__init__(model)
        self.mask_size = mask_size
        # Neither weight nor buffer of the model's: it is kept out of both dictionaries, which are the model's own.
        self.__dict__["task"] = task

    def forward(self, x: Tensor, task: Tensor | None = None) -> dict[str, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """{'logits': log s [B K H W], 'queries': mask logits [B Q h w]}."""
        inputs: dict[str, Tensor] = {}
        if type(self.model).__name__.startswith("OneFormer"):
            inputs["task_inputs"] = self._task(task, x)
        with as_called(self.model, self.training):
            returned = self.model(pixel_values=x, return_dict=True, **inputs)
        masks: Tensor = returned.masks_queries_logits
        scores = semantic_scores(returned.class_queries_logits, masks, self.mask_size)
        scores = resize(scores, tuple(x.shape[2:]))
        return {"logits": scores.clamp_min(torch.finfo(scores.dtype).tiny).log(), "queries": masks}

    def _task(self, task: Tensor | None, x: Tensor) -> Tensor:
        task = self.task if task is None else task
        if task is None:
            raise NetworkError(
                "OneFormer wants to be told its task in tokens, and no tokenizer lay beside the model.\n"
                "  Load a folder that its processor was saved to as well (processor.save_pretrained(FOLDER)), or give "
                "the tokens: extra=(processor(images, ['semantic'])['task_inputs'],)."
            )
        return task.to(x.device).expand(x.shape[0], -1)


def semantic_scores(classes: Tensor, masks: Tensor, mask_size: tuple[int, int] | None = None) -> Tensor:
    """s [B K h w] = Σ_q softmax(classes [B Q K+1])[c] · σ(masks [B Q h w]), the last class left out; float32 or 64.

    mask_size: mask logits are scaled (bilinear) to it first.
    """
    exact = torch.promote_types(masks.dtype, torch.float32)
    classes, masks = classes.to(exact), masks.to(exact)
    if mask_size is not None:
        masks = resize(masks, mask_size)
    return torch.einsum("bqc,bqhw->bchw", classes.softmax(-1)[..., :-1], masks.sigmoid())


@contextmanager
def as_called(model: nn.Module, training: bool) -> Generator[None]:
    """One call of a model of transformers, that leaves its hooks as they were, and runs them after everybody's.

    Backbones hand their inner maps to the decoder through forward hooks that the library adds at the first call, and
    leaves. They are to run last, so that what the decoder reads is what other hooks made of a layer's output: else a
    tap would see a map that the decoder never reads, and derivatives by it would silently be too small. So those that
    are there step aside, the library adds its own anew behind all others, and afterwards everything is as before.

    training: mode of the model itself, whose layers' modes its caller has set.
    """
    kept: list[tuple[Any, Any]] = []
    marked: list[tuple[nn.Module, bool]] = []
    was = model.training
    model.training = training
    try:
        for module in model.modules():
            hooks = module._forward_hooks  # pyright: ignore[reportPrivateUsage]
            kept.append((hooks, list(hooks.items())))
            for key in [k for k, hook in hooks.items() if getattr(hook, "__name__", "") == _CAPTURING]:
                del hooks[key]
            if _MARK in vars(module):
                marked.append((module, vars(module).pop(_MARK)))
        yield
    finally:
        for hooks, before in kept:
            # In place: handles that remove hooks hold on to this very dictionary.
            hooks.clear()
            hooks.update(before)
        for module in model.modules():
            vars(module).pop(_MARK, None)
        for module, mark in marked:
            vars(module)[_MARK] = mark
        model.training = was
