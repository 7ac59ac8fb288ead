"""The builtin TFLite operators: each is one row, in the file of its family.

A row says what an operator takes, which shapes it gives, what TFLM's kernels allocate for it, what
it costs and what registers it. Its gradient is in `backward_ops/`, declared under the same name.
"""

from __future__ import annotations

from itertools import chain

from tflm_train.graph import Op
from tflm_train.ops.builtin import (
    combination,
    elementwise,
    layers,
    movement,
    reduction,
    resource,
    sequence,
    unmodelled,
)
from tflm_train.ops.builtin.memory import KernelCase, KernelMemory, KernelSet
from tflm_train.ops.builtin.operator import BuiltinOperator, LayerForm
from tflm_train.ops.target import Target

_FAMILIES = (
    layers,
    elementwise,
    combination,
    movement,
    reduction,
    resource,
    sequence,
)
_MODELLED = {row.name: row for row in chain(*(f.ROWS for f in _FAMILIES))}
BUILTINS: dict[str, BuiltinOperator] = dict(
    sorted(({row.name: row for row in unmodelled.ROWS} | _MODELLED).items())
)
"""All rows by name."""


def builtin_of(op: Op) -> BuiltinOperator | None:
    """The row of an operator; None for a custom one, or one that TFLM does not know either."""
    return None if op.is_custom else BUILTINS.get(op.name)


def layer_form_of(op: Op) -> LayerForm | None:
    """How the weights of an operator lie; None for one without."""
    row = builtin_of(op)
    return None if row is None else row.layer


def kernel_memory(op: Op, kernels: KernelSet, target: Target) -> KernelMemory | None:
    """What a builtin operator allocates.

    Args:
      op: The operator.
      kernels: What runs it.
      target: How TFLM was built.

    Returns:
      Its memory; None for an operator that is not modelled.
    """
    row = builtin_of(op)
    return (
        None if row is None or row.memory is None else row.memory(KernelCase(op, kernels, target))
    )


__all__ = [
    "BUILTINS",
    "BuiltinOperator",
    "KernelMemory",
    "KernelSet",
    "LayerForm",
    "builtin_of",
    "kernel_memory",
    "layer_form_of",
]
