"""What a training step is told the output should be, checked against the model's loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.backward_ops.loss import (
    check_probabilities,
    check_values,
    one_hot,
)
from tflm_train.errors import DataError
from tflm_train.ops.constants import LossKind, TargetKind


def target_array(loss: ops.Loss, target: npt.ArrayLike | None) -> npt.NDArray[Any] | None:
    """A target as the model's `train/label` input takes it; None where it has none.

    Args:
      loss: Parameters of the loss.
      target: See `Interpreter.train_step`.

    Raises:
      DataError: It does not fit the loss.
    """
    if loss.target_kind == TargetKind.INPUT:
        if target is not None:
            raise DataError("the target of this model is its own input; give None as the target")
        return None
    if target is None:
        raise DataError("the loss of this model needs a target; only `target: input` needs none")
    value = np.asarray(target)
    if loss.target_kind == TargetKind.INDEX:
        return _indices(loss, value)
    if value.ndim == 0 and value.dtype.kind in "iu" and loss.classes > 1:
        value = _one_hot(int(value), loss)
    values = value.astype(np.float32).reshape(-1)
    if values.size != loss.outputs:
        raise DataError(
            f"the target has {values.size} values; the model has {loss.outputs} outputs"
        )
    if loss.loss_kind == LossKind.MEAN_SQUARED_ERROR:
        check_values(values)
    else:
        check_probabilities(values)
    return values


def _indices(loss: ops.Loss, value: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """The class indices of a sample, or of each position of its map."""
    wanted = "one class index" if loss.positions == 1 else f"{loss.positions} class indices"
    whole = value.dtype.kind in "iu" or (
        # A data set keeps a map of indices as floats, as it does all targets of several values.
        value.dtype.kind == "f" and loss.positions > 1 and np.array_equal(value, np.floor(value))
    )
    if value.size != loss.positions or not whole:
        raise DataError(f"the target is {value.dtype} {value.shape}; this model takes {wanted}")
    labels = value.reshape(-1).astype(np.int64)
    wrong = labels[(labels < 0) | (labels >= loss.classes)]
    if wrong.size:
        raise DataError(f"label {wrong[0]} is out of range: the model has {loss.classes} classes")
    return labels.astype(np.int32)


def _one_hot(label: int, loss: ops.Loss) -> npt.NDArray[np.float32]:
    if loss.loss_kind == LossKind.MEAN_SQUARED_ERROR:
        raise DataError(f"the target is one number; the model has {loss.classes} outputs")
    return one_hot(label, loss.classes)
