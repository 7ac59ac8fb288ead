"""Random quantised layers, and their gradients by TensorFlow's automatic differentiation.

Everything is in double precision, so that what the tests measure is the integer arithmetic alone.
"""

import typing
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from hypothesis import settings
from hypothesis import strategies as st

from tflm_train.backward_ops.numerics import (
    Mask,
    MaskKind,
    QuantizedGradient,
    activation_range,
    clamp_mask,
)
from tflm_train.ops.geometry import Geometry, Padding

Float64Array = npt.NDArray[np.float64]
Activation = Literal["NONE", "RELU", "RELU6"]

property_test = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)
activations = st.sampled_from(typing.get_args(Activation))

_ACTIVATIONS = {"NONE": tf.identity, "RELU": tf.nn.relu, "RELU6": tf.nn.relu6}


@dataclass(frozen=True)
class QuantizedInput:
    """An int8 activation and the real values it came from, before its fused activation."""

    x: npt.NDArray[np.int8]
    scale: np.float32
    zero_point: int
    mask: Mask | None
    before_activation: Float64Array
    activation: Activation


def random_input(
    rng: np.random.Generator, shape: tuple[int, ...], activation: Activation
) -> QuantizedInput:
    """An input whose producer has the fused `activation`.

    No real value lies between the last quantised step and the clamp, where the float and the
    quantised model rightly disagree.
    """
    zero_point = int(rng.integers(-128, 20))
    if activation == "RELU6":
        scale = np.float32(6 / int(rng.integers(100, 128 - zero_point)))
    else:
        scale = np.float32(np.exp(rng.uniform(-6, 1)))
    clamp = activation_range(activation, float(scale), zero_point)
    if clamp is None:
        steps = rng.integers(-128, 128, shape)
        x = steps
        mask = None
    else:
        act_min, act_max = clamp
        # The quantised range of RELU ends where int8 does, that of the float model does not.
        top = act_max + 60 if activation == "RELU6" else 126
        steps = rng.integers(act_min - 60, top + 1, shape)
        steps = np.where(steps == act_max, act_max + 1, steps)
        x = steps.clip(act_min, act_max)
        y = x.astype(np.int8)
        if rng.integers(2):
            mask = Mask(MaskKind.ACTIVATION, y, act_min, act_max)
        else:
            mask = Mask(MaskKind.BITS, clamp_mask(y, act_min, act_max))
    real = np.float64(scale) * (steps - zero_point)
    return QuantizedInput(x.astype(np.int8), scale, zero_point, mask, real, activation)


def random_gradient(rng: np.random.Generator, shape: tuple[int, ...]) -> QuantizedGradient:
    """A dense gradient that uses the whole int8 range."""
    values = rng.normal(size=shape)
    q = np.rint(values * (127 / np.abs(values).max())).astype(np.int8)
    return QuantizedGradient(q, np.float32(np.exp(rng.uniform(-12, 0))))


def random_pass(
    rng: np.random.Generator, geometry: Geometry, activation: Activation
) -> tuple[QuantizedInput, QuantizedGradient]:
    """What a layer reads on the way forward, and the gradient of its output."""
    g = geometry
    x = random_input(rng, (g.in_h, g.in_w, g.in_c), activation)
    return x, random_gradient(rng, (g.out_h, g.out_w, g.out_c))


