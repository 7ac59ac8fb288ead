import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.backward_ops import float_reference as ref
from tflm_train.backward_ops.resize import (
    ONE,
    bilinear_table,
    nearest_table,
    resize_gradient,
    weights_of,
)

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
conventions = st.sampled_from(((False, False), (True, False), (False, True)))


@pytest.mark.parametrize("nearest", [False, True])
@ref.property_test
@given(sizes, sizes, conventions, ref.activations, ref.seeds)
def test_resize(
    nearest: bool,
    size: tuple[int, int],
    out: tuple[int, int],
    convention: tuple[bool, bool],
    activation: ref.Activation,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    x = ref.random_input(rng, (*size, 3), activation)
    gradient = ref.random_gradient(rng, (*out, 3))
    kernel = tf.raw_ops.ResizeNearestNeighbor if nearest else tf.raw_ops.ResizeBilinear

    def forward(a: tf.Tensor) -> tf.Tensor:
        y = kernel(
            images=tf.cast(a, tf.float32),
            size=out,
            align_corners=convention[0],
            half_pixel_centers=convention[1],
        )
        return tf.cast(y, tf.float64)

    expected = ref.input_gradient(forward, x, ref.dequantize(gradient))
    make = nearest_table if nearest else bilinear_table
    rows, columns = (make(n, m, *convention) for n, m in zip(size, out, strict=True))
    result = resize_gradient(gradient, rows, columns, size, np.float32(0), x.mask)
    ref.assert_parallel(ref.dequantize(result.gradient), expected, cosine=0.998, norm=0.05)


@given(st.integers(1, 40), st.integers(1, 40), conventions)
def test_tables(n: int, out: int, convention: tuple[bool, bool]) -> None:
    """What the kernel's loops and its Prepare rely on."""
    for make in (bilinear_table, nearest_table):
        table = make(n, out, *convention)
        assert (np.diff(table[:, 0]) >= 0).all()
        assert table[:, 0].min() >= 0 and table[:, 0].max() < n
        assert table[:, 1].min() >= 0 and table[:, 1].max() <= ONE
        assert (weights_of(table, n).sum(axis=1) == ONE).all()
