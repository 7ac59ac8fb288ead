"""What to train: the YAML scheme and its resolution against a model."""

from tflm_train.scheme.resolve import UpdatePlan, resolve
from tflm_train.scheme.scheme import Head, Loss, Scheme, WeightUpdate

__all__ = ["Head", "Loss", "Scheme", "UpdatePlan", "WeightUpdate", "resolve"]
