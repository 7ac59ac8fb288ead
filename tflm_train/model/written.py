"""The last step of every command that makes a model: nothing is handed out that cannot be read."""

from __future__ import annotations

import numpy as np

from tflm_train.errors import ModelError, UnsupportedError
from tflm_train.graph import Quantization, Tensor
from tflm_train.model.model import Model


def write_checked(model: Model) -> bytes:
    """Writes a model that this tool has changed, and reads it back.

    TFLM before 26 January 2026 fills every int8 variable with the first of its zero points without
    asking whether it has any, and crashes in `AllocateTensors()` where there is none. Those that
    have no quantization of their own (residuals, for one) therefore get scale 1 and zero point 0.

    Args:
      model: The changed model; its int8 variables may get their quantization.

    Returns:
      The bytes of a .tflite file that `Model` reads.

    Raises:
      UnsupportedError: What was made would not load; nothing may be written then.
    """
    return check_written(write(model), model.name)


def write(model: Model) -> bytes:
    """Writes a model that this tool has changed; only `write_checked` makes sure of the result.

    Args:
      model: The changed model; its int8 variables may get their quantization.

    Returns:
      The bytes of a .tflite file.
    """
    for tensor in model.graph.tensors:
        if _is_unguarded(tensor):
            tensor.quantization = Quantization(np.ones(1, np.float32), np.zeros(1, np.int64))
    return model.to_bytes()


def check_written(data: bytes, name: str) -> bytes:
    """Reads back what is about to be written.

    Args:
      data: The bytes of a .tflite file.
      name: What to call it in messages.

    Returns:
      The same bytes.

    Raises:
      UnsupportedError: They would not load, or crash an older TFLM.
    """
    try:
        model = Model(data, name)
    except ModelError as error:
        raise UnsupportedError(
            f"the changed model would not load, so it was not written: {error}"
        ) from error
    variables = [t for g in (model.graph, *model.other_graphs) for t in g.tensors if t.is_variable]
    unguarded = [t for t in variables if _is_unguarded(t)]
    if unguarded:
        raise UnsupportedError(
            f"{name}: the int8 variable {unguarded[0].name!r} has no zero point, which TFLM before "
            "26 January 2026 reads unasked; convert the model again"
        )
    return data


def _is_unguarded(tensor: Tensor) -> bool:
    return tensor.is_variable and tensor.type_name == "INT8" and tensor.quantization is None
