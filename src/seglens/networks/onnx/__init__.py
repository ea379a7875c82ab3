"""ONNX: a graph of operators as a torch module that can be differentiated, its layers called after its nodes."""

from seglens.networks.onnx.loading import adapt, load_onnx

__all__ = ["adapt", "load_onnx"]
