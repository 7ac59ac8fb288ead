"""Makes builtin operators again of our forward ops: the way back from STREAM and SPLIT ops.

What the metadata says of each layer (`model/origins.py`), the op's parameters and its constants are
enough: the result computes the same bits. The weights' scales follow from the requantization
multipliers, which hold 31 bits of a product of float32 numbers: the nearest float32 is the one that
was there. A PAD that a STREAM took over becomes a PAD again, and the zeros at a kernel's edges that
it left out come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from tflm_train.backward_ops.split_forward import merge_conv_weights, merge_depthwise_weights
from tflm_train.errors import ModelError
from tflm_train.model import Graph, Model, Op, Quantization, Tensor, offline_plan
from tflm_train.model.origins import Origin, Origins, key_of, take_origins
from tflm_train.ops import (
    STREAM_INPUT,
    SplitConv,
    SplitDepthwise,
    StageFields,
    StageKind,
    Stream,
)
from tflm_train.ops.reading import is_ours, read_params
from tflm_train.ops.target import align

Array = npt.NDArray[Any]
_ALIGNMENT = 16
_NO_MULTIPLIER = 2.0**-34
"""What TFLM takes for 0, as everything below 2^-32."""


def with_builtins(model: Model) -> Model:
    """Undoes `optimize`.

    Args:
      model: Any model; not changed.

    Returns:
      An optimized model with its builtin operators; any other model itself.

    Raises:
      ModelError: An op's parts make no layer.
    """
    ours = [op for op in model.graph.ops if is_ours(op)]
    if not ours or not all(map(Stream.is_kind_of, ours)):
        return model
    work = Model(model.source, model.name)
    restore_builtins(work, take_origins(work))
    work.drop_metadata(offline_plan.METADATA_NAME)
    work.drop_unused_tensors()
    return Model(work.to_bytes(), work.name)


def restore_builtins(model: Model, origins: Origins) -> None:
    """Replaces our forward ops by the builtin operators that they were.

    Args:
      model: Changed in place. What trained is constant again.
      origins: Of each op.

    Raises:
      ModelError: It is not known what an op was, or its parts make no layer.
    """
    graph = model.graph
    restored: list[Op] = []
    whole: set[int] = set()
    for op in graph.ops:
        if not is_forward(op):
            restored.append(op)
            continue
        try:
            restored += _builtins_of(op, origins[key_of(op)], model, whole)
        except KeyError as error:
            raise ModelError(
                f"{model.name}: op {graph.index(op)} ({op.name}): the metadata that says what "
                "layers it stands for is missing or damaged; rewrite the original model again"
            ) from error
        except (ValueError, IndexError, TypeError) as error:
            raise ModelError(
                f"{model.name}: op {graph.index(op)} ({op.name}): its parts make no layer "
                f"({error}); rewrite the original model again"
            ) from error
    graph.ops = restored


def is_forward(op: Op) -> bool:
    """Whether an op of ours computes forward layers."""
    return any(kind.is_kind_of(op) for kind in (SplitConv, SplitDepthwise, Stream))


def _builtins_of(op: Op, origins: Sequence[Origin], model: Model, whole: set[int]) -> list[Op]:
    """The operators that an op was.

    Args:
      op: One of our forward ops.
      origins: What they were.
      model: Gets their tensors.
      whole: Ids of the weights that have been put together: layers may share them.
    """
    params = read_params(op, model.graph, model.name)
    if isinstance(params, SplitConv | SplitDepthwise):
        return [_of_split(op, params, origins[0], whole)]
    assert isinstance(params, Stream)
    if not origins:
        return _of_copy(op, model.graph)
    if len(origins) != len(params.stages):
        raise ValueError(f"{len(params.stages)} stages stand for {len(origins)} layers")
    return _Restored(op, params, model.graph, whole).ops(origins)


def _of_split(op: Op, params: SplitConv | SplitDepthwise, origin: Origin, whole: set[int]) -> Op:
    parts = params.inputs_of(op)
    if id(parts.weights) not in whole:
        whole.add(id(parts.weights))
        constants = [_values(t) for t in (parts.weights, parts.columns, parts.channels)]
        values = _put_together(isinstance(params, SplitDepthwise), *constants)
        parts.weights.data, parts.weights.shape = values, values.shape
    inputs = [parts.x, parts.weights, parts.bias]
    return Op(origin.name, inputs, op.outputs, origin.schema_options())


def _of_copy(op: Op, graph: Graph) -> list[Op]:
    """Nothing: whoever reads the copy reads what was copied."""
    x, y = op.input, op.output
    for other in graph.ops:
        other.inputs = [x if t is y else t for t in other.inputs]
    graph.outputs = [x if t is y else t for t in graph.outputs]
    return []


class _Restored:
    """The builtin operators of a STREAM."""

    def __init__(self, op: Op, params: Stream, graph: Graph, whole: set[int]) -> None:
        self._op = op
        self._whole = whole
        self._params = params
        self._graph = graph
        self._constants = _values(params.inputs_of(op).constants).tobytes()
        self._made: list[Tensor] = []  # the stages' outputs

    def ops(self, origins: Sequence[Origin]) -> list[Op]:
        """In execution order, with PADs where there were some."""
        made: list[Op] = []
        inputs: list[Tensor | None]
        for stage, origin in zip(self._params.stages, origins, strict=True):
            y = self._output(stage, origin)
            x = self._read(stage.source)
            if origin.pad is not None:
                made.append(self._pad(x, origin, y))
                x = made[-1].output
            inputs = [x, self._read(stage.addend)]
            if stage.stage_kind != StageKind.ADD:
                inputs = [x, *self._weights_and_bias(stage, origin, x, y)]
            made.append(Op(origin.name, inputs, [y], origin.schema_options()))
            self._made.append(y)
        return made

    def _read(self, stage: int) -> Tensor:
        return self._op.input if stage == STREAM_INPUT else self._made[stage]

    def _output(self, stage: StageFields, origin: Origin) -> Tensor:
        """What a stage writes: an output of the op where there is one."""
        if len(self._made) == len(self._params.stages) - 1:
            return self._op.output
        if stage.is_kept_whole:
            return self._op.outputs[stage.kept_output]
        g = stage.geometry
        name = f"{self._op.output.short_name}/{len(self._made)}"
        scale = np.array([origin.scale], np.float32)
        zero_point = np.array([stage.output.y_zero_point], np.int64)
        shape = (1, g.out_h, g.out_w, g.out_c)
        quantization = Quantization(scale, zero_point)
        return self._graph.add(Tensor.make(name, np.int8, shape, quantization=quantization))

    def _pad(self, x: Tensor, origin: Origin, y: Tensor) -> Op:
        top, bottom, left, right = origin.pad or (0, 0, 0, 0)
        amounts = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        name = f"{y.short_name}/pad"
        batch, height, width, channels = x.shape
        shape = (batch, height + top + bottom, width + left + right, channels)
        padded = Tensor.make(name, np.int8, shape, quantization=x.quantization)
        constant = self._graph.add(Tensor.constant(f"{name}/amounts", amounts))
        options = schema.PadOptionsT()
        return Op("PAD", [x, constant], [self._graph.add(padded)], options)

    def _weights_and_bias(
        self, stage: StageFields, origin: Origin, x: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        g, at = stage.geometry, stage.constants
        multipliers, shifts = self._part(at, np.int32, (2, g.out_c))
        at += align(8 * g.out_c, _ALIGNMENT)
        given = self._op.inputs
        bias = None
        if stage.bias_input == 0:
            values = self._part(at, np.int32, (g.out_c,))
            at += align(values.nbytes, _ALIGNMENT)
            bias = self._graph.add(Tensor.constant(f"{y.short_name}/bias", values))
        elif stage.bias_input > 0:
            bias = given[stage.bias_input]
        depthwise = stage.stage_kind == StageKind.DEPTHWISE
        scales = _scales(multipliers, shifts, x.scale, y.scale)
        weights = given[stage.weights_input] if stage.weights_input > 0 else None
        if weights is None:
            rest = g.in_c - stage.columns
            shape = (1, g.k_h, g.k_w, g.out_c) if depthwise else (g.out_c, g.k_h, g.k_w, rest)
            weights = Tensor.constant(f"{y.short_name}/weights", self._part(at, np.int8, shape))
            self._graph.add(weights)
        if id(weights) not in self._whole:
            self._whole.add(id(weights))
            values = self._whole_weights(stage, origin, weights)
            weights.data, weights.shape = values, values.shape
        if origin.per_tensor:
            scales = scales[:1]
        zeros = np.zeros(scales.size, np.int64)
        weights.quantization = Quantization(scales, zeros, 3 if depthwise else 0)
        if bias is not None:
            sums = (np.float32(x.scale) * scales).astype(np.float32)
            bias.quantization = Quantization(sums, zeros)
        return weights, bias

    def _whole_weights(self, stage: StageFields, origin: Origin, weights: Tensor) -> Array:
        values = _values(weights)
        if stage.columns > 0:
            given = self._op.inputs
            columns, listed = given[stage.columns_input], given[stage.channels_input]
            assert columns is not None and listed is not None
            depthwise = stage.stage_kind == StageKind.DEPTHWISE
            values = _put_together(depthwise, values, _values(columns), _values(listed))
        return _with_edges(values, origin)

    def _part(self, at: int, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> Array:
        count = int(np.prod(shape))
        return np.frombuffer(self._constants, dtype, count, at).reshape(shape).copy()


def _scales(multipliers: Array, shifts: Array, x_scale: float, y_scale: float) -> Array:
    """The weights' scales of TFLM's `s_x * s_W / s_y` as mantissas and exponents, all [out_c]."""
    real = np.ldexp(multipliers.astype(np.float64), shifts - 31)
    real[multipliers == 0] = _NO_MULTIPLIER
    return np.asarray(real * y_scale / x_scale, np.float32)


def _with_edges(values: Array, origin: Origin) -> Array:
    """Weights with the rows and columns of zeros that were left out."""
    if origin.taps is None:
        return values
    top, rows, left, columns, height, width = origin.taps
    below, right = height - top - rows, width - left - columns
    return np.pad(values, ((0, 0), (top, below), (left, right), (0, 0)))


def _put_together(depthwise: bool, weights: Array, columns: Array, listed: Array) -> Array:
    """A layer's whole weights, of the constant ones and the trained columns."""
    if depthwise:
        return merge_depthwise_weights(weights, columns, listed)
    whole = merge_conv_weights(weights, columns, listed)
    return whole.reshape(*weights.shape[:-1], listed.size)


def _values(tensor: Tensor) -> Array:
    if tensor.data is None:
        raise ValueError(f"{tensor.name!r} has no values")
    return tensor.data
