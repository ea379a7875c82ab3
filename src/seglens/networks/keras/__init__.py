"""Keras: models in files or in memory, run by Keras itself on its torch backend, their layers under Keras's names."""

from seglens.networks.keras.loading import adapt, importing, keras, load_h5, load_keras, loaded_model

__all__ = ["adapt", "importing", "keras", "load_h5", "load_keras", "loaded_model"]
