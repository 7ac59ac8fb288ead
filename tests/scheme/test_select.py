"""Which channels of a layer train."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from tests.models import TRAINABLE
from tflm_train.errors import SchemeError
from tflm_train.model import Model, Quantization
from tflm_train.model.layers import Layer, list_layers
from tflm_train.scheme import WeightUpdate
from tflm_train.scheme.select import select_channels

Converted = Callable[[str], Model]


def layer_of(model: Model, index: int) -> Layer:
    return list_layers(model.graph)[index]


def input_channels(layer: Layer) -> int:
    return layer.weights.shape[1] if layer.weights.data.ndim == 2 else layer.x.shape[-1]  # type: ignore[union-attr]


def real_norms(layer: Layer) -> list[float]:
    """L2 norm of each input channel's dequantized weights, one weight at a time."""
    weights = layer.weights
    assert weights.data is not None and weights.quantization is not None
    count = input_channels(layer)
    depthwise = layer.op.name == "DEPTHWISE_CONV_2D"
    scales = np.broadcast_to(weights.quantization.scale, (layer.out_channels,))
    squares = [0.0] * count
    for place in np.ndindex(*weights.shape):
        last = place[-1]
        scale = float(scales[last if depthwise else place[0]])
        channel = last // (layer.out_channels // count) if depthwise else last
        squares[channel] += (scale * int(weights.data[place])) ** 2
    return [float(np.sqrt(s)) for s in squares]


@pytest.mark.parametrize("name", TRAINABLE)
def test_magnitude_is_the_norm_in_real_units(converted: Converted, name: str) -> None:
    for layer in list_layers(converted(name).graph):
        if layer.weights.size > 20000:
            continue
        norms = real_norms(layer)
        for count in {1, len(norms) // 2, len(norms)} - {0}:
            chosen = select_channels(WeightUpdate(layer.index, channels=count), layer, seed=0)
            others = np.setdiff1d(np.arange(len(norms)), chosen)
            assert chosen.tolist() == sorted(set(chosen)) and chosen.size == count
            least = min(norms[c] for c in chosen)
            assert all(norms[c] <= least * (1 + 1e-9) for c in others), str(layer)


@pytest.mark.parametrize("index", [1, 2], ids=["depthwise", "pointwise"])
def test_a_channel_s_scale_counts(converted: Converted, index: int) -> None:
    """The same int8 weights, another choice: scales of the output channels weigh in."""
    layer = layer_of(converted("mobilenet"), index)
    quantization = layer.weights.quantization
    assert quantization is not None and layer.weights.data is not None
    update = WeightUpdate(index, channels=1)
    data = np.ones_like(layer.weights.data)
    data[:] = np.random.default_rng(1).integers(-5, 6, data.shape)
    special = np.zeros(layer.out_channels, np.float32) + np.float32(0.001)
    if layer.op.name == "DEPTHWISE_CONV_2D":
        special[2 * 3 + 1] = 10  # multiplier 2: input channel 3
        data[..., 2 * 3 + 1] = 1
    else:
        data[7, ..., :] = 0
        data[7, ..., 3] = 1
        special[7] = 10
    layer.weights.data = data
    layer.weights.quantization = Quantization(
        special, np.zeros(special.size, np.int64), quantization.axis
    )
    assert select_channels(update, layer, seed=0).tolist() == [3]


def test_equal_norms_take_the_first(converted: Converted) -> None:
    layer = layer_of(converted("branches"), 1)
    assert layer.weights.data is not None
    layer.weights.data = np.full_like(layer.weights.data, 3)
    assert select_channels(WeightUpdate(1, channels=2), layer, seed=0).tolist() == [0, 1]


def test_first(converted: Converted) -> None:
    layer = layer_of(converted("mobilenet"), 2)
    update = WeightUpdate(2, ratio=0.5, select="first")
    assert select_channels(update, layer, seed=3).tolist() == list(range(8))


def test_random_is_reproducible_by_seed(converted: Converted) -> None:
    layers = [layer_of(converted("mobilenet"), i) for i in (3, 4, 6)]

    def choose(layer: Layer, seed: int) -> list[int]:
        update = WeightUpdate(layer.index, channels=5, select="random")
        chosen: npt.NDArray[np.int64] = select_channels(update, layer, seed)
        assert chosen.tolist() == sorted(set(chosen))
        return chosen.tolist()

    for layer in layers:
        assert choose(layer, 7) == choose(layer, 7)
        draws = {tuple(choose(layer, seed)) for seed in range(30)}
        assert len(draws) > 10
        assert {c for draw in draws for c in draw} == set(range(input_channels(layer)))
    assert any(choose(layers[0], seed) != choose(layers[1], seed) for seed in range(5)), (
        "layers draw independently"
    )


@pytest.mark.parametrize("select", ["magnitude", "first", "random"])
def test_all_channels(converted: Converted, select: str) -> None:
    layer = layer_of(converted("mobilenet"), 2)
    for update in (WeightUpdate(2, select=select), WeightUpdate(2, channels=16, select=select)):
        assert select_channels(update, layer, seed=1).tolist() == list(range(16))


@pytest.mark.parametrize(
    ("ratio", "count"),
    [(1 / 8, 2), (1 / 4, 4), (1 / 3, 5), (0.01, 1), (0.5, 8), (0.97, 16), (17 / 32, 9)],
)
def test_ratios_round_to_the_nearest_count(converted: Converted, ratio: float, count: int) -> None:
    layer = layer_of(converted("mobilenet"), 2)
    assert select_channels(WeightUpdate(2, ratio=ratio), layer, seed=0).size == count


def test_a_list_is_taken_as_it_is(converted: Converted) -> None:
    layer = layer_of(converted("mobilenet"), 1)
    update = WeightUpdate(1, channels=(0, 3, 7))
    assert select_channels(update, layer, seed=0).tolist() == [0, 3, 7]


def test_channels_of_a_fully_connected_layer_are_its_columns(converted: Converted) -> None:
    """Its input may have any shape of the same size."""
    layer = layer_of(converted("resnet"), 5)
    count = layer.weights.shape[1]
    layer.x.shape = (1, 1, 2, count // 2)
    update = WeightUpdate(5, channels=(count - 1,))
    assert select_channels(update, layer, seed=0).tolist() == [count - 1]


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        (
            (2, 8),
            "update.weights: channel 8 does not exist: layer 1 (DEPTHWISE_CONV_2D",
        ),
        (9, "update.weights: 9 channels asked for, but layer 1 (DEPTHWISE_CONV_2D"),
    ],
)
def test_refusals(converted: Converted, channels: int | tuple[int, ...], words: str) -> None:
    layer = layer_of(converted("mobilenet"), 1)
    with pytest.raises(SchemeError, match=re.escape(words)) as refusal:
        select_channels(WeightUpdate(1, channels=channels), layer, seed=0)
    assert "input channels" in str(refusal.value) and "\n" not in str(refusal.value)
