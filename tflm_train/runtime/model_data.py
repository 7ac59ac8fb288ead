"""The data of a data set as a model takes it: inputs, and what its output should be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.data import Dataset, Normalization, Samples, quantise, to_model_input
from tflm_train.data.dataset import check_labels
from tflm_train.data.labels import class_indices
from tflm_train.data.model_input import are_pictures, fitting_shape, pixel_rule, pixels_of
from tflm_train.errors import DataError
from tflm_train.graph import Graph
from tflm_train.model import Tensor
from tflm_train.ops.constants import TargetKind
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import chooses_one, map_positions, metric_for, real_values
from tflm_train.runtime.targets import target_array

_FEWEST_VALUES = 16
"""A model of as many outputs as inputs, and at least so many, may repeat its input."""


def part_for(
    interpreter: Interpreter, dataset: Dataset, part: str
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """What a model takes for each sample of a part, and what its output should be.

    Args:
      interpreter: The model, rewritten or not.
      dataset: The data.
      part: `train`, `val` or `test`; the data set has it.

    Returns:
      Inputs, and targets as `targets` gives them.

    Raises:
      DataError: Samples or targets are missing or do not fit the model.
    """
    x = getattr(dataset, f"x_{part}")
    inputs = model_inputs(interpreter, x, f"x_{part}", dataset.normalization)
    return inputs, targets(interpreter, dataset, part, inputs)


def targets(
    interpreter: Interpreter, dataset: Dataset, part: str, x: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """What the outputs for a part should be, checked against the model.

    Args:
      interpreter: The model, rewritten or not.
      dataset: The data.
      part: `train`, `val` or `test`; the data set has it.
      x: The part's inputs as the model takes them.

    Returns:
      Class indices or a value per output; the inputs' real values where the model learns its own
      input, or looks as if it had.

    Raises:
      DataError: A target is missing or does not fit the model.
    """
    name = f"y_{part}"
    y: npt.NDArray[Any] = getattr(dataset, name)
    if interpreter.learns_its_input or _repeats_its_input(interpreter, y):
        return real_values(x, interpreter.model.graph.inputs[0])
    if not y.size:
        raise DataError(
            f"the data set has no {name}; only a model that learns its own input (`target: input`) "
            "needs none"
        )
    output = interpreter.model.graph.outputs[interpreter.trained_output]
    positions = map_positions(interpreter)
    classes = output.size // positions
    if positions == 1 and chooses_one(interpreter):
        y = _indices(interpreter, y, name)
    if classes > 1 and not interpreter.is_regression:
        check_labels(y, name, classes)
    _check_targets(interpreter, y, name, output)
    return y


def _repeats_its_input(interpreter: Interpreter, y: npt.NDArray[Any]) -> bool:
    """Whether a model without a loss is an autoencoder, and labels tell normal from anomalous."""
    if interpreter.loss is not None or interpreter.input_count != 1:
        return False
    graph = interpreter.model.graph
    sizes = graph.inputs[0].size, graph.outputs[interpreter.trained_output].size
    if sizes[0] != sizes[1] or sizes[0] < _FEWEST_VALUES or metric_for(interpreter, y).is_class:
        return False
    has_labels = y.ndim == 1 and y.dtype.kind in "iu" and y.size > 0
    return not chooses_one(interpreter) and (not y.size or (has_labels and int(y.max()) <= 1))


def _indices(interpreter: Interpreter, y: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Labels of a model of which one class is right, as indices where they can be that."""
    found = class_indices(y)
    loss = interpreter.loss
    if found is not None or loss is None or loss.target_kind != TargetKind.INDEX:
        return y if found is None else found
    if y.dtype.kind == "f" and y.size and not (y.min() >= 0 and y.max() <= 1):
        raise DataError(
            f"{name} has shape {list(y.shape)} and values from {y.min():.3g} to {y.max():.3g}, no "
            "classes; rewrite the model to learn values (a scheme with `loss: mean_squared_error`)"
        )
    raise DataError(
        f"{name} has shape {list(y.shape)} and is neither class indices nor one-hot; make indices "
        f"of it ({name}.argmax(axis=1)), or rewrite the model to learn probabilities (a scheme "
        "with `loss: {target: probabilities}`)"
    )


def _check_targets(
    interpreter: Interpreter, y: npt.NDArray[Any], name: str, output: Tensor
) -> None:
    positions = map_positions(interpreter)
    if positions > 1 and y[0].size not in (positions, output.size):
        raise DataError(
            f"{name}: {y[0].size} values for each sample, but the model classifies {positions} "
            f"positions of {list(output.shape)}: give the index of the class for each of them"
        )
    if positions == 1 and y.ndim > 1 and y[0].size != output.size:
        raise DataError(
            f"{name}: {y[0].size} values for each sample, but the model has {output.size} outputs"
        )
    if interpreter.loss is None:
        return
    for index, value in enumerate(y):
        try:
            target_array(interpreter.loss, value)
        except DataError as error:
            raise DataError(f"{name}[{index}]: {error}") from error


