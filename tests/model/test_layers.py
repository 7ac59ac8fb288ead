"""The numbering and the numbers of a model's layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tflm_train.model import Model
from tflm_train.model.layers import ancestors, list_layers


def test_numbering_counts_layers_only(converted: Callable[[str], Model]) -> None:
    graph = converted("resnet").graph
    layers = list_layers(graph)
    assert [layer.index for layer in layers] == list(range(6))
    assert [layer.op.name for layer in layers] == ["CONV_2D"] * 5 + ["FULLY_CONNECTED"]
    assert all(graph.ops[layer.op_index] is layer.op for layer in layers)
    assert [op.name for op in graph.ops if op.name not in ("CONV_2D", "FULLY_CONNECTED")] == [
        "ADD", "AVERAGE_POOL_2D", "PAD", "AVERAGE_POOL_2D",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "index", "macs", "channels"),
    [
        ("mobilenet", 0, 8 * 6 * 8 * 3 * 3 * 3, 8),  # 3x3 convolution of 3 channels
        ("mobilenet", 1, 8 * 6 * 16 * 3 * 3, 16),  # depthwise, multiplier 2
        ("mobilenet", 6, 12 * 5, 5),  # fully connected
        ("keyword", 0, 13 * 5 * 8 * 10 * 4, 8),
    ],
)
def test_counts(
    converted: Callable[[str], Model], model: str, index: int, macs: int, channels: int
) -> None:
    layer = list_layers(converted(model).graph)[index]
    assert (layer.macs, layer.out_channels) == (macs, channels)
    assert layer.bias is not None and layer.bias.size == channels
    assert f"layer {index} ({layer.op.name}, op {layer.op_index}" in str(layer)


def test_ancestors_follow_every_branch(converted: Callable[[str], Model]) -> None:
    graph = converted("branches").graph
    assert ancestors(graph, graph.outputs[0]) == {id(op) for op in graph.ops}
    first = graph.ops[0]
    assert ancestors(graph, first.output) == {id(first)}
