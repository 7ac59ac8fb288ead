"""Each training op declared once: parameters, named tensors, conditions.

`ops.ConvUpdate(...)` is the parameters of an op; `ops.ConvUpdate.inputs_of(op).weights` one of its
inputs. The C++ headers, the kernels' checks and the tables in docs/NUMERICS.md are generated from
these declarations (`python -m tools.generate`).
"""

from tflm_train.ops.constants import (
    MARKS_PER_WORD,
    MAX_STREAM_STAGES,
    NO_MARK,
    STREAM_INPUT,
    FactorKind,
    LossKind,
    MaskKind,
    StageKind,
    TargetKind,
)
from tflm_train.ops.contract import (
    BLOB_HEADER,
    BLOB_MAGIC,
    BLOB_VERSION,
    EXTRA_INPUTS,
    EXTRA_OUTPUTS,
    OP_PREFIX,
    STATE_MAGIC,
    STATE_WORDS,
    StateWord,
)
from tflm_train.ops.declaration import VERSION, TrainingOp, set_input
from tflm_train.ops.geometry import Geometry, TransposedGeometry
from tflm_train.ops.structs import (
    AddFields,
    MaskFields,
    MoveAxis,
    OutputFields,
    ProductAxis,
    RuleFields,
    StageFields,
    UpdateFields,
)
from tflm_train.ops.tensors import Role, Tensors
from tflm_train.ops.training import ALL, Params, unpack
from tflm_train.ops.training.forward import SplitConv, SplitDepthwise, Stream
from tflm_train.ops.training.gradient import (
    Accumulate,
    L2NormGrad,
    MaxPoolGrad,
    MoveGrad,
    PoolGrad,
    ProductGrad,
    ResizeGrad,
)
from tflm_train.ops.training.layer_gradient import ConvInputGrad, DepthwiseInputGrad
from tflm_train.ops.training.step import ChannelSave, ClampMask, Finish, Loss, Restore
from tflm_train.ops.training.update import BiasUpdate, ConvUpdate, DepthwiseUpdate

__all__ = [
    "ALL",
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
    "Accumulate",
    "AddFields",
    "BiasUpdate",
    "ChannelSave",
    "ClampMask",
    "ConvInputGrad",
    "ConvUpdate",
    "DepthwiseInputGrad",
    "DepthwiseUpdate",
    "FactorKind",
    "Finish",
    "Geometry",
    "L2NormGrad",
    "Loss",
    "LossKind",
    "MaskFields",
    "MaskKind",
    "MaxPoolGrad",
    "MoveAxis",
    "MoveGrad",
    "OutputFields",
    "Params",
    "PoolGrad",
    "ProductAxis",
    "ProductGrad",
    "ResizeGrad",
    "Restore",
    "Role",
    "RuleFields",
    "SplitConv",
    "SplitDepthwise",
    "StageFields",
    "StageKind",
    "StateWord",
    "Stream",
    "TargetKind",
    "Tensors",
    "TrainingOp",
    "TransposedGeometry",
    "UpdateFields",
    "set_input",
    "unpack",
]
