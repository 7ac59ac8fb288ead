"""Golden cases of whole training steps: small rewritten models, op by op, step after step.

A kernel that is right for one random input may still drift from the reference in training: there,
ranges, scales and residuals come from the steps before, predicted exponents overflow, weights
saturate. Each case is the ops of a rewritten model and some steps of it; the numpy reference gives
a checksum of what each op leaves behind.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from golden_inputs import Array, Suite, bits

from tests.stacks import Stack
from tests.steps import random_inputs
from tflm_train.backward_ops import numerics, split_forward
from tflm_train.backward_ops.fused_activation import clamp_of
from tflm_train.backward_ops.kernel import Step, Twin
from tflm_train.model import Model, Op, Tensor
from tflm_train.model.layers import Layer
from tflm_train.ops import (
    BLOB_HEADER,
    OP_PREFIX,
    STREAM_INPUT,
    ConvInputGrad,
    DepthwiseInputGrad,
    Loss,
    OutputFields,
    Params,
    SplitConv,
    SplitDepthwise,
    StageFields,
    StageKind,
    Stream,
    unpack,
)
from tflm_train.ops.geometry import Geometry
from tflm_train.ops.tensors import Role
from tflm_train.qas.kernels import KERNELS
from tflm_train.reference import BackwardReference
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.fold_pad import padded_geometry
from tflm_train.rewriter.split_layers import layer_multipliers
from tflm_train.rewriter.stream import _add_fields
from tflm_train.scheme import Scheme, WeightUpdate

RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0)  # one step each
OPERANDS = (9, 3)  # inputs, and what an op leaves behind; -1 where it has fewer
LINEAR, RELU, RELU6 = 0, 1, 3
_ALIGNMENT = 4
_ZEROS, _UNSET = -1, -2  # instead of an offset in the data
_ADD_LEFT_SHIFT = 20


class Reference(BackwardReference):
    """Whole training steps, forward included, with a checksum of the memory after each op.

    Attributes:
      ops: What a step consists of, with parameters.
      growths: Exponents that turned out larger than predicted, after the first step.
    """

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.ops = [_as_ours(op) for op in model.graph.ops[1:-1]]
        self._loss = model.graph.outputs[-2]
        self.growths = 0
        self._x = model.graph.inputs[0]
        self._state = model.graph.ops[0].outputs[0]
        self._activations: dict[int, Array] = {}
        self._checksums: dict[int, int] = {}

    def checksums(self, x: Array, label: int, rate: float) -> list[int]:
        """Trains on one sample.

        Args:
          x: The model's input.
          label: Its class.
          rate: The learning rate.

        Returns:
          CRC-32 of what each op leaves behind, with all scales and ranges; last, of all variables.
        """
        self._activations = {id(self._x): x, id(self._state): np.empty(0)}
        self._checksums = {}
        for op, params in self.ops:
            if KERNELS[type(params)].twin is None:
                y = self._activations[id(op.output)] = self._run_forward(op, params)
                self._record(op, [y])
        self.backward(lambda tensor: self._activations[id(tensor)], label, rate)
        last = _crc32([*self.variables.values()])
        return [*(self._checksums[id(op)] for op, _ in self.ops), last]

    def left_behind(self, op: Op, params: Params) -> list[Tensor]:
        """What an op computes: its outputs, of an update the variables, of the loss its value."""
        if isinstance(params, Loss):
            return [op.output, self._loss]
        if KERNELS[type(params)].twin is None:
            return op.outputs
        return params.inputs_of(op).having(Role.VARIABLE) or op.outputs

    def run(self, twin: Twin, op: Op, params: Any, step: Step) -> None:
        before = step.ranges.copy()
        super().run(twin, op, params, step)
        left = self.left_behind(op, params)
        self._record(op, [step.loss if t is self._loss else step.value(t) for t in left])
        if isinstance(params, ConvInputGrad | DepthwiseInputGrad):
            largest = int(np.abs(step.value(op.inputs[0]).astype(np.int32)).max(initial=0))
            predicted, needed = (
                numerics.predicted_exponent(ranges[params.slot_out], largest)
                for ranges in (before, step.ranges)
            )
            self.growths += step.number > 1 and needed > predicted

    def _record(self, op: Op, outputs: Sequence[Array]) -> None:
        slots = [self.variables[f"train/{name}"] for name in ("scales", "ranges")]
        self._checksums[id(op)] = _crc32([*outputs, *slots])

    def _run_forward(self, op: Op, params: Any) -> Array:
        values = [None if t is None else self._forward_value(t) for t in op.inputs]
        if isinstance(params, Stream):
            return _add(values[0], values[1], params.stages[0])
        x, weights, columns, listed, bias, multiplier, shift = values
        depthwise = isinstance(params, SplitDepthwise)
        if params.kept > 0:
            merges = (split_forward.merge_conv_weights, split_forward.merge_depthwise_weights)
            weights = merges[depthwise](weights, columns, listed)
        g, output = params.geometry, params.output
        return split_forward.forward(x, weights, bias, multiplier, shift, g, output, depthwise)

    def _forward_value(self, tensor: Tensor) -> Array:
        if id(tensor) in self._activations:
            return self._activations[id(tensor)]
        return self.variables[tensor.name] if tensor.data is None else tensor.data


def _as_ours(op: Op) -> tuple[Op, Any]:
    """An op as the kernels run it, and its parameters.

    A builtin convolution becomes a SPLIT_CONV or SPLIT_DEPTHWISE without columns, an ADD has the
    parameters of a STREAM.
    """
    if op.name.startswith(OP_PREFIX):
        return op, unpack(op.custom_options or b"")
    if op.name == "ADD":
        return op, _add_params(op)
    layer = Layer(-1, op, -1)
    multiplier, shift = (
        Tensor.constant(f"{layer.name}/{i}", values)
        for i, values in enumerate(layer_multipliers(layer))
    )
    inputs = [layer.x, layer.weights, None, None, layer.bias, multiplier, shift]
    clamp = clamp_of(op)
    limits = (-128, 127) if clamp is None else (clamp.act_min, clamp.act_max)
    output = OutputFields(layer.x.zero_point, op.output.zero_point, *limits)
    g = padded_geometry(op, None)
    params: Params = SplitConv(g, output, 0)
    if op.name == "DEPTHWISE_CONV_2D":
        params = SplitDepthwise(g, output, 0, g.out_c // g.in_c)
    return Op(params.custom_name, inputs, op.outputs), params


def _add_params(op: Op) -> Stream:
    _, height, width, channels = op.output.shape
    g = Geometry.from_options((height, width, channels), channels, (1, 1))
    assert op.options.fusedActivationFunction == LINEAR
    output = OutputFields(op.input.zero_point, op.output.zero_point, -128, 127)
    source = STREAM_INPUT
    kind = StageKind.ADD
    stage = StageFields(kind, g, output, 1, source, source, height, add=_add_fields(op))
    return Stream((stage,))


def _add(x: Array, addend: Array, stage: StageFields) -> Array:
    """ADD as docs/NUMERICS.md has it under STREAM."""
    f = stage.add
    scaled = (
        split_forward.requantize((value.astype(np.int64) - zero) << _ADD_LEFT_SHIFT, *factor)
        for value, zero, factor in (
            (x, stage.output.x_zero_point, (f.x_multiplier, f.x_shift)),
            (addend, f.addend_zero_point, (f.addend_multiplier, f.addend_shift)),
        )
    )
    y = split_forward.requantize(sum(scaled), f.y_multiplier, f.y_shift)
    y = y + stage.output.y_zero_point
    return y.clip(stage.output.act_min, stage.output.act_max).astype(np.int8)


def _crc32(values: Sequence[Array]) -> int:
    return zlib.crc32(b"".join(np.ascontiguousarray(v).tobytes() for v in values))


def training_case(suite: Suite, name: str, model: Model, scheme: Scheme, small: bool) -> None:
    """One case: some steps of a model made only of ops that the kernels have."""
    name = f"{name}_residual{scheme.residual_bits}"
    rewritten = Model(rewrite(model, scheme).model_bytes, name)
    reference = Reference(rewritten)
    restore = rewritten.graph.ops[0]
    factory = {
        id(tensor): reference.variables[tensor.name].copy() for tensor in restore.outputs[2:]
    }
    # Tensors are numbered in the order of first use, the variables first.
    tensors: dict[int, Tensor] = {id(t): t for t in restore.outputs[2:]}
    variable_count = len(tensors)
    for op, params in reference.ops:
        tensors |= {id(t): t for t in [*op.inputs, *reference.left_behind(op, params)] if t}
    numbers = {key: number for number, key in enumerate(tensors)}
    by_name = {t.name: numbers[key] for key, t in tensors.items()}
    data, offsets = b"", []
    for key, tensor in tensors.items():
        value = factory.get(key, tensor.data)
        if value is None or not value.any():
            offsets.append(_UNSET if value is None else _ZEROS)
            continue
        offsets.append(len(data))
        data += value.tobytes()
        data += bytes(-len(data) % _ALIGNMENT)
    operands = []
    for op, params in reference.ops:
        # The state, scales and ranges, which come last, are known anyway.
        rows = (op.inputs, reference.left_behind(op, params))
        for listed, count in zip(rows, OPERANDS, strict=True):
            row = [-1 if t is None else numbers[id(t)] for t in listed[:count]]
            operands += row + [-1] * (count - len(row))
    samples = random_inputs(rewritten.graph, len(RATES), seed=len(name))
    classes = rewritten.graph.outputs[0].size
    labels = [step * 2 % classes for step in range(len(RATES))]
    want: list[int] = []
    for x, label, rate in zip(samples, labels, RATES, strict=True):
        before = reference.state()
        want += reference.checksums(x, label, rate)
        assert reference.state()[BLOB_HEADER.size :] != before[BLOB_HEADER.size :], name
    assert reference.growths > 0, f"{name}: no predicted exponent ever overflows"
    suite.case(
        name,
        variable_count,
        len(tensors),
        np.array([t.nbytes for t in tensors.values()], np.int32),
        np.array(offsets, np.int32),
        data,
        len(reference.ops),
        b"".join(params.pack() for _, params in reference.ops),
        np.array(operands, np.int16),
        by_name["train/control"],
        by_name["train/scales"],
        by_name["train/ranges"],
        by_name["train/label"],
        numbers[id(rewritten.graph.inputs[0])],
        scheme.seed,
        len(RATES),
        np.stack(samples),
        np.array(labels, np.int32),
        bits(RATES),
        np.array(want, np.uint32),
        small=small,
    )


def _bottleneck() -> Model:
    """1x1, depthwise 3x3, 1x1, a skip; small enough for the least of the boards."""
    stack = Stack.start(4, 4, 4, 1)
    skip = stack.top
    stack.conv(8, 1, 1, True, RELU6)
    stack.depthwise(1, 3, 1, True, RELU)
    stack.conv(4, 1, 1, True, LINEAR)
    stack.add(skip, LINEAR)
    stack.conv(3, 4, 1, False, LINEAR)
    return stack.finish(trainable=True)


def _mobile() -> Model:
    """Inverted bottlenecks with two skips that meet, strides, channels in whole panels."""
    stack = Stack.start(7, 6, 5, 2)
    stack.conv(16, 3, 1, True, RELU6)
    first = stack.top
    stack.conv(48, 1, 1, True, RELU6)
    stack.depthwise(1, 3, 1, True, RELU6)
    stack.conv(16, 1, 1, True, LINEAR)
    stack.add(first, LINEAR)
    second = stack.top
    stack.conv(32, 1, 1, True, RELU)
    stack.depthwise(1, 5, 1, True, RELU6)
    stack.conv(16, 1, 1, True, LINEAR)
    stack.add(second, LINEAR)
    stack.add(first, LINEAR)
    stack.depthwise(1, 3, 2, True, RELU6)
    stack.conv(24, 1, 1, True, RELU6)
    stack.conv(5, 3, 2, False, LINEAR)
    return stack.finish(trainable=True)


def _odd() -> Model:
    """Channel counts with remainders, a depth multiplier, a sum in groups, a 7x7 window."""
    stack = Stack.start(6, 5, 3, 3)
    stack.conv(13, 2, 1, True, RELU)
    stack.depthwise(2, 3, 1, True, RELU6)
    stack.conv(3, 1, 1, True, LINEAR)
    stack.depthwise(1, 7, 1, True, RELU6)
    stack.conv(117, 3, 2, True, RELU6)
    stack.conv(5, 1, 2, True, RELU)
    stack.conv(7, 2, 1, False, LINEAR)
    return stack.finish(trainable=True)


def _whole(layers: int, residual_bits: int) -> Scheme:
    return _part([(i, 1.0) for i in range(layers)], residual_bits)


def _part(layers: Sequence[tuple[int, float]], residual_bits: int, biases_last: int = 0) -> Scheme:
    weights = tuple(WeightUpdate(i, ratio) for i, ratio in layers)
    seed = 40 + residual_bits
    return Scheme(weights=weights, biases_last=biases_last, residual_bits=residual_bits, seed=seed)


def add_row() -> Suite:
    """ADD alone, as a stage of a STREAM: `{name, options, size of them, x, addend, count, y}`."""
    suite = Suite("add_row", "AddRowCase")
    for seed in range(4):
        stack = Stack.start(3, 5, 7, 20 + seed)
        stack.conv(7, 1, 1, True, LINEAR)
        stack.add(stack.model.graph.inputs[0], LINEAR)
        params = _add_params(stack.model.graph.ops[-1])
        rng = np.random.default_rng(seed)
        x, addend = (rng.integers(-128, 128, 105).astype(np.int8) for _ in range(2))
        y = _add(x, addend, params.stages[0])
        options = params.pack()
        suite.case(f"seed{seed}", options, len(options), x, addend, y.size, y, small=seed < 2)
    return suite


def suites() -> Iterator[Suite]:
    yield add_row()
    suite = Suite("training", "TrainingCase")
    halves = [(0, 0.5), (1, 0.5), (2, 0.5)]
    mobile = [(1, 0.25), (2, 0.25), (3, 0.5), (5, 0.5), (7, 0.25), (8, 0.5)]
    odd = [(0, 0.4), (1, 0.3), (2, 0.5), (3, 0.2), (5, 0.1)]
    # The flash of the boards has no room for all models with all residuals.
    for residual in (8, 4, 0):
        scheme = _whole(4, residual)
        training_case(suite, "bottleneck", _bottleneck(), scheme, residual != 4)
        scheme = _part(halves, residual, biases_last=2)
        training_case(suite, "bottleneck_part", _bottleneck(), scheme, residual == 4)
    for residual in (8, 0):
        training_case(suite, "mobile", _mobile(), _whole(10, residual), False)
    for residual in (4, 0):
        scheme = _part(mobile, residual, biases_last=8)
        training_case(suite, "mobile_part", _mobile(), scheme, False)
    training_case(suite, "odd", _odd(), _whole(7, 0), False)
    training_case(suite, "odd_part", _odd(), _part(odd, 8, biases_last=3), False)
    yield suite
