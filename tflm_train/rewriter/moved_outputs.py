"""By how much a change of a model moves what it answers."""

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
      after: The changed model, of the same inputs and first outputs.

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
        one.infer(*inputs)
        other.infer(*inputs)
        for index in range(len(before.graph.outputs)):
            pair = (x.output(index).astype(np.float64) for x in (one, other))
            difference = np.abs(np.subtract(*pair))
            largest = max(largest, float(difference.max(initial=0.0)))
            moved += float(np.count_nonzero(difference))
            total += difference.size
    unit = "" if before.graph.outputs[0].type_name == "FLOAT32" else " steps"
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
