"""What our own kernels ask for: the twins of the C++ `*ScratchBytes` and `PersistentBytes`."""

from __future__ import annotations

from tflm_train import ops
from tflm_train.ops.target import Target
from tflm_train.qas.kernels import KERNELS


def scratch_of(params: ops.Params) -> int:
    """Scratch bytes of one op."""
    return KERNELS[type(params)].scratch(params)


def persistent_of(params: ops.Params, target: Target) -> int:
    """Bytes an op keeps for the life of the interpreter, beside its node's data."""
    struct = KERNELS[type(params)].persistent
    return 0 if struct is None else target.size_of(*struct(params))
