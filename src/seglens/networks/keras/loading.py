"""Keras models: `.keras` and `.h5` files opened safely on the torch backend, and models in memory."""

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, cast

from torch import nn

from seglens.core.errors import NetworkError, SeglensError, missing_extra
from seglens.networks.checkpoint import construct
from seglens.networks.keras.endings import Ending, ending_of
from seglens.networks.keras.files import rebuilt_archive, rebuilt_hdf5, weights_of
from seglens.networks.keras.input import convention_of, layout_of
from seglens.networks.keras.module import (
    KerasModule,
    is_model,
    keeping_random_state,
    operations_of,
    tensors_of,
)
from seglens.networks.keras.running import by_running, cannot_be_separated
from seglens.networks.loaded import Loaded, Request


def load_keras(path: Path, request: Request) -> Loaded:
    """The network in a .keras file of Keras 3, saved under any backend; HDF5 is taken too, whatever the suffix.

    With `request.constructor` only the weights are read, into the model that it builds.
    Raises UnsafeFileError (unless trusted) for Lambda layers, classes of other packages and other code; NetworkError
    for a damaged file, one of Keras 2, or layers that torch's backend lacks.
    """
    return _from_file(path, request, rebuilt_archive)


def load_h5(path: Path, request: Request) -> Loaded:
    """The network in an HDF5 file of Keras 2 or 3, or its weights alone, into what `request.constructor` builds.

    Raises as `load_keras` does.
    """
    return _from_file(path, request, rebuilt_hdf5)


def adapt(model: Any) -> Loaded | None:
    """The network in a Keras model in memory, which stays as it is; None for an object that is no model.

    Raises NetworkError where Keras runs on another backend than torch, or the model was not built yet.
    """
    if not is_model(model):
        return None
    keras()
    loaded = loaded_model(model)
    return replace(loaded, fields={"name": str(model.name), **loaded.fields})


def keras() -> Any:
    """The package keras, on torch. Raises MissingExtraError, and NetworkError where it already runs on another."""
    found: Any = sys.modules.get("keras")
    if found is None:
        with importing():
            try:
                found = import_module("keras")
            except ImportError as missing:
                raise missing_extra("keras", "keras", "opening Keras models") from missing
    backend = str(found.backend.backend())
    if backend != "torch":
        raise NetworkError(
            f"Keras already runs on {backend} in this process, and gradients are taken by torch.\n"
            "  Set the environment variable KERAS_BACKEND=torch before keras is first imported: models saved under "
            f"{backend} load under torch."
        )
    return found


@contextmanager
def importing() -> Generator[None]:
    """Keras's first import: on torch, and without its writing a settings file into the home folder."""
    before = {name: os.environ.get(name) for name in ("KERAS_BACKEND", "KERAS_HOME")}
    os.environ["KERAS_BACKEND"] = "torch"
    home = Path(before["KERAS_HOME"] or "~/.keras").expanduser()
    with tempfile.TemporaryDirectory() as folder:
        try:
            if not (home / "keras.json").is_file():
                os.environ["KERAS_HOME"] = folder
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            config: Any = sys.modules.get("keras.src.backend.config")
            if getattr(config, "_KERAS_DIR", None) == folder:
                # Where Keras will keep what a user lets it download.
                config._KERAS_DIR = str(home)


