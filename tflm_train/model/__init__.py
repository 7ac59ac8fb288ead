"""A .tflite file as typed, mutable Python objects, and back."""

from tflm_train.graph import Graph, Op, Quantization, Tensor
from tflm_train.model.model import Model, load

__all__ = ["Graph", "Model", "Op", "Quantization", "Tensor", "load"]
