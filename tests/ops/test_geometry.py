import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given

from tests.backward_ops.float_reference import Window, property_test, windows
from tflm_train.errors import ModelError
from tflm_train.ops.geometry import Geometry


@property_test
@given(windows("conv"))
def test_taps_join_what_the_definition_says(window: Window) -> None:
    g = window.geometry
    joined = set()
    for tap in g.taps():
        rows = zip(*(np.r_[s].tolist() for s in (tap.out_rows, tap.in_rows)), strict=True)
        cols = list(zip(*(np.r_[s].tolist() for s in (tap.out_cols, tap.in_cols)), strict=True))
        pairs = {(tap.ky, tap.kx, oy, ox, iy, ix) for oy, iy in rows for ox, ix in cols}
        assert pairs
        joined |= pairs
    expected = set()
    for oy, ox, ky, kx in np.ndindex(g.out_h, g.out_w, g.k_h, g.k_w):
        iy = oy * g.stride_h + ky * g.dil_h - g.pad_t
        ix = ox * g.stride_w + kx * g.dil_w - g.pad_l
        if 0 <= iy < g.in_h and 0 <= ix < g.in_w:
            expected.add((ky, kx, oy, ox, iy, ix))
    assert joined == expected


@property_test
@given(windows("pool"))
def test_output_and_padding_are_tensorflows(window: Window) -> None:
    g = window.geometry
    # The forward sum over a window of position numbers tells which positions it read.
    numbers = 2.0 ** np.arange(g.in_h)[:, np.newaxis] * np.ones(g.in_w)
    kernel = np.ones((g.k_h, g.k_w, 1, 1))
    strides = (g.stride_h, g.stride_w)
    for image in (numbers, numbers.T if g.in_h == g.in_w else numbers[::-1]):
        y = tf.nn.conv2d(image[np.newaxis, :, :, np.newaxis], kernel, strides, window.padding)
        ours = np.zeros((g.out_h, g.out_w))
        for tap in g.taps():
            ours[tap.out_rows, tap.out_cols] += image[tap.in_rows, tap.in_cols]
        np.testing.assert_array_equal(y.numpy()[0, :, :, 0], ours)


def test_a_kernel_larger_than_its_input_is_refused() -> None:
    with pytest.raises(ModelError, match="reach 7 does not fit into 5"):
        Geometry.from_options((5, 9, 1), 1, (4, 1), dilations=(2, 1))


def test_dense_is_a_column_of_pixels() -> None:
    assert Geometry.dense(3, 8, 5) == Geometry(3, 1, 8, 3, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0)
