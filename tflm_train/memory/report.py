"""The memory report: what `arena_used_bytes()` will be, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tflm_train import kernel_abi as abi
from tflm_train.memory.kernel_case import KernelSet
from tflm_train.memory.planner import ALIGNMENT, ArenaPlan, Buffer, plan_arena
from tflm_train.memory.structures import Category, PersistentPart, persistent_part
from tflm_train.memory.target import CORTEX_M, Target, align
from tflm_train.model import Graph, Model
from tflm_train.model.offline_plan import read_offsets

ARENA_PARTS = {
    "activation_bytes": "activations",
    "scratch_bytes": "scratch",
    "variable_bytes": "variables",
    "channel_bytes": "per-channel requantization",
    "interpreter_bytes": "interpreter",
    "kernel_bytes": "builtin kernels",
    "training_op_bytes": "training ops",
}
"""The parts that add up to the arena's total, and what people call them."""

_LOSS = abi.OP_PREFIX + abi.LossParams.OP
_INTERPRETER = (
    Category.ALLOCATOR,
    Category.TENSORS,
    Category.NODES,
    Category.INTERFACE,
    Category.SCRATCH_HANDLES,
)


@dataclass(frozen=True)
class MemoryReport:
    """The arena of one model on one target.

    Attributes:
      model: The model's name.
      kernels: What runs the builtin operators.
      plan: The planned head: activations and scratch.
      activation_bytes: What the head would be without scratch.
      persistent: The tail.
      op_names: The operators in execution order.
      first_training_op: Index of the first operator of the backward pass (the loss); None for a
        model that does not train.
    """

    model: str
    kernels: KernelSet
    plan: ArenaPlan
    activation_bytes: int
    persistent: PersistentPart
    op_names: tuple[str, ...]
    first_training_op: int | None

    @property
    def total_bytes(self) -> int:
        """What `arena_used_bytes()` returns after AllocateTensors."""
        return self.plan.bytes + self.persistent.bytes

    @property
    def minimum_bytes(self) -> int:
        """The smallest arena, a multiple of 16; AllocateTensors can need more than running does."""
        tail = self.persistent
        return align(max(self.total_bytes, tail.preparing_bytes, tail.planning_bytes), ALIGNMENT)

    @property
    def peak_op(self) -> int:
        """Index of the operator during which most bytes live; -1 before the first."""
        return self.plan.peak_time() - 1

    @property
    def peak_bytes(self) -> int:
        """Bytes alive there; the head is larger by what the planner could not fit in gaps."""
        return max(self.plan.live_bytes())

    def peak_buffers(self) -> list[Buffer]:
        """What lives at the peak, largest first: the tensors to blame."""
        return self.plan.live_at(self.plan.peak_time())

    def arena(self) -> dict[str, int]:
        """The parts of the arena in bytes; all but the last two add up to `total_bytes`."""
        part = self.persistent.bytes_of
        parts = {
            "activation_bytes": self.activation_bytes,
            "scratch_bytes": self.plan.bytes - self.activation_bytes,
            "variable_bytes": part(Category.VARIABLES),
            "channel_bytes": part(Category.CHANNELS),
            "interpreter_bytes": part(*_INTERPRETER),
            "kernel_bytes": part(Category.KERNELS),
            "training_op_bytes": part(Category.TRAINING_OPS),
        }
        return parts | {"total_bytes": self.total_bytes, "minimum_bytes": self.minimum_bytes}

    def peak(self) -> dict[str, Any]:
        """The operator at the peak and what lives there, as plain values."""
        index = self.peak_op
        return {
            "op": index,
            "name": self.op_names[index] if index >= 0 else "inputs",
            "bytes": self.peak_bytes,
            "buffers": [_describe(b) for b in self.peak_buffers()],
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "model": self.model,
            "kernels": str(self.kernels),
            "arena": self.arena(),
            "persistent": {str(c): self.persistent.bytes_of(c) for c in Category},
            "peak": self.peak(),
            "unmodelled_ops": list(self.persistent.unmodelled),
        }


def memory_report(
    model: Model,
    kernels: KernelSet | str = KernelSet.CMSIS_NN,
    *,
    target: Target = CORTEX_M,
    misalignment: int = 0,
) -> MemoryReport:
    """Predicts the arena of a model, original or rewritten.

    Args:
      model: The model; its primary subgraph counts.
      kernels: What runs the builtin operators.
      target: A Cortex-M unless told otherwise.
      misalignment: How far the arena's end lies beyond a 16-byte boundary.

    Returns:
      The report.
    """
    graph, kernels = model.graph, KernelSet(kernels)
    persistent = persistent_part(graph, kernels, target, misalignment)
    pinned = read_offsets(model)
    return MemoryReport(
        model=model.name,
        kernels=kernels,
        plan=plan_arena(graph, persistent.scratch, pinned),
        activation_bytes=plan_arena(graph, {}, pinned).bytes,
        persistent=persistent,
        op_names=tuple(op.name for op in graph.ops),
        first_training_op=_loss_index(graph),
    )


def _loss_index(graph: Graph) -> int | None:
    losses = (i for i, op in enumerate(graph.ops) if op.name == _LOSS)
    return next(losses, None)


def _describe(buffer: Buffer) -> dict[str, Any]:
    return {
        "name": buffer.name,
        "kind": str(buffer.kind),
        "bytes": buffer.size,
        "offset": buffer.offset,
        "first_op": buffer.first - 1,
        "last_op": buffer.last - 1,
    }
