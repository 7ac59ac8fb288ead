"""Which TFLite operators can be differentiated, and by which rule."""

from __future__ import annotations

from tflm_train.backward_ops.add import AddRule
from tflm_train.backward_ops.conv_2d import Conv2DRule, FullyConnectedRule
from tflm_train.backward_ops.depthwise_conv_2d import DepthwiseConv2DRule
from tflm_train.backward_ops.pad import PadRule
from tflm_train.backward_ops.pool import AveragePool2DRule, MeanRule
from tflm_train.backward_ops.reshape import ReshapeRule
from tflm_train.backward_ops.rule import GradientRule

RULES: dict[str, GradientRule] = {
    "ADD": AddRule(),
    "AVERAGE_POOL_2D": AveragePool2DRule(),
    "CONV_2D": Conv2DRule(),
    "DEPTHWISE_CONV_2D": DepthwiseConv2DRule(),
    "EXPAND_DIMS": ReshapeRule(),
    "FULLY_CONNECTED": FullyConnectedRule(),
    "MEAN": MeanRule(),
    "PAD": PadRule(),
    "PADV2": PadRule(),
    "RESHAPE": ReshapeRule(),
    "SQUEEZE": ReshapeRule(),
}
