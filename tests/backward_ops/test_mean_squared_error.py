import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.backward_ops.float_reference import dequantize, property_test, seeds
from tflm_train.backward_ops.mean_squared_error import loss
from tflm_train.errors import DataError


@property_test
@given(st.integers(1, 700), st.floats(1e-3, 2.0), seeds)
def test_loss_and_gradient_are_tensorflows(outputs: int, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale = np.float32(scale)
    q = rng.integers(-128, 128, outputs).astype(np.int8)
    zero_point = int(rng.integers(-128, 128))
    target = rng.normal(0, 100 * scale, outputs).astype(np.float32)
    real = tf.constant((q.astype(np.float64) - zero_point) * np.float64(scale))
    with tf.GradientTape() as tape:
        tape.watch(real)
        expected = tf.reduce_mean((real - target.astype(np.float64)) ** 2)
    d = tape.gradient(expected, real).numpy()
    value, gradient = loss(q, target, scale, zero_point)
    assert value.dtype == np.float32
    assert gradient.scale.dtype == np.float32
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert np.abs(dequantize(gradient) - d).max() <= 0.501 * gradient.scale
    assert np.abs(gradient.q).max() == 127


def test_a_right_answer_has_no_gradient() -> None:
    value, gradient = loss(np.array([3, 5], np.int8), np.array([0.5, 1.5], np.float32), 0.5, 2)
    assert value == 0
    assert gradient.scale == 0 and not gradient.q.any()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 2e12])
def test_what_is_no_ordinary_number_is_refused(wrong: float) -> None:
    with pytest.raises(DataError, match="not a finite number of ordinary size"):
        loss(np.zeros(2, np.int8), np.array([0, wrong], np.float32), 0.5, 0)
