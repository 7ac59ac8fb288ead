"""Clipping, weight decay and accumulation: laws of the numpy reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflm_train.backward_ops import conv_2d
from tflm_train.ops.geometry import Geometry
from tflm_train.qas import rules, update


def random_layer(seed: int) -> tuple[np.random.Generator, Geometry, np.ndarray, np.ndarray, int]:
    rng = np.random.default_rng(seed)
    kernel = int(rng.integers(1, 4))
    size = int(rng.integers(kernel, 7))
    geometry = Geometry.from_options(
        (size, size, int(rng.integers(1, 9))), int(rng.integers(1, 9)), (kernel, kernel)
    )
    q = rng.integers(-127, 127, (geometry.out_h, geometry.out_w, geometry.out_c)).astype(np.int8)
    x = rng.integers(-128, 128, (size, size, geometry.in_c)).astype(np.int8)
    return rng, geometry, q, x, int(rng.integers(-128, 128))


@given(st.integers(0, 2**31))
def test_no_clipped_gradient_is_longer_than_the_limit(seed: int) -> None:
    rng, g, q, x, zero_point = random_layer(seed)
    s_g, s_x = np.float32(10.0 ** rng.uniform(-6, 1)), 10.0 ** rng.uniform(-3, 0)
    weights, bias = conv_2d.weight_gradient(q, x, zero_point, g)
    length = float(s_g) * np.hypot(
        s_x * np.linalg.norm(weights.astype(float)), np.linalg.norm(bias.astype(float))
    )
    norm = float(length * 10.0 ** rng.uniform(-3, 3))
    clip = rules.Clip(norm, min(g.k_h * g.k_w, g.positions) * s_x**2, g.positions)
    factor = float(clip.factor(q, s_g, x, zero_point))
    assert 0 <= factor <= 1
    assert factor * length <= norm * 1.001
    if g.positions == 1 and length <= norm * 0.999:
        assert factor == 1, "the bound is exact for one position"


def test_a_clipped_dense_gradient_has_just_the_norm() -> None:
    q, x = np.array([[3, -4, 12]], np.int8), np.array([[0, 5]], np.int8)
    weights, _ = conv_2d.weight_gradient(q, x, 1, Geometry.dense(1, 2, 3))
    length = 0.5 * 0.25 * np.linalg.norm(weights)
    factor = rules.Clip(length / 3, 0.25**2, 0.0).factor(q, np.float32(0.5), x, 1)
    assert factor == pytest.approx(1 / 3, rel=1e-4)
    assert rules.Clip(0.0, 1.0, 1.0).factor(q, np.float32(1e30), x, 1) == 1, "0 is no limit"
    assert rules.Clip(1.0, 1.0, 1.0).factor(q, np.float32(1e30), x, 1) == 0, "nor does it overflow"


@pytest.mark.parametrize("bits", [0, 4, 8])
def test_decay_takes_its_share_on_average(bits: int) -> None:
    rng = np.random.default_rng(bits)
    weights = rng.integers(-127, 128, 200_000).astype(np.int8)
    residual = None if bits == 0 else np.zeros(weights.size, np.int8)
    rate = 1e-3
    new, low = rules.decay_weights(
        weights, residual, np.float32(rate), 99,
        residual_bits=bits, places=np.arange(weights.size), trained=np.array(True),
    )  # fmt: skip
    after = new + (0 if low is None else low / 2.0**bits)
    taken = ((weights - after) * np.sign(weights)).sum() / np.abs(weights).sum(dtype=np.int64)
    assert taken == pytest.approx(rate, rel=0.1)
    assert (new[weights == 0] == 0).all()
    assert np.abs(after).max() <= 127.5


def test_decay_of_a_part_is_the_whole_s() -> None:
    rng = np.random.default_rng(3)
    weights = rng.integers(-127, 128, (6, 1, 1, 20)).astype(np.int8)
    kept = np.array([1, 4, 11])
    places = np.arange(weights.size).reshape(weights.shape)
    options = {"residual_bits": 0, "trained": np.array(True)}
    whole, _ = rules.decay_weights(weights, None, np.float32(0.02), 7, places=places, **options)
    part, _ = rules.decay_weights(
        weights[..., kept], None, np.float32(0.02), 7, places=places[..., kept], **options
    )
    np.testing.assert_array_equal(part, whole[..., kept])


@given(st.integers(0, 2**31), st.integers(1, 6))
def test_accumulation_adds_up_to_the_same_steps(seed: int, steps: int) -> None:
    """Far from the limits, steps that are gathered and applied move a weight as single ones do."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-60, 60, (4, 1, 1, 5)).astype(np.int8)
    gathered, residual = np.zeros_like(weights), np.zeros_like(weights)
    plain, plain_residual = weights, residual
    m = rng.integers(0, 2**22, 4).astype(np.int32)
    for _ in range(steps):
        gradient = rng.integers(-(2**18), 2**18, weights.shape).astype(np.int32)
        options = {"channel_axis": 0, "residual_bits": 8}
        plain, low = update.update_weights(plain, plain_residual, gradient, m, 0, **options)
        assert low is not None
        plain_residual = low
        gathered, low = update.update_weights(gathered, residual, gradient, m, 0, **options)
        assert low is not None
        residual = low
    np.testing.assert_array_equal(rules.apply_steps(weights, gathered), plain)
    np.testing.assert_array_equal(residual, plain_residual)


def test_steps_saturate() -> None:
    weights, gathered = np.array([120, -120], np.int8), np.array([9, -9], np.int8)
    assert rules.apply_steps(weights, gathered).tolist() == [127, -127]
    bias = np.array([2**30 - 1, -(2**30)], np.int32)
    assert rules.apply_bias_steps(bias, np.array([5, -5], np.int32)).tolist() == [2**30, -(2**30)]
