"""The forward reference of partly trained layers against TFLM's builtin kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tflm_train as tt
from tests.models import CONVERTED, converted_model
from tests.networks import NETWORKS, load_network
from tests.steps import random_inputs
from tflm_train import ops
from tflm_train.backward_ops import split_forward
from tflm_train.backward_ops.fused_activation import clamp_of
from tflm_train.backward_ops.layer_rule import LayerRule
from tflm_train.backward_ops.rules import RULES
from tflm_train.model import Model, Op, Quantization, Tensor
from tflm_train.model.layers import Layer, list_layers
from tflm_train.rewriter.split_layers import layer_multipliers, quantize_multiplier

Int8 = npt.NDArray[np.int8]


def reference(layer: Layer, x: Int8) -> Int8:
    rule = RULES[layer.op.name]
    assert isinstance(rule, LayerRule) and layer.weights.data is not None
    clamp = clamp_of(layer.op)
    limits = (-128, 127) if clamp is None else (clamp.act_min, clamp.act_max)
    return split_forward.forward(
        x,
        layer.weights.data,
        None if layer.bias is None else layer.bias.data,
        *layer_multipliers(layer),
        rule.geometry(layer.op),
        ops.OutputFields(layer.x.zero_point, layer.op.output.zero_point, *limits),
        layer.op.name == "DEPTHWISE_CONV_2D",
    )


def assert_equals_builtin(model: Model, samples: int) -> None:
    """Every layer, fed with what TFLM fed it."""
    interpreter = tt.Interpreter(model, preserve_all=True)
    for x in random_inputs(model.graph, samples, seed=4):
        interpreter.infer(x)
        for layer in list_layers(model.graph):
            got = reference(layer, interpreter.tensor(layer.x))
            expected = interpreter.tensor(layer.op.output)
            np.testing.assert_array_equal(got.reshape(expected.shape), expected, str(layer))


@pytest.mark.parametrize("name", CONVERTED)
def test_layers_of_converted_models(converted: Callable[[str], Model], name: str) -> None:
    assert_equals_builtin(converted(name), samples=5)


@pytest.mark.interpreter
@pytest.mark.parametrize(
    "name", [*NETWORKS, "kws_ref_model", "mcunet-5fps", "pretrainedResnet_quant"]
)
def test_layers_of_real_models(name: str) -> None:
    assert_equals_builtin(load_network(name), samples=1)


# Of the mobilenet: one op of each kind, to take operator codes and options from.
TEMPLATES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 6}
ACTIVATIONS = (0, 1, 3)  # none, RELU, RELU6


@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_random_layers(data: st.DataObject, seed: int) -> None:
    model = Model(converted_model("mobilenet"))
    kind = data.draw(st.sampled_from(sorted(TEMPLATES)))
    op = list_layers(model.graph)[TEMPLATES[kind]].op
    rng = np.random.default_rng(seed)
    model.graph.ops = [op]
    op.options.fusedActivationFunction = data.draw(st.sampled_from(ACTIVATIONS))
    _draw_shapes(data, op)
    _fill(rng, op, with_bias=data.draw(st.booleans()))
    model.graph.inputs, model.graph.outputs = [op.input], [op.output]
    model.graph.tensors += [t for t in [*op.inputs, op.output] if t is not None]
    model = Model(model.to_bytes())
    assert_equals_builtin(model, samples=2)


def _draw_shapes(data: st.DataObject, op: Op) -> None:
    """Replaces the op's activations and weights by tensors of drawn shapes, without values."""
    small = st.integers(1, 4)
    in_c = data.draw(st.integers(1, 9))
    if op.name == "FULLY_CONNECTED":
        rows, out_c = data.draw(small), data.draw(st.integers(1, 9))
        op.inputs = [
            Tensor.make("x", np.int8, (rows, in_c)),
            Tensor.make("w", np.int8, (out_c, in_c)),
        ]
        op.outputs = [Tensor.make("y", np.int8, (rows, out_c))]
        return
    depthwise = op.name == "DEPTHWISE_CONV_2D"
    options = op.options
    kernel = (data.draw(small), data.draw(small))
    options.strideH, options.strideW = data.draw(small), data.draw(small)
    options.dilationHFactor, options.dilationWFactor = data.draw(small), data.draw(small)
    options.padding = data.draw(st.sampled_from((0, 1)))
    dilations = (options.dilationHFactor, options.dilationWFactor)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    least = (1, 1) if options.padding == 0 else reach
    height, width = (n + data.draw(st.integers(0, 6)) for n in least)
    if depthwise:
        options.depthMultiplier = data.draw(st.integers(1, 3))
        out_c = in_c * options.depthMultiplier
        shape = (1, *kernel, out_c)
    else:
        out_c = data.draw(st.integers(1, 9))
        shape = (out_c, *kernel, in_c)
    op.inputs = [
        Tensor.make("x", np.int8, (1, height, width, in_c)),
        Tensor.make("w", np.int8, shape),
    ]
    op.outputs = [Tensor.make("y", np.int8, (1, 1, 1, out_c))]
    rule = RULES[op.name]
    assert isinstance(rule, LayerRule)
    g = rule.geometry(op)
    op.output.shape = (1, g.out_h, g.out_w, g.out_c)


