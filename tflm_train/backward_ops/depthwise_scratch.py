"""The scratch that DEPTHWISE_INPUT_GRAD asks for: the twin of the C++ `*ScratchBytes`."""

from __future__ import annotations

from tflm_train import ops
from tflm_train.backward_ops.kernel import LANES, WORD
from tflm_train.ops.geometry import Geometry

_PLANE_BYTES = 4096
_ELEMENT = 16
_TAP_PAIR = 8
_WINDOW_BLOCK = 28
_STRIP_COLUMN = 128
_STRIP_CONSTANTS = 148  # weights of four channels, and a copy of them
_TILE_CONSTANTS = 132


def depthwise_input_grad_scratch(params: ops.DepthwiseInputGrad) -> int:
    """Pixel by pixel, or a plane of four channels, their weights and what is to be done."""
    g = params.geometry
    by_pixels = WORD * g.out_c
    if params.multiplier != 1 or g.dil_h != 1 or g.dil_w != 1:
        return by_pixels
    return max(by_pixels, _strips(g) or _windows(g))


def _strips(g: Geometry) -> int:
    """3x3 windows in strips; 0: not for this layer."""
    stride = g.stride_h
    if (g.k_h, g.k_w, g.stride_w) != (3, 3, stride) or stride > 2:
        return 0
    if max(g.pad_t, g.pad_l) > 3 - stride:
        return 0
    most = _PLANE_BYTES // _STRIP_COLUMN
    if stride == 1:
        return min(g.in_w + 2, most) * _STRIP_COLUMN + _STRIP_CONSTANTS
    if (g.in_h + g.pad_t) // 2 <= g.pad_t or (g.in_w + g.pad_l) // 2 <= g.pad_l:
        return 0
    return min((g.in_w + g.pad_l + 1) // 2 + 1, most) * _STRIP_COLUMN + _TILE_CONSTANTS


def _windows(g: Geometry) -> int:
    left = right = 0
    for phase in range(g.stride_w):
        first_tap = (phase + g.pad_l) % g.stride_w
        taps = max(0, -(-(g.k_w - first_tap) // g.stride_w))
        first_output = (phase + g.pad_l - first_tap) // g.stride_w
        left = max(left, taps - 1 - first_output)
        right = max(right, first_output + (g.in_w - 1) // g.stride_w - (g.out_w - 1))
    pitch = left + g.out_w + right
    window_rows = -(-g.k_h // g.stride_h) + 2
    steps = min(-(-g.in_h // g.stride_h), _PLANE_BYTES // (pitch * _ELEMENT) - window_rows)
    steps = max(1, steps)
    plane = pitch * min(steps + window_rows, g.out_h + 1)
    weights = (g.k_h + g.stride_h) // 2 * g.k_w
    blocks = g.stride_h * g.stride_w * min(steps, window_rows + 1)
    copy = 2 * LANES * weights
    return _ELEMENT * (plane + weights) + _TAP_PAIR * weights + _WINDOW_BLOCK * blocks + copy
