"""Cases at the bounds of fast paths: for each guard, on the side that it lets through and beyond.

The sources name their guards, `// FAST-PATH-BOUND: name` in the line above; a guard is there when
its fast path would give other bits for what it keeps out. `BOUNDS` has the cases of each, and
tests/cpp/test_bounds.py sees that none is missing. tests/mutations.toml loosens them one by one.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import bounds_forward
import bounds_gradients
import bounds_reach
import bounds_updates
from golden_cases import Accumulation, BiasUpdate, ClampMask, Forward, InputGradient, Update
from golden_inputs import Suite


class Bound(NamedTuple):
    """Cases within a guard's bound, which take the fast path, and beyond, which do not."""

    below: tuple[str, ...]
    above: tuple[str, ...]


class Case(Protocol):
    """What writes itself into a suite."""

    def add_to(self, suite: Suite, name: str, small: bool = False) -> None:
        """Adds it."""


def _named(names: str) -> tuple[str, ...]:
    return tuple(names.split())


def _bound(below: str, above: str) -> Bound:
    return Bound(_named(below), _named(above))


BOUNDS: Mapping[str, Bound] = {
    # Forward.
    "small-products": _bound("forward_16384_products", "forward_16578_products"),
    "small-biases": _bound(
        "forward_conv_bias_small_plus forward_conv_bias_small_minus "
        "forward_depthwise_bias_small_plus forward_depthwise_bias_small_minus",
        "forward_conv_bias_large_plus forward_conv_bias_large_minus "
        "forward_depthwise_bias_large_plus forward_depthwise_bias_large_minus",
    ),
    "small-shifts": _bound(
        "forward_shifts_down", "forward_shift_0 forward_shift_up forward_shift_0_depthwise"
    ),
    "conv-tile": _bound("forward_4_channels forward_5_channels", "forward_3_channels"),
    "raw-patches": _bound("forward_stride_1", "forward_stride_2 forward_odd_row"),
    "patch-neighbours": _bound("forward_neighbours", "forward_dilation"),
    "most-taps": _bound("forward_49_taps", "forward_50_taps"),
    "taps-inside": _bound("forward_inside", "forward_border"),
    "four-channels": _bound(
        "forward_depthwise_4_channels forward_depthwise_5_channels", "forward_depthwise_3_channels"
    ),
    "byte-blocks": _bound(
        "forward_depthwise_16_channels forward_depthwise_17_channels",
        "forward_depthwise_15_channels",
    ),
    "shared-input": _bound("forward_multiplier_4", "forward_multiplier_2 forward_multiplier_6"),
    # Gradients.
    "unordered-exponent": _bound("conv_exponent_2", "conv_exponent_1"),
    "largest-gradient": _bound("conv_126 conv_minus_127", "conv_127 conv_minus_128"),
    "largest-magnitude": _bound("conv_126", "conv_127 conv_minus_127 conv_minus_128"),
    "panel-groups": _bound("conv_1048_products", "conv_1049_products"),
    "panel-transposed": _bound("conv_plain", "conv_transposed"),
    "panel-lanes": _bound("conv_4_columns_8_channels", "conv_5_columns_7_channels"),
    "whole-quanta": _bound("conv_8_outputs", "conv_9_outputs"),
    "pixel-pairs": _bound("conv_2_columns_8_channels", "conv_1_columns_8_channels"),
    "interleaved-pixels": _bound("conv_4_columns_8_channels", "conv_5_columns_7_channels"),
    "word-writes": _bound(
        "conv_4_columns_8_channels WordsOfAlignedPixels",
        "conv_4_columns_6_channels conv_joined NoWordsOfUnalignedPixels",
    ),
    "byte-range": _bound("conv_mask_5_7 clamp_mask_5_7", "conv_mask_5_6 clamp_mask_5_6"),
    "rounded-exponent": _bound(
        "accumulate_sum_100 accumulate_sum_minus_127",
        "accumulate_sum_127 accumulate_sum_63 accumulate_sum_minus_254 accumulate_sum_minus_255 "
        "accumulate_sum_minus_256",
    ),
    "small-sums": _bound(
        "depthwise_128_taps_exponent_14 depthwise_128_taps_exponent_16",
        "depthwise_529_taps_exponent_14 depthwise_529_taps_exponent_17",
    ),
    "least-exponent": _bound(
        "strip_exponent_2 tile_exponent_2 window_exponent_2",
        "strip_exponent_1 tile_exponent_1 window_exponent_1",
    ),
    "most-exponent": _bound(
        "strip_exponent_15 tile_exponent_15 window_exponent_15",
        "strip_exponent_16 tile_exponent_16 window_exponent_16",
    ),
    "sixteen-bits": _bound("depthwise_in_16_bits", "depthwise_beyond_16_bits"),
    "phase-shape": _bound(
        "depthwise_many depthwise_5x5",
        "depthwise_many_dilated_rows depthwise_many_dilated_columns depthwise_5x5_multiplier_2",
    ),
    "window-shape": _bound(
        "depthwise_5x5",
        "depthwise_5x5_dilated_rows depthwise_5x5_dilated_columns depthwise_5x5_multiplier_2",
    ),
    "strip-shape": _bound(
        "depthwise_3x3 depthwise_3x3_pads_2_2",
        "depthwise_3x3_dilated_rows depthwise_3x3_dilated_columns depthwise_3x3_stride_12 "
        "depthwise_3x3_stride_21 depthwise_3x3_multiplier_2 depthwise_2x3 depthwise_3x2",
    ),
    "tile-shape": _bound(
        "depthwise_3x3_stride_2 depthwise_3x3_stride_2_pads_1_1",
        "depthwise_3x3_stride_2_dilated_rows depthwise_3x3_stride_2_dilated_columns "
        "depthwise_3x3_stride_2_multiplier_2 depthwise_2x3_stride_2 depthwise_3x2_stride_2 "
        "depthwise_3x3_stride_12 depthwise_3x3_stride_21 "
        "depthwise_3x3_stride_2_pads_2_1 depthwise_3x3_stride_2_pads_1_2",
    ),
    "part-of-a-tile": _bound("depthwise_31_tiles", "depthwise_32_tiles"),
    "tile-axis": _bound("depthwise_3x3_stride_2", "depthwise_one_row_of_tiles"),
    "never-saturates": _bound(
        "tile_saturates_exponent_10", "tile_saturates_exponent_9 tile_saturates_exponent_8"
    ),
    "patch-shapes": _bound(
        "depthwise_3x3 depthwise_5x5 depthwise_patch_8x7",
        "depthwise_patch_3x4 depthwise_patch_4x3 depthwise_patch_6x5 depthwise_patch_5x6 "
        "depthwise_patch_9x7 depthwise_patch_8x8",
    ),
    "stride2-exponent": _bound("stride2_exponent_7", "stride2_exponent_6"),
    "stride2-shape": _bound(
        "stride2_16_channels",
        "stride2_15_channels stride2_padded_rows stride2_padded_columns stride2_odd_rows "
        "stride2_odd_columns",
    ),
    # Updates.
    "nearest-step": _bound(
        "conv_nearest_below depthwise_nearest_below",
        "conv_nearest_above conv_nearest_far depthwise_nearest_above depthwise_nearest_far",
    ),
    "random-step": _bound(
        "conv_random4_below conv_random0_below depthwise_random4_below depthwise_random0_below",
        "conv_random4_above conv_random0_above depthwise_random4_above depthwise_random0_above "
        "conv_random4_far conv_random0_far depthwise_random4_far depthwise_random0_far",
    ),
    "step-limit": _bound(
        "conv_limit8_below conv_limit4_below conv_limit0_below depthwise_limit8_below "
        "depthwise_limit4_below depthwise_limit0_below",
        "conv_limit8_above conv_limit4_above conv_limit0_above depthwise_limit8_above "
        "depthwise_limit4_above depthwise_limit0_above conv_capped8 conv_capped4 conv_capped0 "
        "depthwise_capped8 depthwise_capped4 depthwise_capped0",
    ),
    "largest-multiplier": _bound("multiplier_below", "multiplier_above"),
    "whole-bytes": _bound(
        "nibbles_8_columns nibbles_8_columns_depthwise",
        "nibbles_7_columns nibbles_7_columns_depthwise",
    ),
    "part-depth": _bound(
        "conv_512_positions_residual8 conv_512_positions_residual0",
        "conv_529_positions_residual8 conv_529_positions_residual0",
    ),
    "lane-sums": _bound(
        "depthwise_16x16_positions depthwise_1x256_positions",
        "depthwise_17x16_positions depthwise_1x264_positions",
    ),
    "packed-sums": _bound("conv_256_positions_bias", "conv_264_positions_bias"),
    "byte-sums": _bound("bias_256_positions", "bias_264_positions"),
    "bias-step": _bound(
        "bias_step_below_plus bias_step_below_minus", "bias_step_above_plus bias_step_above_minus"
    ),
    "met-pixels": _bound(
        "depthwise_5x5_of_5x5x4 depthwise_5x5_of_5x5x5",
        "depthwise_5x5_of_2x2x4 depthwise_5x5_of_2x2x5",
    ),
    "plane-shape": _bound(
        "plane",
        "plane_stride_12 plane_stride_21 plane_dilated_rows plane_dilated_columns "
        "plane_multiplier_2",
    ),
    "plane-room": _bound("plane", "plane_4_channels"),
    # What 16 bits of offset reach, and the sizes at which nothing is left of the gain.
    "panel-reach": _bound("reach_panel_below", "reach_panel_above"),
    "chunk-reach": _bound("reach_chunk_below", "reach_chunk_above"),
    "phase-reach": _bound("reach_phase_below", "reach_phase_above"),
    "stride2-reach": _bound("reach_stride2_below", "reach_stride2_above"),
    "plane-reach": _bound("reach_plane_below", "reach_plane_above"),
    "row-gain": _bound("reach_gain_below", "reach_gain_above"),
    # Tests of bounds_test.cc.
    "aligned-bytes": _bound("ExtremesOfAlignedBytes", "ExtremesOfUnalignedBytes"),
    "aligned-mask": _bound("MaskOfAlignedBytes", "MaskOfUnalignedBytes"),
    "mask-start": _bound("MaskFromAWholeByteOn", "MaskFromWithinAByteOn"),
}


