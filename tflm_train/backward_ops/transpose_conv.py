"""TRANSPOSE_CONV: the operators of CONV_2D, with input and output positions exchanged.

The weights lie as a convolution's, `[out_c][k_h][k_w][in_c]`; only which output position a tap
joins to which input position differs, and that is the geometry's business.
"""

from __future__ import annotations

from dataclasses import astuple

from tflm_train.backward_ops.conv_2d import Conv2DRule, has_few_taps
from tflm_train.backward_ops.layer_rule import LayerRule, layer_input
from tflm_train.backward_ops.rule import Constraint, GradientRule
from tflm_train.graph import Op
from tflm_train.ops.geometry import Geometry, Padding, TransposedGeometry


class TransposeConvRule(Conv2DRule):
    """TRANSPOSE_CONV."""

    trains_in_part = False

    def constraints(self) -> list[Constraint]:
        return [*LayerRule.constraints(self), has_few_taps]

    def geometry(self, op: Op) -> Geometry:
        weights = op.inputs[1]
        assert weights is not None
        _, k_h, k_w, in_c = weights.shape
        _, out_h, out_w, out_c = op.output.shape
        padding: Padding = "SAME" if op.options.padding == 0 else "VALID"
        strides = (op.options.strideH, op.options.strideW)
        # TFLite pads as the convolution would that leads from the output to the input.
        back = Geometry.from_options(
            (out_h, out_w, out_c), in_c, (k_h, k_w), strides, (1, 1), padding
        )
        _, in_h, in_w, _ = layer_input(op).shape
        return TransposedGeometry(in_h, in_w, in_c, out_h, out_w, out_c, *astuple(back)[6:])


RULES: dict[str, GradientRule] = {"TRANSPOSE_CONV": TransposeConvRule()}
