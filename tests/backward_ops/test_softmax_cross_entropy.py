import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.backward_ops.float_reference import dequantize, property_test, seeds
from tflm_train.backward_ops.softmax_cross_entropy import loss
from tflm_train.errors import DataError


@property_test
@given(st.integers(2, 1000), st.floats(0.001, 1.0), st.floats(1.0, 127.0), seeds)
def test_loss_and_gradient_are_tensorflows(
    classes: int, scale: float, spread: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.uniform(-spread, spread, classes).astype(np.int8)
    label = int(rng.integers(classes))
    real = tf.constant(logits * np.float64(np.float32(scale)))
    with tf.GradientTape() as tape:
        tape.watch(real)
        expected = tf.nn.sparse_softmax_cross_entropy_with_logits(label, real)
    d = tape.gradient(expected, real).numpy()
    value, gradient = loss(logits, label, scale)
    assert value.dtype == np.float32
    assert gradient.scale.dtype == np.float32
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-5)
    assert np.abs(dequantize(gradient) - d).max() <= 0.501 * gradient.scale + 2e-6
    if np.abs(d).max() > 1e-5:
        assert np.abs(gradient.q).max() == 127


def test_a_certain_prediction_has_no_gradient() -> None:
    logits = np.array([-128, 127, -128], np.int8)
    value, gradient = loss(logits, 1, 0.25)
    assert value == 0
    assert gradient.scale == 0
    assert not gradient.q.any()


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_out_of_range_is_refused(label: int) -> None:
    with pytest.raises(DataError, match=rf"label {label} is outside the model's 3 classes"):
        loss(np.zeros(3, np.int8), label, 0.25)
