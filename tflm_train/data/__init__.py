"""Data sets: what is read from where, and how samples reach the input of a model."""

from tflm_train.data.dataset import Dataset, Part, Samples
from tflm_train.data.load import Reading, load_class_names, load_dataset
from tflm_train.data.model_input import quantise, to_model_input
from tflm_train.data.normalization import Normalization

__all__ = [
    "Dataset",
    "Normalization",
    "Part",
    "Reading",
    "Samples",
    "load_class_names",
    "load_dataset",
    "quantise",
    "to_model_input",
]
