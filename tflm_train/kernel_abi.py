"""The training ops' parameters under their names in C++; `tflm_train.ops` declares them."""

import enum

from tflm_train.ops import (
    ALL as ALL_PARAMS,
)
from tflm_train.ops import (
    BLOB_HEADER,
    BLOB_MAGIC,
    BLOB_VERSION,
    EXTRA_INPUTS,
    EXTRA_OUTPUTS,
    MARKS_PER_WORD,
    MAX_STREAM_STAGES,
    NO_MARK,
    OP_PREFIX,
    STATE_MAGIC,
    STATE_WORDS,
    STREAM_INPUT,
    VERSION,
    AddFields,
    FactorKind,
    MaskFields,
    MaskKind,
    MoveAxis,
    OutputFields,
    ProductAxis,
    StageFields,
    StageKind,
    StateWord,
    UpdateFields,
    unpack,
)
from tflm_train.ops import Accumulate as AccumulateParams
from tflm_train.ops import BiasUpdate as BiasUpdateParams
from tflm_train.ops import ChannelSave as ChannelSaveParams
from tflm_train.ops import ClampMask as ClampMaskParams
from tflm_train.ops import ConvInputGrad as ConvInputGradParams
from tflm_train.ops import ConvUpdate as ConvUpdateParams
from tflm_train.ops import DepthwiseInputGrad as DepthwiseInputGradParams
from tflm_train.ops import DepthwiseUpdate as DepthwiseUpdateParams
from tflm_train.ops import Finish as FinishParams
from tflm_train.ops import L2NormGrad as L2NormGradParams
from tflm_train.ops import Loss as LossParams
from tflm_train.ops import MaxPoolGrad as MaxPoolGradParams
from tflm_train.ops import MoveGrad as MoveGradParams
from tflm_train.ops import Params as OpParams
from tflm_train.ops import PoolGrad as PoolGradParams
from tflm_train.ops import ProductGrad as ProductGradParams
from tflm_train.ops import ResizeGrad as ResizeGradParams
from tflm_train.ops import Restore as RestoreParams
from tflm_train.ops import SplitConv as SplitConvParams
from tflm_train.ops import SplitDepthwise as SplitDepthwiseParams
from tflm_train.ops import Stream as StreamParams

__all__ = [
    "ALL_PARAMS",
    "BLOB_HEADER",
    "BLOB_MAGIC",
    "BLOB_VERSION",
    "EXTRA_INPUTS",
    "EXTRA_OUTPUTS",
    "MARKS_PER_WORD",
    "MAX_STREAM_STAGES",
    "NO_MARK",
    "OP_PREFIX",
    "STATE_MAGIC",
    "STATE_WORDS",
    "STREAM_INPUT",
    "VERSION",
    "AccumulateParams",
    "AddFields",
    "BiasUpdateInput",
    "BiasUpdateParams",
    "ChannelSaveParams",
    "ClampMaskParams",
    "ConvInputGradParams",
    "ConvUpdateParams",
    "DepthwiseInputGradParams",
    "DepthwiseUpdateParams",
    "FactorKind",
    "FinishParams",
    "InputGradInput",
    "L2NormGradParams",
    "LossParams",
    "MaskFields",
    "MaskKind",
    "MaxPoolGradParams",
    "MoveAxis",
    "MoveGradParams",
    "OpParams",
    "OutputFields",
    "PoolGradParams",
    "ProductAxis",
    "ProductGradParams",
    "ResizeGradParams",
    "RestoreParams",
    "SplitConvParams",
    "SplitDepthwiseParams",
    "SplitInput",
    "StageFields",
    "StageKind",
    "StateWord",
    "StreamParams",
    "UpdateFields",
    "UpdateInput",
    "unpack",
]


class InputGradInput(enum.IntEnum):
    """The inputs of CONV_INPUT_GRAD and DEPTHWISE_INPUT_GRAD."""

    GRADIENT = 0
    WEIGHTS = 1
    MULTIPLIERS = 2
    COLUMNS = 3
    CHANNELS = 4
    MASK = 5
    ADDEND = 6
    BIAS_FACTORS = 7
    BIAS = 8
    SCALES = 9
    RANGES = 10
    STATE = 11


class UpdateInput(enum.IntEnum):
    """The inputs of CONV_UPDATE and DEPTHWISE_UPDATE."""

    X = 0
    GRADIENT = 1
    FACTORS = 2
    WEIGHTS = 3
    BIAS = 4
    RESIDUAL = 5
    GATHERED = 6
    BIAS_GATHERED = 7
    CHANNELS = 8
    AFTER = 9
    SCALES = 10
    STATE = 11


class BiasUpdateInput(enum.IntEnum):
    """The inputs of BIAS_UPDATE."""

    GRADIENT = 0
    FACTORS = 1
    BIAS = 2
    GATHERED = 3
    SCALES = 4
    STATE = 5


class SplitInput(enum.IntEnum):
    """The inputs of SPLIT_CONV and SPLIT_DEPTHWISE."""

    X = 0
    WEIGHTS = 1
    COLUMNS = 2
    CHANNELS = 3
    BIAS = 4
    MULTIPLIERS = 5
    SHIFTS = 6
