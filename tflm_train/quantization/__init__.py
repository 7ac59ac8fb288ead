"""The way in for models that are not int8 yet."""

from tflm_train.quantization.float_model import load_float
from tflm_train.quantization.quantize import LayerError, Loss, Quantized, quantize

__all__ = ["LayerError", "Loss", "Quantized", "load_float", "quantize"]
