"""What each task takes, checked before anything is computed: the server's side of `Tasks` in web/src/core/api.ts."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seglens.app.faults import Fault
from seglens.core.errors import suggest

Name = Annotated[str, Field(min_length=1, max_length=300)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")]
Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Value = str | bool | int | Number | None
Condition = Annotated[dict[str, Number], Field(max_length=1000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Description(_Strict):
    """As in api.ts. What builds a network is not among it: that would name code to run."""

    name: Name | None = None
    task: Literal["segment", "classify", "encode"] | None = None
    classes: Annotated[list[Name], Field(max_length=70000)] | None = None
    colours: Annotated[list[list[int]], Field(max_length=70000)] | None = None
    emits: Literal["logits", "probabilities"] | None = None
    link: Literal["softmax", "sigmoid", "none"] | None = None
    output: Name | int | None = None
    default_layer: Name | None = None
    input: dict[str, Any] | None = None


class TargetText(_Strict):
    """A request in words; see `TargetText` of api.ts."""

    channel: Name | int | None = None
    against: Name | int | None = None
    region: Annotated[str, Field(max_length=100_000)] | None = None
    of: Literal["logits", "probabilities", "log-probabilities"] | None = None
    reduce: Literal["mean", "sum"] = "mean"


class Open(_Strict):
    """A network by built-in name, or by ROOT:PATH."""

    source: Annotated[str, Field(min_length=1, max_length=4000)]


class Describe(_Strict):
    """The network under another description, which `save` writes beside its file."""

    network: Id
    description: Description
    save: bool = False


class Receive(_Strict):
    """What the network receives of an image, under its own or another description."""

    network: Id
    image: Id
    description: Description | None = None


class Graph(_Strict):
    """The dataflow graph, on an image or on grey."""

    network: Id
    image: Id | None = None


class Layer(_Strict):
    """The channels of a layer."""

    network: Id
    image: Id
    layer: Name


class Segment(_Strict):
    """The prediction."""

    network: Id
    image: Id


class Question(_Strict):
    """A method put to a target."""

    network: Id
    image: Id
    method: Name
    parameters: Annotated[dict[str, Value], Field(max_length=100)] = {}
    target: TargetText | None = None


class Removal(_Strict):
    """What to remove, and of what to see the effect."""

    network: Id
    image: Id
    target: TargetText
    what: Literal["mask", "salient"]
    mask: Key | None = None
    explanation: Key | None = None
    share: Annotated[float, Field(gt=0, le=1)] = 0.1
    fill: Annotated[str, Field(max_length=40)] = "mean"


class Mistakes(_Strict):
    """Where the prediction is not the truth."""

    network: Id
    image: Id


class Evaluate(_Strict):
    """Scores over a set."""

    network: Id
    set: Id


class Units(_Strict):
    """Statistics of latent units, over a set, or the network's own built-in one where it has too few pictures."""

    network: Id
    set: Id | None = None


class Encode(_Strict):
    """An image's latent vector."""

    network: Id
    image: Id
    condition: Condition | None = None


class Decode(_Strict):
    """A latent vector's picture; image: beside it, for a decoder that is told more of one."""

    network: Id
    image: Id | None = None
    z: Annotated[list[Number], Field(min_length=1, max_length=65536)]
    condition: Condition | None = None


class Attend(_Strict):
    """Attention of latent units."""

    network: Id
    image: Id
    units: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=256)]
    condition: Condition | None = None


class Between(_Strict):
    """The way from one image to another."""

    network: Id
    a: Id
    b: Id
    steps: Annotated[int, Field(ge=2, le=64)] = 9
    path: Literal["linear", "spherical"] = "linear"


class Item(_Strict):
    """One result in a report."""

    key: Key
    caption: Annotated[str, Field(max_length=4000)] = ""


class Report(_Strict):
    """Results together in one page."""

    title: Annotated[str, Field(max_length=400)]
    items: Annotated[list[Item], Field(min_length=1, max_length=64)]


ARGUMENTS: dict[str, type[_Strict]] = {
    "open": Open,
    "describe": Describe,
    "receive": Receive,
    "graph": Graph,
    "layer": Layer,
    "segment": Segment,
    "explain": Question,
    "verify": Removal,
    "mistakes": Mistakes,
    "evaluate": Evaluate,
    "units": Units,
    "encode": Encode,
    "decode": Decode,
    "attend": Attend,
    "between": Between,
    "report": Report,
}


def checked(task: object, args: object) -> dict[str, Any]:
    """The arguments of a task in plain form, with nothing in them that was left out. Raises Fault 422."""
    if not isinstance(task, str) or task not in ARGUMENTS:
        near = suggest(task, ARGUMENTS) if isinstance(task, str) else ""
        raise Fault(422, "TaskError", f"no task {task!r}.{near}\n  All of them: {', '.join(ARGUMENTS)}.")
    try:
        return ARGUMENTS[task].model_validate(args).model_dump(exclude_none=True)
    except ValidationError as wrong:
        said = [f"{'.'.join(map(str, e['loc'])) or 'args'}: {e['msg']}" for e in wrong.errors()[:5]]
        message = f"the arguments of {task!r} do not fit: {'; '.join(said)}."
        raise Fault(422, "ArgumentError", message) from None
