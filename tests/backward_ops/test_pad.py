import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.backward_ops import float_reference
from tests.backward_ops.float_reference import (
    Activation,
    dequantize,
    property_test,
    random_gradient,
    random_input,
    seeds,
)
from tflm_train.backward_ops.pad import pad_gradient

amounts = st.tuples(st.integers(0, 3), st.integers(0, 3))


@property_test
@given(st.tuples(amounts, amounts, amounts), st.sampled_from(("NONE", "RELU", "RELU6")), seeds)
def test_pad(paddings: tuple[tuple[int, int], ...], activation: Activation, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (3, 4, 2)
    padded = tuple(n + sum(p) for n, p in zip(shape, paddings, strict=True))
    x = random_input(rng, shape, activation)
    gradient = random_gradient(rng, padded)
    expected = float_reference.input_gradient(
        lambda a: tf.pad(a, ((0, 0), *paddings)), x, dequantize(gradient)
    )
    before = (0, paddings[0][0], paddings[1][0], paddings[2][0])
    result = pad_gradient(gradient, (1, *shape), (1, *padded), before, x.mask)
    assert result.scale == gradient.scale
    np.testing.assert_array_equal(dequantize(result)[0], expected)
