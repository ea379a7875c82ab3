"""Keras files written by hand: as TensorFlow's Keras 2 writes them, and as someone would who means harm."""

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from keras_models import torch_unet


def keras2_layer(kind: str, name: str, inbound: list[Any] | None, **config: Any) -> dict[str, Any]:
    """One layer as Keras 2 writes it; inbound: names of the layers before it, each with keywords where it has any."""
    nodes = [] if inbound is None else [[[i, 0, 0, {}] if isinstance(i, str) else i for i in inbound]]
    shared = {"name": name, "trainable": True, "dtype": "float32"}
    return {"class_name": kind, "name": name, "config": {**shared, **config}, "inbound_nodes": nodes}


def _initialiser(kind: str = "GlorotUniform") -> dict[str, Any]:
    return {"class_name": kind, "config": {"seed": None} if kind == "GlorotUniform" else {}}


def convolution(filters: int, size: int, activation: str = "linear", **more: Any) -> dict[str, Any]:
    """The settings of a convolution as tf.keras 2.15 writes them, with `groups` also where Keras 3 takes none."""
    return {
        "filters": filters,
        "kernel_size": [size, size],
        "strides": [1, 1],
        "padding": "same",
        "data_format": "channels_last",
        "dilation_rate": [1, 1],
        "groups": 1,
        "activation": activation,
        "use_bias": True,
        "kernel_initializer": _initialiser(),
        "bias_initializer": _initialiser("Zeros"),
        "kernel_regularizer": None,
        "bias_regularizer": None,
        "activity_regularizer": None,
        "kernel_constraint": None,
        "bias_constraint": None,
        **more,
    }


def keras2_unet() -> tuple[dict[str, Any], dict[str, list[np.ndarray]]]:
    """The U-Net of keras_models as TensorFlow's Keras 2 writes it: its configuration, and weights by layer."""
    norm = {
        "axis": [3],
        "momentum": 0.99,
        "epsilon": 0.001,
        "center": True,
        "scale": True,
        "beta_initializer": _initialiser("Zeros"),
        "gamma_initializer": _initialiser("Ones"),
        "moving_mean_initializer": _initialiser("Zeros"),
        "moving_variance_initializer": _initialiser("Ones"),
        "beta_regularizer": None,
        "gamma_regularizer": None,
        "beta_constraint": None,
        "gamma_constraint": None,
    }
    pool = {"pool_size": [2, 2], "padding": "valid", "strides": [2, 2], "data_format": "channels_last"}
    layers = [
        keras2_layer("InputLayer", "image", None, batch_input_shape=[None, 16, 16, 3], sparse=False, ragged=False),
        keras2_layer("Conv2D", "enter", ["image"], **convolution(6, 3)),
        keras2_layer("BatchNormalization", "norm", ["enter"], **norm),
        keras2_layer("ReLU", "relu", ["norm"], max_value=None, negative_slope=0.0, threshold=0.0),
        keras2_layer("MaxPooling2D", "pool", ["relu"], **pool),
        keras2_layer("Conv2D", "deep", ["pool"], **convolution(8, 3, "relu")),
        keras2_layer(
            "Conv2DTranspose", "up", ["deep"], **convolution(6, 2, strides=[2, 2], output_padding=None, padding="valid")
        ),
        keras2_layer("Concatenate", "skip", ["up", "relu"], axis=-1),
        keras2_layer("Conv2D", "head", ["skip"], **convolution(4, 1, "softmax")),
    ]
    for layer in layers[:1]:
        del layer["config"]["trainable"]
    net = torch_unet()
    weights: dict[str, list[np.ndarray]] = {
        name: [getattr(net, name).weight.detach().permute(2, 3, 1, 0).numpy(), getattr(net, name).bias.detach().numpy()]
        for name in ("enter", "deep", "up", "head")
    }
    stats = (net.norm.weight, net.norm.bias, net.norm.running_mean, net.norm.running_var)
    weights["norm"] = [t.detach().numpy() for t in stats if t is not None]
    return functional(layers), weights


def functional(layers: list[dict[str, Any]]) -> dict[str, Any]:
    """A functional model of Keras 2 from its first layer to its last."""
    config = {
        "name": "model",
        "trainable": True,
        "layers": layers,
        "input_layers": [[layers[0]["name"], 0, 0]],
        "output_layers": [[layers[-1]["name"], 0, 0]],
    }
    return {"class_name": "Functional", "config": config}


def write_keras2(
    path: Path, config: Mapping[str, Any] | str | None, weights: Mapping[str, list[np.ndarray]], names: list[str]
) -> Path:
    """An .h5 file of TensorFlow's Keras 2; names: of all layers in order. config None: the weights alone."""
    with h5py.File(path, "w") as file:
        root: Any = file
        if config is not None:
            file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
            file.attrs["training_config"] = json.dumps({"loss": {"class_name": "Mine", "config": {}}})
            root = file.create_group("model_weights")
        root.attrs["keras_version"] = file.attrs["keras_version"] = "2.15.0"
        root.attrs["backend"] = file.attrs["backend"] = "tensorflow"
        root.attrs["layer_names"] = [n.encode() for n in names]
        for name in names:
            group = root.create_group(name)
            held = weights.get(name, [])
            group.attrs["weight_names"] = [f"{name}/{i}:0".encode() for i in range(len(held))]
            for i, value in enumerate(held):
                group.create_dataset(f"{name}/{i}:0", data=value)
    return path


def layer_names(config: Mapping[str, Any]) -> list[str]:
    return [a["config"]["name"] for a in config["config"]["layers"]]


def tampered(path: Path, to: Path, change: Callable[[dict[str, bytes]], None], compress: bool = False) -> Path:
    """A copy of a .keras file whose members (name to bytes) were changed in place."""
    with zipfile.ZipFile(path) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    change(members)
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return to


def edited(path: Path, to: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a .keras file whose configuration was changed in place."""

    def rewrite(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        change(config)
        members["config.json"] = json.dumps(config).encode()

    return tampered(path, to, rewrite)
