"""Federated averaging of several devices' states (McMahan et al., AISTATS 2017).

Weights are averaged with their low bits: a weight `W` with residual `R` stands for `W + R / 2^bits`
steps. Biases are rounded half away from zero. `train/ranges`, the running ratios that predict
exponents, take the largest: too large a prediction only costs precision, too small a second pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tflm_train.errors import DataError
from tflm_train.qas.update import pack_residual, unpack_residual
from tflm_train.trained.state import Array, StateBlob, StateLayout
from tflm_train.trained.trainable_model import Update, VariableKind

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
    variables = layout.model.variables
    columns = {v.key: list(column) for v, *column in zip(variables, *values, strict=True)}
    averaged: dict[str, Array] = {}
    for update in layout.model.updates:
        averaged |= _average_weights(update, columns, shares)
    for variable in variables:
        column = columns[variable.key]
        if variable.kind is VariableKind.BIAS:
            limits = np.iinfo(np.int32)
            mean = np.clip(_round(_mean(column, shares)), limits.min, limits.max)
            averaged[variable.key] = mean.astype(np.int32)
        elif variable.kind in (VariableKind.GATHERED, VariableKind.BIAS_GATHERED):
            # Steps that were not made on any device are nothing that could be averaged.
            averaged[variable.key] = np.zeros_like(column[0])
        elif variable.key not in averaged:
            averaged[variable.key] = np.max(column, axis=0)
    means = [averaged[variable.key] for variable in variables]
    return layout.pack(means, max(blob.step for blob in blobs), blobs[0].seed)


def _shares(blobs: Sequence[StateBlob], weighting: str) -> npt.NDArray[np.float64]:
    counts = np.array([1 if weighting == "equal" else blob.step for blob in blobs], np.float64)
    if not counts.any():
        raise DataError("no state has taken a training step; average with equal weights")
    shares: npt.NDArray[np.float64] = counts / counts.sum()
    return shares


def _average_weights(
    update: Update, columns: Mapping[str, list[Array]], shares: npt.NDArray[np.float64]
) -> dict[str, Array]:
    """The means of the weights that an op changes, and of their residual, by key."""
    weights, residual = update.weights, update.residual
    if weights is None:
        return {}
    bits = update.residual_bits
    shape = weights.tensor.shape
    fine = [w.astype(np.float64).reshape(-1) * (1 << bits) for w in columns[weights.key]]
    if residual is not None:
        for total, low in zip(fine, columns[residual.key], strict=True):
            total += unpack_residual(low, bits, total.size)
    limit = _LARGEST_WEIGHT << bits
    mean = np.clip(_round(_mean(fine, shares)), -limit, limit).astype(np.int64)
    # As the update op splits: W is the nearest whole step, the rest its residual.
    whole = (mean + ((1 << bits) >> 1)) >> bits
    means: dict[str, Array] = {weights.key: whole.astype(np.int8).reshape(shape)}
    if residual is not None:
        rest = (mean - (whole << bits)).astype(np.int8)
        means[residual.key] = pack_residual(rest, bits).reshape(residual.tensor.shape)
    return means


def _mean(values: Sequence[Array], shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    stacked = np.stack([v.astype(np.float64) for v in values])
    mean: npt.NDArray[np.float64] = np.tensordot(shares, stacked, axes=1)
    return mean


def _round(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    rounded: npt.NDArray[np.float64] = np.copysign(np.floor(np.abs(x) + 0.5), x)
    return rounded
