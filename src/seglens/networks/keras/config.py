"""The configuration in a Keras file: only Keras's own layers may stand in it; Keras 2's is put into Keras 3's words."""

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any, cast

from seglens.core.errors import NetworkError, UnsafeFileError
from seglens.networks.pickles import damaged

WAY_ROUND = (
    "If you trust whoever made the file as you trust their programs, import what defines these layers and load it with "
    "trust=True; or give constructor=…, which builds the model, and only weights are read."
)

_CODE = {
    "Lambda": "it holds Python code",
    "__lambda__": "it holds Python code",
    "TorchModuleWrapper": "it holds a pickle",
    "TFSMLayer": "it runs a SavedModel of TensorFlow from a path",
    "JaxLayer": "it holds code of JAX",
    "FlaxLayer": "it holds code of JAX",
    "StringLookup": "it reads files that the configuration names",
    "IntegerLookup": "it reads files that the configuration names",
    "TextVectorization": "it reads files that the configuration names",
    "FeatureSpace": "it builds layers of any kind",
    "__typespec__": "it holds types of TensorFlow",
}
_VALUES = ("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__")
_KINDS = (
    ("keras.layers", "Layer"),
    ("keras", "Operation"),
    ("keras.initializers", "Initializer"),
    ("keras.regularizers", "Regularizer"),
    ("keras.constraints", "Constraint"),
    ("keras.dtype_policies", "DTypePolicy"),
    ("keras.dtype_policies", "DTypePolicyMap"),
    ("keras.random", "SeedGenerator"),
    ("keras", "Quantizer"),
)
"""Base classes of what a model's configuration is made of."""

_LEGACY_SPACES = ("keras.layers", "keras.models", "keras.initializers", "keras.regularizers", "keras.constraints")
_FUNCTIONS = ("builtins", "keras.activations", "keras.initializers", "keras.regularizers", "keras.constraints")
_KEPT_BY_KERAS_2 = ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint")


def read_config(text: bytes | str, name: str, *, legacy: bool = False, trust: bool = False) -> dict[str, Any]:
    """The configuration in a file's JSON, without what only training needs, if nothing in it can run code.

    legacy: Keras 2's, which is put into Keras 3's words. trust: it may run code. Every class in it must be one of
    Keras's own layers, operations, initialisers and the like: what resolves to anything else (another package, a
    function that reads or downloads, a Lambda, a pickled module) is refused, all at once by name.
    Raises UnsafeFileError, and NetworkError for a configuration of another form.
    """
    try:
        found: object = json.loads(text)
        if not isinstance(found, dict) or "class_name" not in found:
            raise ValueError("its configuration names no model")
        config = _without_training(cast("dict[str, Any]", found))
        if legacy:
            config = modernised(config, name)
        refused = (
            {} if trust else {f"{p or 'the model'} ({w})": 0 for e, p in _entries(config, "") if (w := _refusal(e))}
        )
    except (ValueError, RecursionError) as failed:
        raise damaged(name, failed) from failed
    if refused:
        shown = list(refused)
        more = f"; {len(shown) - 6} more" if len(shown) > 6 else ""
        raise UnsafeFileError(
            f"{name} could run code when opened, so it was not: {'; '.join(shown[:6])}{more}.\n  {WAY_ROUND}"
        )
    return config


def _without_training(value: Any) -> Any:
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {k: _without_training(v) for k, v in table.items() if k != "compile_config"}
    return [_without_training(v) for v in cast("list[Any]", value)] if isinstance(value, list) else value


