"""Which TFLite operators can be differentiated, and by which rule."""

from __future__ import annotations

from tflm_train.backward_ops import elementwise
from tflm_train.backward_ops.add import AddRule
from tflm_train.backward_ops.batch_matmul import BatchMatMulRule
from tflm_train.backward_ops.concatenation import ConcatenationRule, PackRule
from tflm_train.backward_ops.conv_2d import Conv2DRule, FullyConnectedRule
from tflm_train.backward_ops.depthwise_conv_2d import DepthwiseConv2DRule
from tflm_train.backward_ops.elementwise import ElementwiseRule, PReluRule
from tflm_train.backward_ops.l2_normalization import L2NormalizationRule
from tflm_train.backward_ops.max_pool import MaxPool2DRule, ReduceMaxRule
from tflm_train.backward_ops.mul import MulRule
from tflm_train.backward_ops.pad import PadRule
from tflm_train.backward_ops.pool import AveragePool2DRule
from tflm_train.backward_ops.reduce import MeanRule, SumRule
from tflm_train.backward_ops.relu import ReluRule
from tflm_train.backward_ops.reshape import RequantizeRule, ReshapeRule
from tflm_train.backward_ops.resize import ResizeRule
from tflm_train.backward_ops.rule import GradientRule
from tflm_train.backward_ops.slice import SliceRule, StridedSliceRule
from tflm_train.backward_ops.split import SplitRule, SplitVRule, UnpackRule
from tflm_train.backward_ops.transpose import TransposeRule
from tflm_train.backward_ops.transpose_conv import TransposeConvRule

RULES: dict[str, GradientRule] = {
    "ADD": AddRule(),
    "AVERAGE_POOL_2D": AveragePool2DRule(),
    "BATCH_MATMUL": BatchMatMulRule(),
    "CONCATENATION": ConcatenationRule(),
    "CONV_2D": Conv2DRule(),
    "DEPTHWISE_CONV_2D": DepthwiseConv2DRule(),
    "EXPAND_DIMS": ReshapeRule(),
    "FULLY_CONNECTED": FullyConnectedRule(),
    "HARD_SWISH": ElementwiseRule(elementwise.hard_swish_derivative),
    "L2_NORMALIZATION": L2NormalizationRule(),
    "LEAKY_RELU": ElementwiseRule(elementwise.leaky_relu_derivative),
    "LOGISTIC": ElementwiseRule(elementwise.logistic_derivative, of_output=True),
    "MAX_POOL_2D": MaxPool2DRule(),
    "MEAN": MeanRule(),
    "MUL": MulRule(),
    "PACK": PackRule(),
    "PAD": PadRule(),
    "PADV2": PadRule(),
    "PRELU": PReluRule(),
    "QUANTIZE": RequantizeRule(),
    "REDUCE_MAX": ReduceMaxRule(),
    "RELU": ReluRule("RELU"),
    "RELU6": ReluRule("RELU6"),
    "RELU_N1_TO_1": ReluRule("RELU_N1_TO_1"),
    "RESHAPE": ReshapeRule(),
    "RESIZE_BILINEAR": ResizeRule(),
    "RESIZE_NEAREST_NEIGHBOR": ResizeRule(),
    "SLICE": SliceRule(),
    "SPLIT": SplitRule(),
    "SPLIT_V": SplitVRule(),
    "SQUEEZE": ReshapeRule(),
    "STRIDED_SLICE": StridedSliceRule(),
    "SUB": AddRule(sign=-1),
    "SUM": SumRule(),
    "TANH": ElementwiseRule(elementwise.tanh_derivative, of_output=True),
    "TRANSPOSE": TransposeRule(),
    "TRANSPOSE_CONV": TransposeConvRule(),
    "UNPACK": UnpackRule(),
}
