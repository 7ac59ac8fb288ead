"""Small networks of real shapes, the same bytes every time: no converter makes them."""

from __future__ import annotations

import numpy as np

from tests.stacks import Stack
from tflm_train.graph import Tensor
from tflm_train.model import Model

LINEAR, RELU, RELU6 = 0, 1, 3


def separable() -> Model:
    """MobileNetV1's: depthwise and pointwise layers in turns."""
    stack = Stack.start(48, 48, 1, 81)
    stack.conv(8, 3, 2, True, RELU6)
    for channels, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (96, 2)):
        stack.depthwise(1, 3, stride, True, RELU6)
        stack.conv(channels, 1, 1, True, RELU6)
    return _classified(stack, 2)


def inverted() -> Model:
    """MobileNetV2's: inverted bottlenecks, skips where they fit."""
    stack = Stack.start(32, 32, 3, 82)
    stack.conv(16, 3, 2, True, RELU6)
    stack.depthwise(1, 3, 1, True, RELU6)
    stack.conv(8, 1, 1, True, LINEAR)
    for channels, inner, stride in ((12, 48, 2), (12, 72, 1), (16, 72, 2), (16, 96, 1)):
        x = stack.top
        stack.conv(inner, 1, 1, True, RELU6)
        stack.depthwise(1, 3, stride, True, RELU6)
        stack.conv(channels, 1, 1, True, LINEAR)
        if x.shape == stack.top.shape:
            stack.add(x, LINEAR)
    stack.conv(48, 1, 1, True, RELU6)
    return _classified(stack, 10)


def residual() -> Model:
    """ResNet's: two convolutions beside a skip, which has one where shapes change."""
    stack = Stack.start(16, 16, 3, 83)
    stack.conv(12, 3, 1, True, RELU)
    for channels, stride in ((12, 1), (24, 2), (24, 1)):
        x = stack.top
        stack.conv(channels, 3, stride, True, RELU)
        stack.conv(channels, 3, 1, True, LINEAR)
        y = stack.top
        if x.shape != y.shape:
            stack.top = x
            stack.conv(channels, 1, stride, True, LINEAR)
            x, stack.top = stack.top, y
        stack.add(x, RELU)
    return _classified(stack, 6)


def padded() -> Model:
    """Explicit PADs before strides, as PyTorch's models have them, and dilations."""
    stack = Stack.start(24, 20, 3, 84)
    stack.pad((1, 1, 1, 1))
    stack.conv(8, 3, 2, False, RELU)
    for channels in (16, 24):
        stack.depthwise(1, 3, 1, True, RELU, 2)
        stack.conv(channels, 1, 1, True, RELU)
        stack.pad((1, 0, 0, 1))
        stack.conv(channels, 2, 2, False, RELU)
    return _classified(stack, 5)


def branching() -> Model:
    """One activation, three branches."""
    stack = Stack.start(12, 12, 4, 85)
    stack.conv(8, 3, 1, True, RELU)
    fork = stack.top
    stack.conv(8, 3, 1, True, RELU6)
    stack.conv(8, 3, 1, True, RELU)
    first = stack.top
    stack.top = fork
    stack.max_pool(3, 1)
    stack.conv(8, 1, 1, True, RELU)
    stack.add(first, LINEAR)
    both = stack.top
    stack.top = fork
    stack.depthwise(1, 5, 1, True, RELU)
    stack.conv(8, 1, 1, True, LINEAR)
    stack.add(both, LINEAR)
    stack.conv(24, 3, 2, True, RELU)
    return _classified(stack, 4)


def woven(seed: int) -> Model:
    """Layers at random, with skips across several of them."""
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(6, 13, 2))
    stack = Stack.start(height, width, int(rng.integers(2, 6)), seed)
    by_shape: dict[tuple[int, ...], list[Tensor]] = {}
    for _ in range(int(rng.integers(3, 8))):
        by_shape.setdefault(stack.top.shape, []).append(stack.top)
        activation = int(rng.choice([LINEAR, RELU, RELU6]))
        kind = int(rng.integers(5))
        if kind == 0:
            stack.depthwise(1, 3, 1, True, activation)
        elif kind == 1:
            stack.conv(int(rng.choice([4, 8, 12, 24])), 1, 1, True, activation)
        elif kind == 2:
            stride = int(rng.integers(1, 3)) if min(stack.top.shape[1:3]) > 3 else 1
            stack.conv(int(rng.choice([4, 8])), 3, stride, True, activation)
        elif kind == 3:
            stack.max_pool(3, 1)
        else:
            _weave(stack, rng, by_shape)
    return _classified(stack, 4)


def _weave(
    stack: Stack, rng: np.random.Generator, by_shape: dict[tuple[int, ...], list[Tensor]]
) -> None:
    """A branch of a layer or two, its ADD, and often one of an earlier activation."""
    fork = stack.top
    channels = fork.shape[3]
    stack.conv(channels, int(rng.choice([1, 3])), 1, True, RELU)
    if rng.integers(2):
        stack.depthwise(1, 3, 1, True, RELU6)
    branch = stack.top
    stack.top = fork
    if rng.integers(2):
        stack.conv(channels, 1, 1, True, LINEAR)
    stack.add(branch, LINEAR)
    earlier = by_shape.get(stack.top.shape)
    if rng.integers(2) and earlier:
        stack.add(earlier[int(rng.integers(len(earlier)))], LINEAR)


def _classified(stack: Stack, classes: int) -> Model:
    """Ends in one number for each class."""
    height, width = stack.top.shape[1:3]
    stack.conv(classes, min(height, width), max(height, width), False, LINEAR)
    return stack.finish(trainable=True)