def model_inputs(
    interpreter: Interpreter, x: Samples, name: str, normalization: Normalization | None = None
) -> npt.NDArray[Any]:
    """Converts samples to the type of the model's input (int8, uint8, int16, or float32 as it is).

    Args:
      interpreter: The model.
      x: Samples of a data set.
      name: What to call them in messages.
      normalization: What the model was trained on, where that is stated.

    Raises:
      DataError: They do not fit.
    """
    if interpreter.input_count != 1:
        raise DataError(
            f"{interpreter.model.name} has {interpreter.input_count} inputs; a data set feeds one: "
            "call Interpreter.train_step with a list of inputs instead"
        )
    graph = interpreter.model.graph
    tensor = graph.inputs[0]
    kind = tensor.type_name if tensor.quantization is not None else "FLOAT32"
    if kind == "INT8":
        scale, zero_point = tensor.scale, tensor.zero_point
        return to_model_input(x, tensor.shape, scale, zero_point, name, normalization)
    if kind == "UINT8" and are_pictures(x) and normalization is None:
        return pixels_of(x, tensor.shape, name)  # As a camera gives them to the firmware.
    if kind == "UINT8":
        scale, zero_point = tensor.scale, tensor.zero_point - 128
        values = to_model_input(x, tensor.shape, scale, zero_point, name, normalization)
        # Flipping the top bit of a byte adds 128.
        return values.view(np.uint8) ^ np.uint8(0x80)
    if kind == "INT16" or tensor.type_name == "FLOAT32":
        pixels = (0.0, 1.0)
        if are_pictures(x) and normalization is None:
            limits = real_range(tensor) if kind == "INT16" else _range_behind(graph, tensor)
            pixels = pixel_rule(*limits, name)
        floats = real_inputs(x, tensor.shape, pixels, name, normalization)
        if kind == "FLOAT32":
            return floats
        return quantise(floats, tensor.scale, tensor.zero_point, np.int16)
    raise DataError(
        f"{interpreter.model.name}: input {tensor.name!r} is {tensor.type_name}; data sets can be "
        "fed to int8, uint8, int16 and float32 inputs"
    )


def real_values_as_input(x: npt.NDArray[Any], tensor: Tensor) -> npt.NDArray[Any]:
    """Real values as the elements of a quantized input."""
    kinds: dict[str, type[np.integer[Any]]] = {
        "INT8": np.int8,
        "UINT8": np.uint8,
        "INT16": np.int16,
    }
    kind = kinds[tensor.type_name]
    return quantise(x, tensor.scale, tensor.zero_point, kind)


def real_inputs(
    x: Samples,
    shape: Sequence[int],
    pixels: tuple[float, float],
    name: str,
    normalization: Normalization | None,
) -> npt.NDArray[np.float32]:
    """Samples as the real values that a model is to see.

    Args:
      x: Samples of a data set.
      shape: Of the model's input, batch of 1 first.
      pixels: What a black and a white pixel are to the model, without `normalization`.
      name: What to call the samples in messages.
      normalization: What the model was trained on, where that is stated.

    Raises:
      DataError: They do not fit.
    """
    if are_pictures(x):
        values = pixels_of(x, shape, name)
        if normalization is not None:
            return normalization.real_values(values, name).astype(np.float32)
        black, white = pixels
        return (black + values.astype(np.float32) * ((white - black) / 255.0)).astype(np.float32)
    assert isinstance(x, np.ndarray)
    if x.dtype == np.int8:
        raise DataError(
            f"{name} is int8, the input of some int8 model; this one takes real values (float32) "
            "or pictures (uint8)"
        )
    target = fitting_shape(x, shape, name)
    real = x if normalization is None else normalization.real_values(x, name)
    return real.astype(np.float32).reshape(len(x), *target)


def real_range(tensor: Tensor) -> tuple[float, float]:
    """The least and the largest real value of a quantized tensor."""
    limits = np.iinfo(tensor.dtype)
    low, high = ((limit - tensor.zero_point) * tensor.scale for limit in (limits.min, limits.max))
    return low, high


def _range_behind(graph: Graph, tensor: Tensor) -> tuple[float, float]:
    """The range that a float input is quantized to at once; 0 to 1 where it is not."""
    for op in graph.ops:
        if op.name == "QUANTIZE" and op.inputs[0] is tensor:
            return real_range(op.output)
    return 0.0, 1.0
