"""Quantization-aware scaling: the factors and the arithmetic of a parameter update."""

from tflm_train.qas.update import Factors, factors, gain_shift

__all__ = ["Factors", "factors", "gain_shift"]
