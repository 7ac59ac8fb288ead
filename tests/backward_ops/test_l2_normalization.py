import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.backward_ops import float_reference as ref
from tflm_train.backward_ops.l2_normalization import l2_norm_gradient, norm


@ref.property_test
@given(st.integers(3, 200), ref.activations, ref.seeds)
def test_l2_normalization(size: int, activation: ref.Activation, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = ref.random_input(rng, (size,), activation)
    real = (x.x.astype(np.float64) - x.zero_point) * x.scale
    length = np.linalg.norm(real)
    if length == 0:
        return
    y = np.rint(real / length * 128).clip(-128, 127).astype(np.int8)
    gradient = ref.random_gradient(rng, (size,))
    expected = ref.input_gradient(
        lambda a: tf.math.l2_normalize(a, axis=-1), x, ref.dequantize(gradient)
    )
    result = l2_norm_gradient(gradient, x.x, y, x.scale, x.zero_point, np.float32(0), x.mask)
    # Where the gradient is parallel to the vector nearly all of it cancels: no relative error.
    passed = np.linalg.norm(ref.dequantize(gradient)) / length
    assert np.linalg.norm(ref.dequantize(result.gradient) - expected) <= 0.03 * passed


def test_norm() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 2, 100, 4096):
        x = rng.integers(-128, 128, size).astype(np.int8)
        exact = np.linalg.norm(x.astype(np.float64) + 128)
        assert abs(float(norm(x, -128)) - exact) <= exact * 2**-14
    assert norm(np.zeros(5, np.int8), 0) == 0


def test_a_zero_vector_has_no_gradient() -> None:
    gradient = ref.random_gradient(np.random.default_rng(1), (4,))
    zero = np.full(4, 3, np.int8)
    result = l2_norm_gradient(gradient, zero, np.zeros(4, np.int8), 0.1, 3, np.float32(5))
    assert result.scale == 0 and not result.q.any() and result.range_ == 5
