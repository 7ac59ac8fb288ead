"""What to train: the YAML scheme and its resolution against a model."""

from tflm_train.scheme.head import Head
from tflm_train.scheme.loss import Loss
from tflm_train.scheme.resolve import UpdatePlan, resolve
from tflm_train.scheme.scheme import Scheme, WeightUpdate

__all__ = ["Head", "Loss", "Scheme", "UpdatePlan", "WeightUpdate", "resolve"]