def _entries(value: Any, place: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Every table that names a class, with the layer that it stands in."""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        if "class_name" in table:
            inner = table.get("config")
            named = cast("dict[str, Any]", inner).get("name") if isinstance(inner, dict) else None
            if isinstance(named, str) and table["class_name"] != "DTypePolicy":
                place = f"{place}.{named}" if place else named
            yield table, place
        for inner in table.values():
            yield from _entries(inner, place)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _entries(inner, place)


def _refusal(entry: dict[str, Any]) -> str | None:
    """Why an entry may not be opened; None where it may."""
    name, module, registered = entry["class_name"], entry.get("module"), entry.get("registered_name")
    if not isinstance(name, str):
        return f"a class called {name!r}"
    if name in _CODE:
        return f"{name}: {_CODE[name]}"
    if name in _VALUES:
        return None
    if name == "function":
        named = entry.get("config")
        fine = module in _FUNCTIONS and isinstance(named, str) and named not in ("get", "deserialize", "serialize")
        return None if fine else f"the function {module}.{named}"
    if not (module is None or isinstance(module, str)):
        return f"a module called {module!r}"
    if isinstance(registered, str) and registered not in (name, ""):
        return f"{registered}: a class of another package"
    if not _is_own(module, name):
        return f"{module}.{name}: not one of Keras's layers" if module else f"{name}: not one of Keras's layers"
    return None


def _is_own(module: str | None, name: str) -> bool:
    """Whether a class by that name is one of Keras's own of the kinds that a model is made of."""
    if module is None:
        spaces = [import_module(s) for s in _LEGACY_SPACES]
        found = next((f for s in spaces if (f := getattr(s, name, None)) is not None), None)
        found = found or (getattr(sys.modules["keras.src.models.functional"], name, None))
    else:
        # Everything of Keras is imported with it: nothing is imported because a file names it.
        if module != "keras" and not module.startswith("keras."):
            return False
        found = getattr(sys.modules.get(module), name, None)
    if not isinstance(found, type):
        return False
    if any(c.__name__ in _CODE for c in found.__mro__):
        return False
    kinds = tuple(k for space, kind in _KINDS if isinstance(k := getattr(import_module(space), kind, None), type))
    return issubclass(found, kinds) and found.__module__.startswith("keras.")


def modernised(config: dict[str, Any], name: str) -> dict[str, Any]:
    """A Keras 2 configuration in Keras 3's words: keys that only Keras 2 wrote, classes that it named otherwise.

    Raises NetworkError for functions of TensorFlow that stand in the graph as layers, listing all of them.
    """
    foreign = sorted({f"{place} ({_function(e)})" for e, place in _entries(config, "") if _is_foreign(e)})
    if foreign:
        more = f", … ({len(foreign)} in all)" if len(foreign) > 6 else ""
        raise NetworkError(
            f"{name} holds functions of TensorFlow as layers, which only TensorFlow runs: "
            f"{', '.join(foreign[:6])}{more}.\n"
            "  Rebuild the model with Keras's own layers (Rescaling for x / 127.5 − 1, say), load its weights and save "
            "it; or convert it with tf2onnx and load that."
        )
    return _modern(config)


def _is_foreign(entry: dict[str, Any]) -> bool:
    return entry["class_name"] in ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod")


def _function(entry: dict[str, Any]) -> str:
    inner = entry.get("config")
    return str(cast("dict[str, Any]", inner).get("function", "")) if isinstance(inner, dict) else entry["class_name"]


def _modern(value: Any) -> Any:
    if isinstance(value, list):
        return [_modern(v) for v in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    table = {k: _modern(v) for k, v in cast("dict[str, Any]", value).items()}
    kind, inner = table.get("class_name"), table.get("config")
    if kind == "Sequential" and isinstance(inner, list):
        # Before Keras 2.2.3 a sequential model was a bare list of layers.
        table["config"] = inner = {"name": "sequential", "layers": inner}
    if kind == "Sequential" and isinstance(inner, dict):
        return {**table, "config": _with_input(cast("dict[str, Any]", value), cast("dict[str, Any]", inner))}
    if not isinstance(kind, str) or not isinstance(inner, dict):
        return table
    config = cast("dict[str, Any]", inner)
    if kind == "BatchNormalizationV1":
        table["class_name"] = kind = "BatchNormalization"
    if "Transpose" in kind or kind.startswith(("Depthwise", "Separable")):
        config = {k: v for k, v in config.items() if k != "groups"}
    if kind.startswith("Separable"):
        config = {k: v for k, v in config.items() if k not in _KEPT_BY_KERAS_2}
    if kind == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = config.pop("alpha")
    policy = config.get("dtype")
    if isinstance(policy, dict) and "module" not in policy:
        config["dtype"] = cast("dict[str, Any]", policy).get("config", {}).get("name", "float32")
    return {**table, "config": config}


def _with_input(old: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """A sequential model's settings with a layer for its input, which its first layer's shape once stood for."""
    layers = cast("list[dict[str, Any]]", config.get("layers") or [])
    if not layers or layers[0].get("class_name") == "InputLayer":
        return config
    before: Any = old["config"]
    first: Any = before[0] if isinstance(before, list) else before["layers"][0]
    shape = first.get("config", {}).get("batch_input_shape")
    if shape is None:
        return config
    entry = {"class_name": "InputLayer", "config": {"batch_input_shape": shape, "name": f"{config['name']}_input"}}
    return {**config, "layers": [entry, *layers]}
