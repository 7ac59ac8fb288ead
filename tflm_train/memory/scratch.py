"""What our own kernels ask for: the twins of the C++ `*ScratchBytes` and `PersistentBytes`."""

from __future__ import annotations

from tflm_train import kernel_abi as abi
from tflm_train.ops.geometry import Geometry
from tflm_train.ops.target import Target, align

_WORD = 4
_HALF_WORD = 2

# Of conv_input_grad.cc, update_plan.h and panel.h.
_LANES = 4
_MAX_DEPTH = 512
_INPUT_BYTES = 6288
_TAIL_BYTES = 12  # behind each panel of the input
_GRADIENT_BYTES = 4096
_PLANE_BYTES = 4096
_ELEMENT = 16
_TAP_PAIR = 8
_WINDOW_BLOCK = 28
_STRIP_COLUMN = 128
_STRIP_CONSTANTS = 148  # weights of four channels, and a copy of them
_TILE_CONSTANTS = 132
_ENOUGH_PANELS = 4
_ENOUGH_BYTES = 11264


def scratch_of(params: abi.OpParams) -> int:
    """Scratch bytes of one op."""
    if isinstance(params, abi.LossParams):
        return _WORD * params.classes
    if isinstance(params, abi.ConvInputGradParams):
        return _conv_input_grad(params)
    if isinstance(params, abi.DepthwiseInputGradParams):
        return _depthwise_input_grad(params)
    if isinstance(params, abi.PoolGradParams):
        return 0 if params.uniform else _WORD * params.geometry.in_c
    if isinstance(params, abi.ConvUpdateParams):
        return _conv_update(params)
    if isinstance(params, abi.DepthwiseUpdateParams):
        return 2 * _WORD * params.geometry.out_c
    if isinstance(params, abi.SplitConvParams):
        g = params.geometry
        return 2 * _HALF_WORD * g.k_h * g.k_w * g.in_c
    if isinstance(params, abi.SplitDepthwiseParams):
        return _WORD * params.geometry.out_c
    if isinstance(params, abi.StreamParams):
        return _stream(params.stages)
    if isinstance(params, abi.ProductGradParams):
        return _WORD * params.kept[-1].size
    if isinstance(params, abi.MaxPoolGradParams):
        return _WORD * params.geometry.in_c
    if isinstance(params, abi.ResizeGradParams):
        return _WORD * params.channels
    if isinstance(params, abi.L2NormGradParams):
        return _WORD * params.size
    return 0


def _conv_input_grad(params: abi.ConvInputGradParams) -> int:
    """Pixel by pixel, or panels of gradients to multiply a panel of weights with."""
    g = params.geometry
    is_split = params.group < g.out_c
    by_pixels = _WORD * g.in_c * (1 + is_split + (params.kept > 0))
    if is_split or g.in_h * g.in_w <= 1:
        return by_pixels
    pointwise = (g.k_h, g.k_w, g.stride_h, g.stride_w, g.pad_t, g.pad_l) == (1, 1, 1, 1, 0, 0)
    same_size = (g.in_h, g.in_w) == (g.out_h, g.out_w)
    width = g.in_h * g.in_w if pointwise and same_size else g.in_w
    elements = align(g.out_c, 8) * _LANES * g.k_h * g.k_w
    per_row = (width + g.stride_w - 1) // g.stride_w
    needed = -(-per_row // _LANES)
    panel = _HALF_WORD * elements
    most = max(1, _GRADIENT_BYTES // panel, min(_ENOUGH_PANELS, _ENOUGH_BYTES // panel))
    blocks = -(-needed // most)
    panels = -(-needed // blocks)
    return max(by_pixels, panel * (panels + 1))


def _depthwise_input_grad(params: abi.DepthwiseInputGradParams) -> int:
    """Pixel by pixel, or a plane of four channels, their weights and what is to be done."""
    g = params.geometry
    by_pixels = _WORD * g.out_c
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
    copy = 2 * _LANES * weights
    return _ELEMENT * (plane + weights) + _TAP_PAIR * weights + _WINDOW_BLOCK * blocks + copy


def _conv_update(params: abi.ConvUpdateParams) -> int:
    """A panel of gradients, panels of the input, and sums where not all positions fit."""
    g = params.geometry
    positions = g.in_h * g.in_w if params.transposed else g.out_h * g.out_w
    depth = min(positions, _MAX_DEPTH)
    panel = _HALF_WORD * _LANES * align(depth, 8)
    needed = -(-g.in_c // _LANES)
    panels = min(needed, max(1, _INPUT_BYTES // (panel + _TAIL_BYTES)))
    sums = _WORD * _LANES * _LANES * panels if positions > depth else 0
    return panel + (panel + _TAIL_BYTES) * panels + sums


def _stream(stages: tuple[abi.StageFields, ...]) -> int:
    """Progress and ring offset of each stage, the widest stage's sums, all ring buffers."""
    progress = 3 * _WORD * len(stages)
    sums = max(map(_stage_sums, stages))
    rings = sum(
        s.ring_rows * s.geometry.out_w * s.geometry.out_c
        for s in stages[:-1]
        if not s.is_kept_whole
    )
    return progress + align(sums, _WORD) + rings


def _stage_sums(stage: abi.StageFields) -> int:
    g = stage.geometry
    if stage.stage_kind == abi.StageKind.CONV:
        return 2 * _HALF_WORD * g.k_h * g.k_w * g.in_c
    return _WORD * g.out_c if stage.stage_kind == abi.StageKind.DEPTHWISE else 0


def persistent_of(params: abi.OpParams, target: Target) -> int:
    """Bytes an op keeps for the life of the interpreter, beside its node's data."""
    if isinstance(params, abi.RestoreParams):
        # VariableTable: a header and one entry per variable.
        return target.size_of("Pi") + params.variable_count * target.size_of("Pi")
    return 0
