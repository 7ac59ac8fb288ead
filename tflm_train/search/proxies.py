"""Cheap stand-ins for contributions: what a few samples say of each layer without a fine-tune.

All of them look at the model with its head trained, at the first samples that train:

    gradient   gradient times update: by how much the loss falls, to first order, in a step of SGD
    fisher     Fisher information of the activations that the weights read (Theis et al., "Faster
               gaze prediction with dense networks and Fisher pruning", 2018)
    magnitude  sum of the squares of the weights

How well they rank layers is measured by `python -m benchmarks.proxies`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.data.dataset import TRAIN
from tflm_train.model import Model
from tflm_train.model.layers import Layer, list_layers
from tflm_train.ops.reading import is_ours, read_params
from tflm_train.qas.update import unpack_residual
from tflm_train.rewriter.rewrite import rewrite
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.model_data import part_for
from tflm_train.scheme import Scheme, WeightUpdate
from tflm_train.scheme.head import KEPT_HEAD
from tflm_train.scheme.select import select_channels
from tflm_train.search.candidates import Candidates
from tflm_train.search.split_data import SplitData

PROXIES = ("gradient", "fisher", "magnitude")
SAMPLES = 64
_RATE_SHARE = 0.1
"""Of the head's rate: the model must hardly move while it is looked at."""
_WHOLE_STEP = 256.0
"""Steps of the residual in one of an int8 weight."""
Key = tuple[int, float]


def proxies(
    trained: Model, data: SplitData, candidates: Candidates, rate: float
) -> dict[str, dict[Key, float]]:
    """Looks at the layers whose weights are candidates.

    Args:
      trained: The model with its head trained (`FineTuner.trained`).
      data: The data that it trained on.
      candidates: Of the factory model.
      rate: At which the head trained.

    Returns:
      For each of `PROXIES` a value by layer and share of its input channels; more is better.
    """
    wanted = sorted({each.layer for each in candidates.weights if each.layer is not None})
    scheme = dataclasses.replace(
        candidates.head.scheme,
        head=KEPT_HEAD,
        weights=tuple(WeightUpdate(layer) for layer in wanted),
    )
    layers = {layer.index: layer for layer in list_layers(trained.graph)}
    fisher, update = _look(trained, scheme, [layers[index] for index in wanted], data, rate)
    found: dict[str, dict[Key, float]] = {name: {} for name in PROXIES}
    for candidate in candidates.weights:
        assert candidate.layer is not None
        layer, key = layers[candidate.layer], (candidate.layer, candidate.ratio)
        kept = select_channels(WeightUpdate(*key), layer, scheme.seed)
        found["gradient"][key] = float(update[layer.index][kept].sum()) / rate
        found["fisher"][key] = float(fisher[layer.index][kept].sum())
        found["magnitude"][key] = float(_by_channel(layer, _real_weights(layer))[kept].sum())
    return found


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """The rank correlation of two lists; equal values share a rank."""
    first, second = (_ranks(np.asarray(values, float)) for values in (one, other))
    return float(np.corrcoef(first, second)[0, 1])


def _look(
    trained: Model, scheme: Scheme, layers: Sequence[Layer], data: SplitData, rate: float
) -> tuple[Mapping[int, npt.NDArray[Any]], Mapping[int, npt.NDArray[Any]]]:
    """One pass over a few samples.

    Returns:
      By layer and input channel the Fisher information of the activation, and the sum of the
      squares of all updates together.
    """
    model = Model(rewrite(trained, scheme).model_bytes, trained.name)
    interpreter = Interpreter(model, preserve_all=True)
    samples = min(SAMPLES, len(data.y_train))
    some = data.dataset.with_parts(train=data.dataset.train.take(np.arange(samples)))
    x, y = part_for(interpreter, some, TRAIN)
    slots = _gradients(model)
    fisher = {layer.index: np.zeros(layer.in_channels) for layer in layers}
    before = interpreter.variables()
    for sample, target in zip(x, y, strict=True):
        given = None if interpreter.learns_its_input else target
        interpreter.train_step(sample, given, _RATE_SHARE * rate)
        scales = interpreter.variables()["train/scales"]
        for layer in layers:
            gradient = f"grad/{layer.x.short_name}"
            # The first layer that trains has no gradient of its input.
            if gradient in slots:
                scale = float(scales[slots[gradient]])
                fisher[layer.index] += _information(interpreter, layer, gradient, scale)
    after = interpreter.variables()
    update = {}
    for layer in layers:
        moved = _moved(before, after, layer)
        update[layer.index] = _by_channel(layer, moved * _scales(layer))
    return fisher, update


def _gradients(model: Model) -> Mapping[str, int]:
    """For each gradient tensor of a rewritten model where its scale is in `train/scales`."""
    slots = {}
    for op in model.graph.ops:
        if is_ours(op):
            slot = getattr(read_params(op, model.graph, model.name), "slot_out", None)
            if isinstance(slot, int):
                slots[op.output.name] = slot
    return slots


def _information(
    interpreter: Interpreter, layer: Layer, gradient: str, scale: float
) -> npt.NDArray[np.float64]:
    """The square of each input channel's sum of activation times gradient."""
    values = interpreter.tensor(layer.x.name).astype(np.float64) - layer.x.zero_point
    product = values * interpreter.tensor(gradient) * (scale * layer.x.scale)
    return np.asarray(product.reshape(-1, layer.in_channels).sum(axis=0) ** 2)


def _moved(
    before: Mapping[str, Any], after: Mapping[str, Any], layer: Layer
) -> npt.NDArray[np.float64]:
    """By how many steps of an int8 weight the weights moved."""
    name, residual = layer.weights.name, f"update/{layer.name}/residual"
    whole = after[name].astype(np.float64) - before[name]
    low, was = (
        unpack_residual(values[residual], 8, whole.size).reshape(whole.shape)
        for values in (after, before)
    )
    return np.asarray(whole + (low.astype(np.float64) - was) / _WHOLE_STEP)


def _real_weights(layer: Layer) -> npt.NDArray[np.float64]:
    assert layer.weights.data is not None
    return np.asarray(layer.weights.data * _scales(layer))


def _scales(layer: Layer) -> npt.NDArray[np.float64]:
    """The weights' scales, in a shape that multiplies them."""
    quantization = layer.weights.quantization
    assert quantization is not None
    scales = quantization.scale.astype(np.float64)
    if layer.is_depthwise or scales.size == 1:
        return np.asarray(scales)
    return np.asarray(scales.reshape(-1, *[1] * (len(layer.weights.shape) - 1)))


def _by_channel(layer: Layer, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The sum of squares over each input channel's weights."""
    squares = values**2
    count = layer.in_channels
    if layer.is_depthwise:
        return np.asarray(squares.reshape(-1, count, squares.shape[-1] // count).sum(axis=(0, 2)))
    return np.asarray(squares.reshape(-1, count).sum(axis=0))


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks from 0; the mean of those that equal values would have."""
    smaller = (values[:, np.newaxis] > values).sum(axis=1)
    equal = (values[:, np.newaxis] == values).sum(axis=1)
    return np.asarray(smaller + (equal - 1) / 2)