def random_weights(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    return rng.integers(-127, 128, shape).astype(np.int8)


def random_scales(
    rng: np.random.Generator, channels: int, spread: float
) -> npt.NDArray[np.float32]:
    """Log-uniform scales, the largest up to `spread` times the smallest."""
    return np.exp(rng.uniform(-7 - np.log(spread), -7, channels)).astype(np.float32)


def dequantize(gradient: QuantizedGradient) -> Float64Array:
    return gradient.q * np.float64(gradient.scale)


@dataclass(frozen=True)
class Window:
    """A random window shape and how TensorFlow pads it."""

    geometry: Geometry
    padding: Padding
    depthwise: bool = False
    multiplier: int = 1


@st.composite
def windows(
    draw: st.DrawFn,
    kind: Literal["conv", "depthwise", "pool"],
) -> Window:
    """Windows of all strides, dilations, paddings; TensorFlow's depthwise needs equal strides."""
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    stride_h = draw(st.integers(1, 3))
    stride_w = stride_h if kind == "depthwise" else draw(st.integers(1, 3))
    dilations = (1, 1)
    if kind != "pool":
        dilations = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    padding: Padding = draw(st.sampled_from(("SAME", "VALID")))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    in_h = draw(st.integers(max(4, reach[0]), 10))
    in_w = draw(st.integers(max(4, reach[1]), 10))
    in_c = draw(st.integers(3, 9))
    multiplier = draw(st.integers(1, 3)) if kind == "depthwise" else 1
    out_c = draw(st.integers(3, 12)) if kind == "conv" else in_c * multiplier
    geometry = Geometry.from_options(
        (in_h, in_w, in_c), out_c, kernel, (stride_h, stride_w), dilations, padding
    )
    return Window(geometry, padding, kind == "depthwise", multiplier)


def _dilated(kernel: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """[k_h, k_w, ...] with zeros between the taps: the CPU has no gradient of dilated kernels."""
    spread_h = np.eye((geometry.k_h - 1) * geometry.dil_h + 1)[:: geometry.dil_h]
    spread_w = np.eye((geometry.k_w - 1) * geometry.dil_w + 1)[:: geometry.dil_w]
    return tf.einsum("ka,lb,klij->abij", spread_h, spread_w, kernel)


def conv_gradients(
    window: Window, x: QuantizedInput, weights: Float64Array, gradient: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Gradients of the input before its activation and of the `[out_c, k_h, k_w, in_c]` weights."""
    g = window.geometry

    def forward(a: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        kernel = _dilated(tf.transpose(w, (1, 2, 3, 0)), g)
        return tf.nn.conv2d(a, kernel, (g.stride_h, g.stride_w), window.padding)

    return differentiate(forward, x, weights, gradient)


def depthwise_gradients(
    window: Window, x: QuantizedInput, weights: Float64Array, gradient: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Gradients of the input before its activation and of the `[k_h, k_w, out_c]` weights."""
    g = window.geometry

    def forward(a: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        kernel = _dilated(tf.reshape(w, (g.k_h, g.k_w, g.in_c, -1)), g)
        return tf.nn.depthwise_conv2d(a, kernel, (1, g.stride_h, g.stride_w, 1), window.padding)

    return differentiate(forward, x, weights, gradient)


def input_gradient(forward: Any, x: QuantizedInput, gradient: Float64Array) -> Float64Array:
    """Gradient of the input before its activation through a layer without weights."""
    return differentiate(lambda a, w: forward(a), x, np.zeros(1), gradient)[0]


def differentiate(
    forward: Any, x: QuantizedInput, weights: Float64Array, gradient: Float64Array
) -> tuple[Float64Array, Float64Array]:
    u = tf.constant(x.before_activation[np.newaxis])
    w = tf.constant(weights)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch((u, w))
        y = forward(_ACTIVATIONS[x.activation](u), w)
        assert y.shape[1:] == gradient.shape
        loss = tf.reduce_sum(y * gradient[np.newaxis])
    du = tape.gradient(loss, u)
    dw = tape.gradient(loss, w, unconnected_gradients="zero")
    return du.numpy()[0], dw.numpy()


def assert_parallel(
    actual: Float64Array, expected: Float64Array, cosine: float, norm: float
) -> None:
    """Cosine similarity at least `cosine`, ratio of norms within `norm` of 1."""
    size = float(np.linalg.norm(expected))
    if size == 0:
        assert not actual.any()
        return
    ratio = float(np.linalg.norm(actual)) / size
    assert abs(ratio - 1) <= norm, f"norm ratio {ratio}"
    similarity = float(np.vdot(actual, expected)) / (size * size * ratio)
    assert similarity >= cosine, f"cosine {similarity}"