def _fill(rng: np.random.Generator, op: Op, with_bias: bool) -> None:
    """Random weights, and scales that spread the sums over the output and beyond."""
    weights = op.inputs[1]
    assert weights is not None
    axis = 3 if op.name == "DEPTHWISE_CONV_2D" else 0
    out_c = weights.shape[axis]
    weights.data = rng.integers(-127, 128, weights.shape).astype(np.int8)
    per_channel = op.name != "FULLY_CONNECTED" and rng.random() < 0.8

    def spread(count: int | None = None) -> npt.NDArray[np.float64]:
        # Not further, lest a sum times its multiplier be more than an int32 holds.
        return np.exp(np.clip(rng.normal(0, 2, count), -3, 3))

    scales = (np.exp(-5) * spread(out_c if per_channel else 1)).astype(np.float32)
    weights.quantization = Quantization(scales, np.zeros(scales.size, np.int64), axis)
    for activation, width in ((op.input, 1.0), (op.output, 60.0)):
        scale = np.float32(0.02 * width * spread() * np.median(scales) ** (width > 1))
        zero = np.array([rng.integers(-128, 128)])
        activation.quantization = Quantization(np.array([scale]), zero)
    op.inputs = [op.input, weights]
    if with_bias:
        values = rng.integers(-20000, 20000, out_c).astype(np.int32)
        bias = Tensor.constant("b", values)
        products = (np.float32(op.input.scale) * scales).astype(np.float32)
        bias.quantization = Quantization(products, np.zeros(products.size, np.int64))
        op.inputs.append(bias)


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (1 << 30, 1)),
        (0.75, (3 << 29, 0)),
        (1 - 2.0**-33, (1 << 30, 1)),  # the mantissa rounds up to 1
        (2.0**-32, (1 << 30, -31)),
        (2.0**-33, (0, 0)),
    ],
)
def test_quantized_multipliers(real: float, expected: tuple[int, int]) -> None:
    assert quantize_multiplier(real) == expected


def test_merging_is_the_inverse_of_cutting() -> None:
    rng = np.random.default_rng(0)
    conv: npt.NDArray[Any] = rng.integers(-127, 128, (3, 2, 2, 5)).astype(np.int8)
    order = np.array([0, 2, 4, 1, 3], np.int16)
    merged = split_forward.merge_conv_weights(conv[..., [0, 2, 4]], conv[..., [1, 3]], order)
    np.testing.assert_array_equal(merged.reshape(conv.shape), conv)
    depthwise = conv[0]
    damaged = depthwise.copy()
    damaged[..., [1, 4]] = 0
    columns = depthwise[..., [1, 4]]
    channels = np.array([1, 4], np.int16)
    merged = split_forward.merge_depthwise_weights(damaged, columns, channels)
    np.testing.assert_array_equal(merged, depthwise)
