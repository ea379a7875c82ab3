"""What an image processor of transformers does to pictures, said as an input convention; and what that cannot say."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from seglens.core.errors import GuessWarning


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Fields of `Convention`, and sentences on what it cannot express."""

    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    notes: tuple[str, ...] = ()


def convention_of(processor: Any) -> dict[str, Any]:
    """Fields of the input `Convention` by an image processor of transformers (or its settings as a mapping).

    For `load(model, convention=convention_of(processor))`. What a convention cannot express, such as cutting out the
    centre, is replaced by the nearest thing, which a GuessWarning says.
    """
    read = preprocessing(processor)
    for note in read.notes:
        warnings.warn(note, GuessWarning, stacklevel=2)
    return dict(read.fields)


def preprocessing(processor: Any, config: Any = None) -> Preprocessing:
    """The convention that an image processor's settings come to.

    With p the pixel's value from 0 to 1, v = 255·rescale_factor·p (or 255·p without rescaling), less 1 with
    `rescale_offset`; x = (v − mean)/std. EfficientNet's `include_top` divides by std a second time.
    config: a model's; num_channels and image_size in it fill what the processor leaves open. Without a processor (None)
    only these are told.
    """
    channels = getattr(config, "num_channels", None)
    known: dict[str, Any] = {"channels": channels} if isinstance(channels, int) else {}
    if processor is None:
        return Preprocessing({**known, **_own_size(config)})
    if isinstance(processor, Mapping):
        processor = SimpleNamespace(**{str(k): v for k, v in cast("Mapping[object, Any]", processor).items()})
    # A processor for pictures and texts holds the one for pictures.
    ask = _Settings(getattr(processor, "image_processor", processor))
    notes: list[str] = []
    fields: dict[str, Any] = {"range": _range(ask)}
    if ask("do_normalize"):
        mean, std = _values(ask("image_mean")), _values(ask("image_std"))
        fields["mean"] = mean
        fields["std"] = tuple(s * s for s in std) if ask("include_top") else std
    else:
        fields |= {"mean": (0.0,), "std": (1.0,)}
    fields |= known or {"channels": max(3, len(fields["mean"]))}
    if ask("do_flip_channel_order"):
        fields["order"] = "BGR"
    fields |= _geometry(ask, config, notes)
    if ask("do_reduce_labels") or ask("reduce_labels"):
        notes.append(
            "its training took 1 off every label (do_reduce_labels): class 0 is label 1 of the data set's masks, and "
            "their label 0 belongs to no class. Give truth in the network's own numbers, with 255 for ignored pixels"
        )
    return Preprocessing(fields, tuple(notes))


@dataclass(frozen=True, slots=True)
class _Settings:
    """Settings of a processor by name; one that it lacks is None."""

    processor: Any

    def __call__(self, name: str) -> Any:
        return getattr(self.processor, name, None)

    def size(self, name: str) -> dict[str, int]:
        """A size as its sides by name, those that are set; older files hold one number, or two."""
        found = self(name)
        if isinstance(found, int):
            return {"shortest_edge": found} if self("default_to_square") is False else {"height": found, "width": found}
        if isinstance(found, list | tuple):
            sides = cast("list[int]", found)
            return {"height": sides[0], "width": sides[-1]}
        keys = ("height", "width", "shortest_edge", "longest_edge", "max_height", "max_width")
        if isinstance(found, Mapping):
            given = cast("Mapping[str, Any]", found)
            return {k: given[k] for k in keys if given.get(k)}
        return {k: v for k in keys if (v := getattr(found, k, None))}


def _range(ask: _Settings) -> tuple[float, float]:
    factor: float | None = ask("rescale_factor")
    white = 255.0 * (1 / 255 if factor is None else factor) if ask("do_rescale") else 255.0
    black = -1.0 if ask("do_rescale") and ask("rescale_offset") else 0.0
    # 255 · 0.00392156862745098 is meant to be 1.
    return black, round(white + black, 6)


def _values(given: Any) -> tuple[float, ...]:
    return (float(given),) if isinstance(given, int | float) else tuple(float(v) for v in given)


def _geometry(ask: _Settings, config: Any, notes: list[str]) -> dict[str, Any]:
    """Size, fit and divisor."""
    found: dict[str, Any] = {"fit": "resize"}
    size = ask.size("size") if ask("do_resize") else {}
    crop = ask.size("crop_size") if ask("do_center_crop") else {}
    edge, keeps = size.get("shortest_edge"), bool(ask("keep_aspect_ratio"))
    if edge and ask("crop_pct") is not None:
        # ConvNeXt: below 384 the shorter side becomes edge / crop_pct, of which the centre is taken.
        crop = {"height": edge, "width": edge} if edge < 384 else {}
        size = {"height": edge, "width": edge}
    elif edge and edge == size.get("longest_edge"):
        # Pictures are scaled to fit into a square, and padded.
        size, keeps = {"height": edge, "width": edge}, True
    if crop:
        found["size"] = (crop["height"], crop["width"])
        notes.append(
            f"the library cuts {crop['height']} × {crop['width']} out of the middle of every picture; here the whole "
            "picture is scaled to that, so that each pixel of it is explained. Cut it yourself for the library's scores"
        )
    elif "height" in size and "width" in size:
        found["size"] = (size["height"], size["width"])
        if keeps:
            notes.append(
                "the library keeps the proportions of a picture when it scales it; here it becomes "
                f"{size['height']} × {size['width']}. Cut it to these proportions for the library's scores"
            )
    elif size:
        long = size.get("longest_edge")
        sides = f"its shorter side to {edge}" + (f" (the longer one to {long} at most)" if long else "")
        scaled = sides if edge else f"it to {size}"
        notes.append(
            f"the library scales {scaled}; here a picture keeps its own size. Scale it before where it is of another "
            "order, or give convention={'size': (H, W), …}"
        )
    else:
        found |= _own_size(config)
    divisor = ask("size_divisor") or ask("ensure_multiple_of") or 1
    if divisor > 1:
        found["divisor"] = divisor
        if ask("do_pad") and not ask("ensure_multiple_of"):
            found["fit"] = "pad"
    return found


def _own_size(config: Any) -> dict[str, Any]:
    """The size that a model was made for, which most with learned positions insist on."""
    side = getattr(config, "image_size", None)
    if side is None:
        return {}
    return {"size": (side, side) if isinstance(side, int) else tuple(side)}
