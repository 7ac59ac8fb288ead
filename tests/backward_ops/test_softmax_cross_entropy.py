import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.backward_ops.float_reference import dequantize, property_test, seeds
from tflm_train.backward_ops.losses import SOFTMAX_CROSS_ENTROPY, smoothing_of
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


@property_test
@given(st.integers(2, 50), st.floats(0.0, 0.5), st.booleans(), seeds)
def test_soft_weighted_and_smoothed_targets_are_tensorflows(
    classes: int, amount: float, weighted: bool, seed: int
) -> None:
    """Keras' CategoricalCrossentropy with `label_smoothing`, each class's term weighted."""
    rng = np.random.default_rng(seed)
    logits = rng.integers(-128, 128, classes).astype(np.int8)
    target = rng.dirichlet(np.ones(classes)).astype(np.float32)
    weights = rng.uniform(0.1, 3, classes).astype(np.float32) if weighted else None
    w = np.ones(classes) if weights is None else weights.astype(np.float64)
    smooth = smoothing_of(SOFTMAX_CROSS_ENTROPY, amount, classes)
    real = tf.constant(logits * np.float64(0.1))
    with tf.GradientTape() as tape:
        tape.watch(real)
        t = tf.constant(target.astype(np.float64)) * (1 - amount) + amount / classes
        expected = -tf.reduce_sum(w * t * tf.nn.log_softmax(real))
    d = tape.gradient(expected, real).numpy()
    value, gradient = loss(logits, target, np.float32(0.1), smooth, weights)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-4)
    assert np.abs(dequantize(gradient) - d).max() <= 0.501 * gradient.scale + 2e-5


def test_a_class_index_is_the_one_hot_vector() -> None:
    logits = np.array([-5, 90, 3, 17], np.int8)
    first = loss(logits, 2, 0.1)
    second = loss(logits, np.array([0, 0, 1, 0], np.float32), 0.1)
    assert first.value == second.value
    np.testing.assert_array_equal(first.gradient.q, second.gradient.q)


@pytest.mark.parametrize("wrong", [-0.01, 1.01, np.nan, np.inf])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(DataError, match="a target value is no probability from 0 to 1"):
        loss(np.zeros(2, np.int8), np.array([0.5, wrong], np.float32), 0.25)


@property_test
@given(st.integers(2, 40), st.integers(2, 6), st.booleans(), st.booleans(), seeds)
def test_a_map_is_the_mean_over_its_positions(
    positions: int, classes: int, soft: bool, weighted: bool, seed: int
) -> None:
    """Keras' losses on a tensor [h, w, classes], each class's term weighted."""
    rng = np.random.default_rng(seed)
    logits = rng.integers(-128, 128, (positions, classes)).astype(np.int8)
    labels = rng.integers(0, classes, positions).astype(np.int32)
    t = np.eye(classes)[labels]
    if soft:
        t = rng.dirichlet(np.ones(classes), positions).astype(np.float32).astype(np.float64)
    weights = rng.uniform(0.1, 3, classes).astype(np.float32) if weighted else None
    w = np.ones(classes) if weights is None else weights.astype(np.float64)
    real = tf.constant(logits * np.float64(np.float32(0.1)))
    with tf.GradientTape() as tape:
        tape.watch(real)
        expected = -tf.reduce_mean(tf.reduce_sum(w * t * tf.nn.log_softmax(real), axis=-1))
    d = tape.gradient(expected, real).numpy()
    target = t.astype(np.float32) if soft else labels
    value, gradient = loss(logits, target, 0.1, class_weights=weights, positions=positions)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(dequantize(gradient) - d.reshape(-1)).max() <= 0.501 * gradient.scale + 2e-6
