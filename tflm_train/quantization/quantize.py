"""Makes an int8 model of a float one, and measures what that costs.

Static quantization by `ai-edge-quantizer`: int8 activations whose ranges are those of the user's
samples, int8 weights with one scale per output channel, int8 input and output.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter as LiteRt
from ai_edge_litert.interpreter import OpResolverType

from tflm_train.data import Dataset, Normalization
from tflm_train.data.model_input import are_pictures
from tflm_train.data.split import sampled
from tflm_train.errors import DataError, ModelError, RuntimeFailure, UnsupportedError
from tflm_train.model import Model, Tensor
from tflm_train.model.layers import list_layers
from tflm_train.quantization.float_model import SIGNATURE
from tflm_train.runtime.host_library import captured_stderr
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import metric_for, real_values
from tflm_train.runtime.model_data import model_inputs, real_inputs

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
OnSample = Callable[[int], None]

CALIBRATION_SAMPLES, TEST_SAMPLES = 256, 512
PIXELS = (0.0, 1.0)
"""The real values of a black and a white pixel."""

_LAYER_SAMPLES = 16
_ONLY_TYPES = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class LayerError:
    """How far a layer's output is off.

    Attributes:
      layer: Its number among the layers of the int8 model.
      name: Its name.
      error: Root mean square of the difference, relative to that of the float output.
    """

    layer: int
    name: str
    error: float


@dataclass(frozen=True)
class Loss:
    """What quantizing cost.

    Attributes:
      samples: Test samples that were run.
      metric: What the score is; None where the data has no targets.
      before: The score of the float model.
      after: That of the int8 one.
      output_error: Root mean square of the difference of the outputs, relative to that of the float
        outputs.
      layers: How far each layer is off, the worst first.
    """

    samples: int
    metric: str | None
    before: float | None
    after: float | None
    output_error: float
    layers: tuple[LayerError, ...]


@dataclass(frozen=True)
class Quantized:
    """An int8 model.

    Attributes:
      model: The model.
      calibration_samples: How many samples its ranges come from.
      stays_float: Operators that compute in float still: no layer before them trains.
      loss: What it cost.
    """

    model: Model
    calibration_samples: int
    stays_float: tuple[str, ...]
    loss: Loss


def quantize(
    model: Model,
    dataset: Dataset,
    *,
    samples: int = CALIBRATION_SAMPLES,
    tested: int = TEST_SAMPLES,
    pixels: tuple[float, float] = PIXELS,
    seed: int = 0,
) -> Quantized:
    """Quantizes a float model with the user's samples.

    Args:
      model: What `load_float` gives.
      dataset: The training samples give the ranges, the test samples say what was lost.
      samples: At most so many training samples are run.
      tested: At most so many test samples.
      pixels: The real values of a black and a white pixel, where the samples are pictures.
      seed: Of the choice of training samples.

    Returns:
      The int8 model and its measurement.

    Raises:
      DataError: The samples do not fit the model.
      UnsupportedError: The model has several inputs, or nothing of it can be quantized.
      RuntimeFailure: `ai-edge-quantizer` is not installed, or fails.
    """
    if len(model.graph.inputs) != 1:
        raise UnsupportedError(
            f"{model.name} has {len(model.graph.inputs)} inputs; a data set feeds one"
        )
    if not pixels[0] < pixels[1]:
        raise DataError(f"pixels {pixels[0]:g} to {pixels[1]:g}: black must be below white")
    if samples < 1 or tested < 1:
        raise DataError("at least 1 sample is needed to quantize, and 1 to test")
    norm, shape = dataset.normalization, model.graph.inputs[0].shape
    chosen = sampled(dataset, samples, seed).x_train
    calibration = real_inputs(chosen, shape, pixels, "x_train", norm)
    fixed = _input_range(pixels, norm) if are_pictures(chosen) else None
    data = _quantized(model, calibration, fixed)
    try:
        result = Model(data, model.name)
    except ModelError as error:
        reason = str(error).partition("corrupt .tflite file: ")[2] or str(error)
        raise UnsupportedError(
            f"{model.name}: the int8 model could not run: {reason.partition('; get')[0]}; are the "
            "samples what the float model takes?"
        ) from error
    float_ops = tuple(
        dict.fromkeys(
            op.name
            for op in result.graph.ops
            if op.name not in _ONLY_TYPES and any(t.type_name == "FLOAT32" for t in op.outputs)
        )
    )
    if not any(layer.x.type_name == "INT8" for layer in list_layers(result.graph)):
        raise UnsupportedError(
            f"{model.name}: no layer of it could be quantized ({', '.join(float_ops)} stay float)"
        )
    loss = _measure(model, result, dataset, tested, pixels)
    return Quantized(result, len(calibration), float_ops, loss)


def _input_range(pixels: tuple[float, float], norm: Normalization | None) -> tuple[float, float]:
    """What pictures reach over, whatever the samples show."""
    if norm is None:
        return pixels
    ends = [norm.real_values(np.full((1, norm.channels), p), "x") for p in (0, 255)]
    return float(np.min(ends)), float(np.max(ends))


def _quantized(model: Model, calibration: Floats, input_range: tuple[float, float] | None) -> bytes:
    """The int8 model's file.

    Args:
      model: The float model.
      calibration: [n, ...] its inputs.
      input_range: The range of its input, where that is known without looking.
    """
    if importlib.util.find_spec("ai_edge_quantizer") is None:
        raise RuntimeFailure("this needs ai-edge-quantizer; pip install 'tflm_train[quantize]'")
    from ai_edge_quantizer import quantizer, recipe

    name = model.signature_names()[id(model.graph.inputs[0])]
    try:
        with _silence():
            tool = quantizer.Quantizer(bytearray(model.source), recipe.static_wi8_ai8())
            # Its own ranges are a moving average over the samples, narrower than what comes.
            ranges = tool.calibrate({SIGNATURE: [{name: calibration[:1]}]})
            seen = _ranges(model, calibration)
            if input_range is not None:
                seen[model.graph.inputs[0].name] = input_range
            for key, found in ranges.items():
                if key in seen:
                    for bound, value in zip(("min", "max"), seen[key], strict=True):
                        found[bound] = np.full_like(found[bound], value)
            made = tool.quantize(ranges, enable_progress_report=False)
        return bytes(made.quantized_model)
    except (RuntimeError, ValueError, KeyError, IndexError, TypeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RuntimeFailure(f"{model.name}: ai-edge-quantizer fails: {reason}") from error


def _ranges(model: Model, samples: Floats) -> dict[str, tuple[float, float]]:
    """The least and the largest value of every computed float tensor, by its name."""
    runner = LiteRt(
        model_content=model.source,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    runner.allocate_tensors()
    tensors = model.graph.tensors
    computed = [t for op in model.graph.ops for t in op.outputs if t.type_name == "FLOAT32"]
    wanted = [*model.graph.inputs, *computed]
    places = {t.name: index for index, t in enumerate(tensors) if any(t is w for w in wanted)}
    ranges: dict[str, tuple[float, float]] = {}
    for sample in samples:
        runner.set_tensor(runner.get_input_details()[0]["index"], sample[np.newaxis])
        runner.invoke()
        for name, index in places.items():
            values = runner.get_tensor(index)
            low, high = ranges.get(name, (np.inf, -np.inf))
            ranges[name] = min(low, float(values.min())), max(high, float(values.max()))
    return ranges


@contextlib.contextmanager
def _silence() -> Any:
    """The quantizer and LiteRT print progress and advice for their own users."""
    with (
        captured_stderr(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def _measure(
    before: Model, after: Model, dataset: Dataset, tested: int, pixels: tuple[float, float]
) -> Loss:
    """Runs both models in TFLM on the test samples."""
    dataset = sampled(dataset, tested)
    x, norm = dataset.x_test, dataset.normalization
    floats = real_inputs(x, before.graph.inputs[0].shape, pixels, "x_test", norm)
    if norm is None and are_pictures(x):
        norm = Normalization.of_pixels(*pixels)
    plain = Interpreter(before, preserve_all=True)
    small = Interpreter(after, preserve_all=True)
    takes_floats = after.graph.inputs[0].type_name == "FLOAT32"
    inputs = floats if takes_floats else model_inputs(small, x, "x_test", norm)
    pairs = [
        (a, b) for layer in list_layers(after.graph) for a, b in _same_name(before, layer.op.output)
    ]
    answers: list[tuple[Array, Array]] = []
    sums = np.zeros((len(pairs), 2))
    for index, (one, other) in enumerate(zip(floats, inputs, strict=True)):
        answers.append((plain.infer(one), small.infer(other)))
        if index < _LAYER_SAMPLES:
            for row, (a, b) in enumerate(pairs):
                wanted = real_values(plain.tensor(a), a)
                sums[row] += (
                    np.sum((real_values(small.tensor(b), b) - wanted) ** 2),
                    np.sum(wanted**2),
                )
    layers = [
        LayerError(layer.index, layer.name, _relative(*sums[row]))
        for row, layer in enumerate(
            layer for layer in list_layers(after.graph) if _same_name(before, layer.op.output)
        )
    ]
    output = after.graph.outputs[0]
    wanted = np.array([a.astype(np.float64).reshape(-1) for a, _ in answers])
    given = np.array([real_values(b, output).reshape(-1) for _, b in answers])
    scored = _scores(plain, small, answers, dataset.y_test)
    return Loss(
        len(answers),
        *scored,
        _relative(float(np.sum((given - wanted) ** 2)), float(np.sum(wanted**2))),
        tuple(sorted(layers, key=lambda layer: -layer.error)),
    )


def _same_name(before: Model, output: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The float tensor of a layer's output beside the int8 one."""
    found = [t for op in before.graph.ops for t in op.outputs if t.name == output.name]
    return [(found[0], output)] if len(found) == 1 else []


def _relative(squares: float, reference: float) -> float:
    return float(np.sqrt(squares / reference)) if reference else float(np.sqrt(squares))


def _scores(
    plain: Interpreter, small: Interpreter, answers: Sequence[tuple[Array, Array]], y: Array
) -> tuple[str | None, float | None, float | None]:
    """The metric and both models' scores; nothing where the data has no targets that fit."""
    size = plain.model.graph.outputs[0].size
    fits = y.ndim == 1 or (y.ndim > 1 and y[0].size == size)
    if not y.size or not fits or (y.dtype.kind in "iu" and size > 1 and y.max() >= size):
        return None, None, None
    one, other = metric_for(plain, y), metric_for(small, y)
    before = np.mean([one.score(a, t) for (a, _), t in zip(answers, y, strict=True)])
    after = np.mean([other.score(b, t) for (_, b), t in zip(answers, y, strict=True)])
    return one.name, float(before), float(after)
