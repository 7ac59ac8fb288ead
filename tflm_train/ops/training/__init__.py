"""The training ops by their numbers."""

from __future__ import annotations

from typing import Any

from tflm_train.graph import TRAINING_OP_PREFIX
from tflm_train.ops.declaration import HEADER, VERSION, TrainingOp
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

Params = TrainingOp[Any, Any]
"""The parameters of any training op."""

ALL: tuple[type[Params], ...] = (
    Restore,
    Loss,
    ClampMask,
    ConvInputGrad,
    DepthwiseInputGrad,
    PoolGrad,
    Accumulate,
    ConvUpdate,
    DepthwiseUpdate,
    BiasUpdate,
    ChannelSave,
    SplitConv,
    SplitDepthwise,
    Finish,
    ProductGrad,
    MoveGrad,
    MaxPoolGrad,
    ResizeGrad,
    L2NormGrad,
    Stream,
)
"""Every training op, by its number."""

_BY_KIND = {cls.KIND: cls for cls in ALL}


def unpack(data: bytes, name: str | None = None) -> Params:
    """Reads an op's parameters.

    Args:
      data: custom_options of one of our ops.
      name: The op's name, when it is to be checked.

    Returns:
      The parameters.

    Raises:
      ValueError: Unknown kind, version or size, or another op's.
    """
    if len(data) < HEADER.size:
        raise ValueError(f"custom_options of {len(data)} bytes hold no header")
    kind, version, size = HEADER.unpack_from(data)
    cls = _BY_KIND.get(kind)
    if cls is None or version != VERSION:
        raise ValueError(f"unknown training op kind {kind}, version {version}")
    if name not in (None, TRAINING_OP_PREFIX + cls.OP):
        raise ValueError(f"its custom_options are those of {TRAINING_OP_PREFIX}{cls.OP}")
    if size != len(data):
        raise ValueError(f"{cls.OP}: {len(data)} bytes, expected {size}")
    try:
        return cls.unpack_fields(data[HEADER.size :])
    except ValueError as error:
        raise ValueError(f"{cls.OP}: {error}") from error
