"""What becomes a variable, and what of it stays as it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

import tflm_train as tt
from tests.steps import assert_follows_reference, assert_same_inference, full_scheme, train
from tflm_train.errors import UnsupportedError
from tflm_train.model import Model, Quantization, Tensor
from tflm_train.model.layers import Layer, list_layers
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.choose_variables import trainable_taps
from tflm_train.rewriter.inspection import inspect_model
from tflm_train.scheme import Scheme, WeightUpdate

Converted = Callable[[str], Model]
PROJECTION = 2  # of the mobilenet: 1x1, no activation
DEAD = 3  # the channel of the projection that a test kills
DEPTHWISE = 3  # 3x3, VALID


def layer_of(model: Model, index: int) -> Layer:
    return list_layers(model.graph)[index]


def scaled(tensor: Tensor, channel: int, factor: float) -> Quantization:
    """The tensor's quantization with one channel's scale changed."""
    assert tensor.quantization is not None
    scale = tensor.quantization.scale.copy()
    scale[channel] *= np.float32(factor)
    return Quantization(scale, tensor.quantization.zero_point, tensor.quantization.axis)


@pytest.mark.parametrize("residual_bits", [8, 0])
def test_dead_channels_are_frozen(converted: Converted, residual_bits: int) -> None:
    model = converted("mobilenet")
    layer = layer_of(model, PROJECTION)
    assert layer.bias is not None
    assert moved_channels(model, layer, residual_bits)[DEAD]
    for tensor in (layer.weights, layer.bias):
        tensor.quantization = scaled(tensor, DEAD, 1e-7)
    model = Model(model.to_bytes())
    scheme = full_scheme(model, residual_bits=residual_bits)
    result = rewrite(model, scheme)
    frozen = {x.index: x.frozen_channels for x in result.report.layers}
    assert frozen.pop(PROJECTION) == 1 and set(frozen.values()) == {0}
    assert any(w.startswith("1 channels with a degenerate") for w in result.report.warnings)
    new = Model(result.model_bytes)
    assert_follows_reference(new)
    moved = moved_channels(model, layer, residual_bits)
    assert not moved[DEAD] and moved.sum() > 2


def moved_channels(model: Model, layer: Layer, residual_bits: int) -> npt.NDArray[np.bool_]:
    """Which output channels' weights or bias change in a few large steps."""
    scheme = full_scheme(model, residual_bits=residual_bits)
    interpreter = tt.Interpreter(rewrite(model, scheme).model_bytes)
    before = interpreter.variables()
    train(interpreter, 12, rate=4.0)
    after = interpreter.variables()
    moved = np.zeros(layer.out_channels, np.bool_)
    for tensor in (layer.weights, layer.bias):
        assert tensor is not None
        difference = before[tensor.name] != after[tensor.name]
        moved |= difference.reshape(layer.out_channels, -1).any(axis=1)
    return moved


class TestStructuralZeros:
    @pytest.mark.parametrize(
        ("filled", "taps"),
        [
            ((slice(None), slice(None)), (0, 3, 0, 3)),
            ((slice(1, None), slice(1, None)), (1, 3, 1, 3)),
            ((slice(0, 2), slice(0, 1)), (0, 2, 0, 1)),
            ((1, 1), (1, 2, 1, 2)),
            ((slice(0, 0), slice(0, 0)), (0, 3, 0, 3)),  # a fresh layer is not a structure
        ],
    )
    def test_taps(self, filled: tuple[slice, slice], taps: tuple[int, int, int, int]) -> None:
        weights = np.zeros((4, 3, 3, 2), np.int8)
        weights[3, filled[0], filled[1], 1] = -1
        assert trainable_taps(weights) == taps

    def test_a_hole_in_the_middle_trains(self) -> None:
        weights = np.ones((1, 3, 3, 1), np.int8)
        weights[0, 1] = 0
        assert trainable_taps(weights) == (0, 3, 0, 3)

    @pytest.mark.parametrize("residual_bits", [8, 0])
    @pytest.mark.parametrize(("name", "index"), [("mobilenet", DEPTHWISE), ("resnet", 1)])
    def test_they_stay_zero(
        self, converted: Converted, name: str, index: int, residual_bits: int
    ) -> None:
        model = converted(name)
        tensor = layer_of(model, index).weights
        assert tensor.data is not None
        zeroed = tensor.data.copy()
        zeroed[:, 0] = 0
        zeroed[:, :, 2] = 0
        tensor.data = zeroed
        model = Model(model.to_bytes())
        result = rewrite(model, full_scheme(model, residual_bits=residual_bits))
        assert result.report.layers[index].trained_taps == (2, 2)
        new = Model(result.model_bytes)
        assert_follows_reference(new)
        interpreter = tt.Interpreter(new)
        train(interpreter, 4)
        weights: npt.NDArray[np.int8] = interpreter.variables()[tensor.name]
        assert not weights[:, 0].any() and not weights[:, :, 2].any()
        assert (weights != zeroed).any()


def test_a_layer_without_bias(converted: Converted) -> None:
    model = converted("resnet")
    layer_of(model, 1).op.inputs[2] = None
    model = Model(model.to_bytes())
    new = Model(rewrite(model, full_scheme(model)).model_bytes)
    assert_same_inference(model, new)
    assert_follows_reference(new)


def test_what_is_shared_by_accident_is_copied(converted: Converted) -> None:
    """A bias of zeros for two layers, and equal weights of layers that have not learnt yet."""
    model = converted("resnet")
    first, second = layer_of(model, 1), layer_of(model, 2)
    first.weights.data = np.full(first.weights.shape, 5, np.int8)
    second.op.inputs[1:3] = first.op.inputs[1:3]
    model = Model(model.to_bytes())
    result = rewrite(model, Scheme(weights=(WeightUpdate(1), WeightUpdate(2))))
    assert sum("gets its own copy" in warning for warning in result.report.warnings) == 2
    trainable = Model(result.model_bytes)
    assert_same_inference(model, trainable)
    assert_follows_reference(trainable)
    interpreter = tt.Interpreter(trainable)
    train(interpreter, 3)
    values = interpreter.variables()
    names = [v.key for v in interpreter.require_trainable().variables if v.kind == "weights"]
    assert len(names) == 3
    assert not np.array_equal(values[names[0]], values[names[1]])


@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_weights_of_minus_128_are_clipped(converted: Converted, ratio: float) -> None:
    model = converted("mobilenet")
    weights = layer_of(model, PROJECTION).weights
    assert weights.data is not None
    weights.data = weights.data.copy()
    weights.data[0, 0, 0] = -128
    model = Model(model.to_bytes())
    assert inspect_model(model).layers[PROJECTION].trainable
    result = rewrite(model, Scheme(weights=(WeightUpdate(PROJECTION, ratio=ratio),)))
    said = " ".join(result.report.warnings)
    count = weights.shape[-1]
    assert f"{count} of {weights.size} weights are -128 and were clipped to -127" in said
    assert "of the outputs of 16 random inputs, by at most " in said
    assert_follows_reference(Model(result.model_bytes))
    assert not rewrite(model, Scheme(bias_layers=(PROJECTION,))).report.warnings


def test_computed_weights_are_refused(converted: Converted) -> None:
    model = converted("resnet")
    weights = layer_of(model, 1).weights
    weights.data = None
    model.graph.inputs.append(weights)
    with pytest.raises(UnsupportedError, match=r"layer 1 .* is computed, not a constant"):
        rewrite(Model(model.to_bytes()), Scheme(weights=(WeightUpdate(1),)))
