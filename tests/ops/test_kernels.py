"""Every training op has its kernel described."""

from __future__ import annotations

from tflm_train import ops
from tflm_train.qas.kernels import KERNELS

FORWARD_OR_AROUND = {ops.Restore, ops.Finish, ops.SplitConv, ops.SplitDepthwise, ops.Stream}


def test_each_op_has_one() -> None:
    assert set(KERNELS) == set(ops.ALL)


def test_all_but_forward_ops_have_a_numpy_twin() -> None:
    without = {op for op, kernel in KERNELS.items() if kernel.twin is None}
    assert without == FORWARD_OR_AROUND
