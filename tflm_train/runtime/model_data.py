"""The data of a data set as a model takes it: inputs, and what its output should be."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.data import Dataset, Samples, quantise, to_model_input
from tflm_train.data.pictures import ImageFiles
from tflm_train.errors import DataError
from tflm_train.model import Tensor
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import map_positions, real_values
from tflm_train.runtime.targets import target_array


def targets(
    interpreter: Interpreter,
    dataset: Dataset,
    x: npt.NDArray[Any],
    x_test: npt.NDArray[Any],
    limit: int | None,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """What the training and test outputs should be, checked against the model.

    Args:
      interpreter: The model, rewritten or not.
      dataset: The data.
      x: Training inputs as the model takes them.
      x_test: Test inputs likewise.
      limit: Use only that many of each.

    Returns:
      Targets for training and for test: class indices or a value per output; the inputs' real
      values where the model learns its own input.

    Raises:
      DataError: A target is missing or does not fit the model.
    """
    if interpreter.learns_its_input:
        tensor = interpreter.model.graph.inputs[0]
        return real_values(x, tensor), real_values(x_test, tensor)
    found = []
    for name, y in (("y_train", dataset.y_train), ("y_test", dataset.y_test)):
        if not y.size:
            raise DataError(
                f"the data set has no {name}; only a model that learns its own input (`target: "
                "input`) needs none"
            )
        found.append(y[:limit])
    output = interpreter.model.graph.outputs[interpreter.trained_output]
    classes = output.size // map_positions(interpreter)
    if classes > 1 and not interpreter.is_regression:
        dataset.check_classes(classes)
    for name, y in zip(("y_train", "y_test"), found, strict=True):
        _check_targets(interpreter, y, name, output)
    return found[0], found[1]


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


def model_inputs(interpreter: Interpreter, x: Samples, name: str) -> npt.NDArray[Any]:
    """Converts samples to the type of the model's input (int8, uint8, int16, or float32 as it is).

    Raises:
      DataError: They do not fit.
    """
    if interpreter.input_count != 1:
        raise DataError(
            f"{interpreter.model.name} has {interpreter.input_count} inputs; a data set feeds one: "
            "call Interpreter.train_step with a list of inputs instead"
        )
    tensor = interpreter.model.graph.inputs[0]
    if tensor.type_name == "INT8" and tensor.quantization is not None:
        return to_model_input(x, tensor.shape, tensor.scale, tensor.zero_point, name)
    if tensor.type_name == "UINT8" and tensor.quantization is not None:
        values = to_model_input(x, tensor.shape, tensor.scale, tensor.zero_point - 128, name)
        # Flipping the top bit of a byte adds 128.
        return values.view(np.uint8) ^ np.uint8(0x80)
    if tensor.type_name == "INT16" and tensor.quantization is not None:
        floats = _float_inputs(x, tensor, name)
        return quantise(floats, tensor.scale, tensor.zero_point, np.int16)
    if tensor.type_name == "FLOAT32":
        return _float_inputs(x, tensor, name)
    raise DataError(
        f"{interpreter.model.name}: input {tensor.name!r} is {tensor.type_name}; data sets can be "
        "fed to int8, uint8, int16 and float32 inputs"
    )


def _float_inputs(x: Samples, tensor: Tensor, name: str) -> npt.NDArray[np.float32]:
    if isinstance(x, ImageFiles) or x.dtype == np.uint8:
        # Pictures for a float input: the same resize, then the real value of pixel/255.
        pixels = to_model_input(x, tensor.shape, 1.0, 0, name)
        return ((pixels.astype(np.float32) + 128.0) / 255.0).astype(np.float32)
    if x.shape[1:] != tensor.shape[1:]:
        raise DataError(
            f"{name}: samples of shape {list(x.shape[1:])} do not fit the model's input "
            f"{list(tensor.shape[1:])}"
        )
    return x.astype(np.float32)