def cases() -> dict[str, Case]:
    """All cases of golden tables by name."""
    parts: list[Mapping[str, Case]] = [
        bounds_forward.cases(),
        bounds_gradients.cases(),
        bounds_updates.cases(),
        bounds_reach.cases(),
    ]
    return {name: case for part in parts for name, case in part.items()}


def add_to(suites: Mapping[str, Suite]) -> None:
    """Adds each case to the suite of its operator, for targets with flash to spare."""
    for suite in suites.values():
        suite.most_bytes = 0
    for name, case in cases().items():
        case.add_to(suites[_suite_of(case)], f"bound_{name}")


SUITES = (
    "conv_input_grad", "depthwise_input_grad", "conv_update", "depthwise_update", "split_conv",
    "split_depthwise", "bias_update", "clamp_mask", "accumulate", "reach",
)  # fmt: skip
"""The suites that have cases."""


def _suite_of(case: Case) -> str:
    if isinstance(case, InputGradient):
        return "depthwise_input_grad" if case.depthwise else "conv_input_grad"
    if isinstance(case, Update):
        return "depthwise_update" if case.depthwise else "conv_update"
    if isinstance(case, Forward):
        return "split_depthwise" if case.depthwise else "split_conv"
    by_type = {BiasUpdate: "bias_update", ClampMask: "clamp_mask", Accumulation: "accumulate"}
    return next((name for kind, name in by_type.items() if isinstance(case, kind)), "reach")
