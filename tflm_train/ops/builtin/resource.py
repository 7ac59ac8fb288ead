"""Operators with which a streaming model keeps a state of its own between invocations."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from tflm_train.graph import Op
from tflm_train.ops.builtin.memory import KernelCase, KernelMemory, fixed
from tflm_train.ops.builtin.operator import BuiltinOperator
from tflm_train.ops.builtin.shapes import ANY, Shapes

_NONE = (0, 0)


def _no_shape(op: Op) -> Shapes:
    """No output."""
    del op
    return ()


def _handle_shape(op: Op) -> Shapes:
    """A handle, or a value whose shape the assignments say."""
    del op
    return ANY


def _assign_memory(case: KernelCase) -> KernelMemory:
    # Only a kernel that can decompress its input keeps something.
    return KernelMemory(data=("i",) if case.target.compression else None)


ROWS = (
    BuiltinOperator("ASSIGN_VARIABLE", _no_shape, (2, 2), None, 0, memory=_assign_memory),
    BuiltinOperator(
        "CALL_ONCE", _no_shape, _NONE, schema.CallOnceOptionsT, 0, memory=fixed("i", "ib")
    ),
    BuiltinOperator("READ_VARIABLE", _handle_shape, memory=fixed(None), is_source=True),
    BuiltinOperator(
        "VAR_HANDLE", _handle_shape, _NONE, schema.VarHandleOptionsT, memory=fixed("PP", "i")
    ),
)
