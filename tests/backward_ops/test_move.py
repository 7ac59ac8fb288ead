"""MOVE_GRAD and the rules over it: exact, so compared for equality."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.backward_ops import float_reference as ref
from tflm_train.backward_ops.move import (
    MAX_AXES,
    Move,
    crop,
    embed,
    move_gradient,
    permute,
    repeat,
    too_many_axes,
)

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def check(
    move: Move,
    forward: Callable[[Any], Any],
    shape: tuple[int, ...],
    activation: ref.Activation,
    seed: int,
    divisor: int = 1,
) -> None:
    """The move, before and after joining its axes, is what TensorFlow's gradient does."""
    rng = np.random.default_rng(seed)
    x = ref.random_input(rng, shape, activation)
    gradient = ref.random_gradient(rng, tuple(forward(tf.zeros((1, *shape))).shape[1:]))
    expected = ref.input_gradient(forward, x, ref.dequantize(gradient))
    for variant in (move, move.joined()):
        result = move_gradient(gradient, variant, x.mask, divisor)
        got = ref.dequantize(result).reshape(shape)
        np.testing.assert_allclose(got, expected, rtol=1e-6 if divisor > 1 else 0)
    assert len(move.joined().axes) <= len(shape)


@ref.property_test
@given(st.data(), shapes, ref.activations, ref.seeds)
def test_crop(
    data: st.DataObject, shape: tuple[int, ...], activation: ref.Activation, seed: int
) -> None:
    pads = [data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in shape]
    outer = [n + a + b for n, (a, b) in zip(shape, pads, strict=True)]
    move = crop(shape, outer, [a for a, _ in pads])
    check(move, lambda a: tf.pad(a, [(0, 0), *pads]), shape, activation, seed)


@ref.property_test
@given(st.data(), shapes, ref.activations, ref.seeds)
def test_embed(
    data: st.DataObject, shape: tuple[int, ...], activation: ref.Activation, seed: int
) -> None:
    slices = [
        data.draw(st.slices(n).filter(lambda s, n=n: len(range(n)[s]) > 0))  # type: ignore[misc]
        for n in shape
    ]
    taken = [range(n)[s] for n, s in zip(shape, slices, strict=True)]
    move = embed(shape, [t.start for t in taken], [t.step for t in taken], [len(t) for t in taken])
    check(move, lambda a: a[(slice(None), *slices)], shape, activation, seed)


@ref.property_test
@given(st.data(), shapes, ref.activations, ref.seeds)
def test_permute(
    data: st.DataObject, shape: tuple[int, ...], activation: ref.Activation, seed: int
) -> None:
    order = data.draw(st.permutations(range(len(shape))))
    move = permute(shape, order)
    check(move, lambda a: tf.transpose(a, (0, *(p + 1 for p in order))), shape, activation, seed)


@ref.property_test
@given(st.data(), shapes, ref.activations, ref.seeds)
def test_repeat(
    data: st.DataObject, shape: tuple[int, ...], activation: ref.Activation, seed: int
) -> None:
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    count = int(np.prod([shape[axis] for axis in axes]))
    over = [axis + 1 for axis in axes]
    move = repeat(shape, axes)
    check(move, lambda a: tf.reduce_sum(a, over), shape, activation, seed)
    check(move, lambda a: tf.reduce_mean(a, over), shape, activation, seed, count)


def test_joining_axes() -> None:
    assert [a.size for a in crop((1, 8, 8, 4), (1, 9, 8, 4), (0, 1, 0, 0)).joined().axes] == [256]
    assert [a.size for a in crop((1, 8, 8, 4), (1, 8, 9, 4), (0, 0, 1, 0)).joined().axes] == [8, 32]
    assert [a.size for a in permute((1, 6, 5, 4), (0, 3, 1, 2)).joined().axes] == [30, 4]
    assert [a.size for a in repeat((1, 6, 5, 4), {1, 2}).joined().axes] == [30, 4]
    assert crop((1, 2, 1), (1, 2, 1), (0, 0, 0)).joined().axes[0].size == 2


@pytest.mark.parametrize(("rank", "fits"), [(MAX_AXES, True), (MAX_AXES + 1, False)])
def test_axes_that_the_kernel_has(rank: int, fits: bool) -> None:
    reversed_axes = permute((2,) * rank, range(rank)[::-1])
    assert (too_many_axes(reversed_axes) is None) == fits
