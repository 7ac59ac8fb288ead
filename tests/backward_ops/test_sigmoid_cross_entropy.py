import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.backward_ops.float_reference import dequantize, property_test, seeds
from tflm_train.backward_ops.losses import SIGMOID_CROSS_ENTROPY, smoothing_of
from tflm_train.backward_ops.sigmoid_cross_entropy import loss
from tflm_train.errors import DataError


@property_test
@given(st.integers(1, 60), st.floats(0.001, 0.5), st.floats(0.0, 0.5), st.booleans(), seeds)
def test_loss_and_gradient_are_tensorflows(
    labels: int, scale: float, amount: float, weighted: bool, seed: int
) -> None:
    """The mean of `sigmoid_cross_entropy_with_logits`, labels smoothed as Keras does."""
    rng = np.random.default_rng(seed)
    logits = rng.integers(-128, 128, labels).astype(np.int8)
    zero_point = int(rng.integers(-128, 128))
    target = rng.uniform(0, 1, labels).astype(np.float32)
    target[::2] = np.round(target[::2])
    weights = rng.uniform(0.1, 3, labels).astype(np.float32) if weighted else None
    w = np.ones(labels) if weights is None else weights.astype(np.float64)
    real = tf.constant((logits.astype(np.float64) - zero_point) * np.float64(np.float32(scale)))
    with tf.GradientTape() as tape:
        tape.watch(real)
        t = target.astype(np.float64) * (1 - amount) + amount / 2
        terms = tf.nn.sigmoid_cross_entropy_with_logits(t, real)
        expected = tf.reduce_mean(w * terms)
    d = tape.gradient(expected, real).numpy()
    smooth = smoothing_of(SIGMOID_CROSS_ENTROPY, amount, labels)
    value, gradient = loss(logits, target, scale, zero_point, smooth, weights)
    assert value.dtype == np.float32
    assert gradient.scale.dtype == np.float32
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(dequantize(gradient) - d).max() <= 0.501 * gradient.scale + 3e-6
    if np.abs(d).max() * labels > 1e-5:
        assert np.abs(gradient.q).max() == 127


def test_right_answers_have_no_gradient() -> None:
    value, gradient = loss(
        np.array([127, -128], np.int8), np.array([1, 0], np.float32), 0.5, zero_point=0
    )
    assert value < 1e-9
    assert gradient.scale == 0 and not gradient.q.any()


@pytest.mark.parametrize("wrong", [-0.01, 1.01, np.nan])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(DataError, match="a target value is no probability from 0 to 1"):
        loss(np.zeros(1, np.int8), np.array([wrong], np.float32), 0.25, 0)
