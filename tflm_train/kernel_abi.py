"""The training ops' parameters under their names in C++; `tflm_train.ops` declares them."""

from tflm_train.ops import (
    ALL as ALL_PARAMS,
)
from tflm_train.ops import (
    BLOB_HEADER,
    BLOB_MAGIC,
    BLOB_VERSION,
    EXTRA_INPUTS,
    EXTRA_OUTPUTS,
    MAX_STREAM_STAGES,
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
    "MAX_STREAM_STAGES",
    "OP_PREFIX",
    "STATE_MAGIC",
    "STATE_WORDS",
    "STREAM_INPUT",
    "VERSION",
    "AccumulateParams",
    "AddFields",
    "BiasUpdateParams",
    "ChannelSaveParams",
    "ClampMaskParams",
    "ConvInputGradParams",
    "ConvUpdateParams",
    "DepthwiseInputGradParams",
    "DepthwiseUpdateParams",
    "FactorKind",
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
    "StageFields",
    "StageKind",
    "StateWord",
    "StreamParams",
    "UpdateFields",
    "unpack",
]
