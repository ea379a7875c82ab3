"""Which part of a map a picture shows, and where. Pictures only: the values of a map are never changed."""

from dataclasses import dataclass
from typing import Annotated, Literal

from seglens.core.parameters import Bounds, Help, check_parameters

Part = Literal["all", "positive", "negative", "absolute"]
Within = Literal["region", "prediction", "truth", "both", "either"]


@dataclass(frozen=True, slots=True)
class Display:
    """How a map is turned into a picture: ``why.save("why.png", Display(part="positive", within="truth"))``.

    The colours always fit what is shown: the part, within the place.

    part: max(m, 0) as 'positive', min(m, 0) as 'negative' (in the colours that speak against), |m| as 'absolute'.
    within: only the pixels of the request region; of the asked class where it is predicted, where it is true, where
    both hold (the intersection) or either does (the union). Elsewhere the picture shows the image alone. A contrast of
    classes counts as its first one.
    percentile: the colours end at this percentile of |m| over what is shown and neither 0 nor undefined.
    opacity: of the map over its image; growing lets it grow from 0 with |m|, reaching `opacity` where the colours end.
    grey: the image in grey, so that colour means map. shared: several maps have one scale, else each its own.

    Raises ParameterError for a value out of bounds.
    """

    part: Annotated[Part, Help("Which values are shown.")] = "all"
    # Gradient maps have a few huge values that would darken all others.
    percentile: Annotated[float, Bounds(above=0, le=100), Help("Of |map|, where the colours end.")] = 99.5
    within: Annotated[Within | None, Help("Where the map is shown; by default everywhere.")] = None
    opacity: Annotated[float, Bounds(ge=0, le=1), Help("Of the map over its image.")] = 0.9
    growing: Annotated[bool, Help("Opacity grows with |map|.")] = True
    grey: Annotated[bool, Help("The image in grey.")] = True
    shared: Annotated[bool, Help("One scale for several maps.")] = False

    def __post_init__(self) -> None:
        check_parameters(self)
