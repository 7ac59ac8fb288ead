"""Data sets: what is read from where, and how samples reach the input of a model."""

from tflm_train.data.dataset import Dataset, Samples
from tflm_train.data.load import load_dataset
from tflm_train.data.model_input import quantise, to_model_input

__all__ = ["Dataset", "Samples", "load_dataset", "quantise", "to_model_input"]
