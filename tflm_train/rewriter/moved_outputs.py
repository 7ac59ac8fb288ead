"""By how much a change of the weights moves what a model answers."""

from __future__ import annotations

import numpy as np

from tflm_train.errors import ModelError, RuntimeFailure
from tflm_train.model import Model, Tensor
from tflm_train.runtime.interpreter import Interpreter

_TRIED = 16


def moved_outputs(cause: str, before: Model, after: Model) -> list[str]:
    """Runs two forms of a model on random inputs.

    Args:
      cause: What makes them differ.
      before: The original.
      after: The rewritten model.

    Returns:
      A sentence that says how far the outputs differ; none where TFLM is not at hand.
    """
    try:
        one, other = Interpreter(before), Interpreter(after)
    except (ModelError, RuntimeFailure):
        return []
    rng = np.random.default_rng(0)
    largest = moved = total = 0.0
    for _ in range(_TRIED):
        inputs = [_random(tensor, rng) for tensor in before.graph.inputs]
        index = other.trained_output
        one.infer(*inputs)
        given = other.infer(*inputs).astype(np.float64)
        difference = np.abs(given - one.output(index).astype(np.float64))
        largest = max(largest, float(difference.max()))
        moved += float(np.count_nonzero(difference))
        total += difference.size
    kind = before.graph.outputs[other.trained_output].type_name
    unit = "" if kind == "FLOAT32" else " steps"
    return [
        f"{cause} moves {moved / total:.0%} of the outputs of {_TRIED} random inputs, by at most "
        f"{largest:g}{unit}"
    ]


def _random(tensor: Tensor, rng: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype]:
    assert tensor.dtype is not None
    if tensor.dtype.kind in "iu":
        limits = np.iinfo(tensor.dtype)
        return rng.integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True)
    return rng.normal(size=tensor.shape).astype(tensor.dtype)
