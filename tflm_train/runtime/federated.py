"""Federated averaging of several devices' states (McMahan et al., AISTATS 2017).

Weights are averaged with their low bits: a weight `W` with residual `R` stands for `W + R / 2^bits`
steps. Biases are rounded half away from zero. `train/ranges`, the running ratios that predict
exponents, take the largest: too large a prediction only costs precision, too small a second pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tflm_train.errors import DataError
from tflm_train.runtime.state import Array, StateBlob, StateLayout, WeightPair

WEIGHTINGS = ("equal", "steps")
_LARGEST_WEIGHT = 127


def average(
    layout: StateLayout,
    blobs: Sequence[StateBlob],
    weighting: str = "equal",
    names: Sequence[str] | None = None,
) -> StateBlob:
    """Averages states of one model.

    Args:
      layout: Of the model.
      blobs: The states, at least two.
      weighting: `equal`, or `steps`: each state counts by the training steps it has taken, which
        at batch size 1 is the number of samples, as the paper weighs clients.
      names: What to call the states in messages.

    Returns:
      The average; its step is the largest of all.

    Raises:
      DataError: Fewer than two states, states of other models, or `steps` without any step taken.
    """
    names = [f"state {i}" for i in range(len(blobs))] if names is None else names
    if len(blobs) < 2:
        raise DataError("averaging needs at least two states")
    values = [layout.values(blob, name) for blob, name in zip(blobs, names, strict=True)]
    shares = _shares(blobs, weighting)
    columns = [list(column) for column in zip(*values, strict=True)]
    averaged: list[Array | None] = [None] * len(columns)
    for pair in layout.pairs:
        _average_weights(pair, columns, shares, averaged)
    for index, column in enumerate(columns):
        if averaged[index] is not None:
            continue
        if layout.variables[index].type_name == "INT32":
            limits = np.iinfo(np.int32)
            mean = np.clip(_round(_mean(column, shares)), limits.min, limits.max)
            averaged[index] = mean.astype(np.int32)
        else:
            averaged[index] = np.max(column, axis=0)
    done = [value for value in averaged if value is not None]
    return layout.pack(done, max(blob.step for blob in blobs), blobs[0].seed)


def _shares(blobs: Sequence[StateBlob], weighting: str) -> npt.NDArray[np.float64]:
    counts = np.array([1 if weighting == "equal" else blob.step for blob in blobs], np.float64)
    if not counts.any():
        raise DataError("no state has taken a training step; average with equal weights")
    shares: npt.NDArray[np.float64] = counts / counts.sum()
    return shares


def _average_weights(
    pair: WeightPair,
    columns: list[list[Array]],
    shares: npt.NDArray[np.float64],
    averaged: list[Array | None],
) -> None:
    bits = pair.residual_bits
    weights = columns[pair.weights]
    shape = weights[0].shape
    fine = [w.astype(np.float64).reshape(-1) * (1 << bits) for w in weights]
    if pair.residual is not None:
        for total, residual in zip(fine, columns[pair.residual], strict=True):
            total += _unpack(residual, bits, total.size)
    limit = _LARGEST_WEIGHT << bits
    mean = np.clip(_round(_mean(fine, shares)), -limit, limit).astype(np.int64)
    # As the update op splits: W is the nearest whole step, the rest its residual.
    whole = (mean + ((1 << bits) >> 1)) >> bits
    averaged[pair.weights] = whole.astype(np.int8).reshape(shape)
    if pair.residual is not None:
        rest = (mean - (whole << bits)).astype(np.int8)
        averaged[pair.residual] = _pack(rest, bits, columns[pair.residual][0])


def _unpack(residual: Array, bits: int, count: int) -> npt.NDArray[np.float64]:
    if bits == 8:
        return residual.reshape(-1).astype(np.float64)
    raw = residual.reshape(-1).view(np.uint8)
    nibbles = np.stack([raw & 15, raw >> 4], axis=1).reshape(-1)[:count].astype(np.int8)
    return np.where(nibbles > 7, nibbles - 16, nibbles).astype(np.float64)


def _pack(rest: npt.NDArray[np.int8], bits: int, like: Array) -> Array:
    if bits == 8:
        return rest.reshape(like.shape)
    nibbles = np.zeros(2 * like.size, np.uint8)
    nibbles[: rest.size] = rest.view(np.uint8) & 15
    return (nibbles[0::2] | nibbles[1::2] << 4).view(like.dtype).reshape(like.shape)


def _mean(values: Sequence[Array], shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    stacked = np.stack([v.astype(np.float64) for v in values])
    mean: npt.NDArray[np.float64] = np.tensordot(shares, stacked, axes=1)
    return mean


def _round(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    rounded: npt.NDArray[np.float64] = np.copysign(np.floor(np.abs(x) + 0.5), x)
    return rounded
