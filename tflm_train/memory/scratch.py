"""What our own kernels ask for: the twins of the C++ `*ScratchBytes` and `PersistentBytes`."""

from __future__ import annotations

from tflm_train import kernel_abi as abi
from tflm_train.memory.target import Target

_WORD = 4
_HALF_WORD = 2


def scratch_of(params: abi.OpParams) -> int:
    """Scratch bytes of one op."""
    if isinstance(params, abi.LossParams):
        return _WORD * params.classes
    if isinstance(params, abi.ConvInputGradParams):
        pixels = 1 + (params.group < params.geometry.out_c) + (params.kept > 0)
        return _WORD * params.geometry.in_c * pixels
    if isinstance(params, abi.DepthwiseInputGradParams):
        return _WORD * params.geometry.out_c
    if isinstance(params, abi.PoolGradParams):
        return 0 if params.uniform else _WORD * params.geometry.in_c
    if isinstance(params, abi.ConvUpdateParams):
        return _WORD * params.geometry.in_c
    if isinstance(params, abi.DepthwiseUpdateParams):
        return 2 * _WORD * params.geometry.out_c
    if isinstance(params, abi.SplitConvParams):
        g = params.geometry
        return _HALF_WORD * g.k_h * g.k_w * g.in_c
    if isinstance(params, abi.SplitDepthwiseParams):
        return _WORD * params.geometry.out_c
    return 0


def persistent_of(params: abi.OpParams, target: Target) -> int:
    """Bytes an op keeps for the life of the interpreter, beside its node's data."""
    if isinstance(params, abi.RestoreParams):
        # VariableTable: a header and one entry per variable.
        return target.size_of("Pi") + params.variable_count * target.size_of("Pi")
    return 0