def _from_file(path: Path, request: Request, rebuilt: Callable[[Path, Path, bool], Path | None]) -> Loaded:
    package = keras()
    with tempfile.TemporaryDirectory() as folder, keeping_random_state(), package.device("cpu"):
        if request.constructor is not None:
            weights = weights_of(path, Path(folder))
            model: Any = construct(request).module
            if not is_model(model):
                raise NetworkError(
                    f"{path.name} holds weights of Keras; the constructor gave a {type(model).__name__}."
                )
            if not model.built:
                raise NetworkError(
                    f"the constructor gave a {type(model).__name__} that has no weights yet.\n"
                    "  Let it call the model once on an example, or begin with keras.Input(shape)."
                )
            _tried(path.name, lambda: model.load_weights(weights))
        else:
            copy = rebuilt(path, Path(folder), request.trust)
            if copy is None:
                raise NetworkError(
                    f"{path.name} holds weights, not a network: which model do they belong to?\n"
                    "  Say so with constructor='package.module:function', which builds the Keras model."
                )
            safe = not request.trust
            model = _tried(path.name, lambda: package.saving.load_model(copy, compile=False, safe_mode=safe))
        for _, layer in operations_of(model):
            # What Normalization computes with is worked out from its weights; not every Keras 3 does so for HDF5.
            if isinstance(layer, nn.Module) and hasattr(layer, "finalize_state"):
                cast("Any", layer).finalize_state()
        return loaded_model(model)


def _tried(name: str, load: Callable[[], Any]) -> Any:
    """What Keras loads; its failures, which are of every kind and many pages long, as one error."""
    try:
        with warnings.catch_warnings():
            # Keras warns of its own internals: training that is not restored, conversions that numpy deprecates.
            warnings.simplefilter("ignore")
            return load()
    except SeglensError:
        raise
    except Exception as failed:
        text = " ".join(str(failed).split()) or type(failed).__name__
        raise NetworkError(
            f"{name} cannot be built by Keras {import_module('keras').__version__}: {text[:300]}\n"
            "  Where layers of your own are missing, import the module that registers them and load with trust=True, "
            "or give constructor=…, which builds the model."
        ) from failed


def loaded_model(model: Any) -> Loaded:
    """A Keras model as a network: its layout, what it emits, and what its input looks like."""
    if not model.built:
        raise NetworkError(
            f"the Keras model {model.name!r} was not built yet, so it has no weights.\n"
            "  Call it once on an example, or begin it with keras.Input(shape)."
        )
    last = layout_of(model)
    convention, batch, guesses = convention_of(model, last[0])
    endings = _endings(model, last)
    switches = [e.switch for e in endings if e.switch is not None]
    module = KerasModule(model, switches, last)
    fields, said = _emission(model, endings)
    if not fields:
        switches, fields, said = by_running(module, convention)
        if switches:
            module = KerasModule(model, switches, last)

    def emitting(emits: Literal["logits", "probabilities"]) -> nn.Module:
        return module if emits == "logits" else KerasModule(model, (), last)

    return Loaded(
        module, convention, batch, fields, notes=said, guesses=tuple(guesses), emitting=emitting if switches else None
    )


def _endings(model: Any, last: tuple[bool, bool]) -> list[Ending]:
    """How each output ends; none are separable unless all are by the same link: a network has one kind of output."""
    found: list[Ending] = []
    for output in tensors_of(model, "outputs"):
        rank = len(output.shape)
        channels = -1 if last[1] or rank < 4 else 1 - rank
        found.append(ending_of(model, output, channels))
    if len({(e.kind, e.link) for e in found}) > 1:
        return [
            replace(e, kind="sealed", switch=None, why="other outputs end otherwise") if e.kind == "separable" else e
            for e in found
        ]
    return found


def _emission(model: Any, endings: list[Ending]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Fields of the network by how the outputs end, and notes; empty where only values can tell."""
    if not endings or any(e.kind == "unknown" for e in endings):
        return {}, ()
    sealed = next((e for e in endings if e.kind == "sealed"), None)
    if sealed is not None:
        links = {e.link for e in endings}
        if len(links) > 1:
            ends = ", ".join(sorted(str(n or "none") for n in links))
            return {"emits": "probabilities"}, (
                f"the outputs of {model.name} end differently ({ends}), so "
                "none of their activations is separated. Say link='softmax' or 'sigmoid', as the one named by output= "
                "has it, and emits='logits' for one without.",
            )
        note = cannot_be_separated(model.name, sealed.link, sealed.why)
        return {"emits": "probabilities", "link": sealed.link}, (note,)
    link = endings[0].link
    return {"emits": "logits", **({"link": link} if link else {})}, ()
