"""The memory report: what `arena_used_bytes()` will be, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass

from tflm_train.memory.planner import ALIGNMENT, ArenaPlan, Buffer, plan_arena
from tflm_train.memory.structures import Category, PersistentPart, persistent_part
from tflm_train.model import Graph, Model
from tflm_train.model.offline_plan import read_offsets
from tflm_train.ops import Loss
from tflm_train.ops.builtin import KernelSet
from tflm_train.ops.target import CORTEX_M, Target, align

_INTERPRETER = (
    Category.ALLOCATOR,
    Category.TENSORS,
    Category.NODES,
    Category.INTERFACE,
    Category.SCRATCH_HANDLES,
)


@dataclass(frozen=True)
class Arena:
    """The parts of an arena, in bytes; all but the last two add up to `total_bytes`.

    Attributes:
      activation_bytes: Planned for activations, gradients and what is kept for the backward pass.
      scratch_bytes: What operators' scratch adds to that.
      variable_bytes: Trained weights, biases and residuals, scales and ranges.
      channel_bytes: Requantization constants of builtin operators, per output channel.
      interpreter_bytes: TFLM's own structures: allocator, tensors, nodes, scratch handles.
      kernel_bytes: What builtin kernels keep.
      training_op_bytes: What the training ops keep.
      total_bytes: What `arena_used_bytes()` returns.
      minimum_bytes: The smallest arena, a multiple of 16, in which `AllocateTensors` has room.
    """

    activation_bytes: int
    scratch_bytes: int
    variable_bytes: int
    channel_bytes: int
    interpreter_bytes: int
    kernel_bytes: int
    training_op_bytes: int
    total_bytes: int
    minimum_bytes: int

    def parts(self) -> dict[str, int]:
        """Bytes by what people call the part; they add up to `total_bytes`."""
        return {
            "activations": self.activation_bytes,
            "added by scratch": self.scratch_bytes,
            "variables": self.variable_bytes,
            "per-channel requantization": self.channel_bytes,
            "interpreter": self.interpreter_bytes,
            "builtin kernels": self.kernel_bytes,
            "training ops": self.training_op_bytes,
        }


@dataclass(frozen=True)
class PeakBuffer:
    """Something that lives at the peak.

    Attributes:
      name: The tensor, or the operator whose scratch it is.
      kind: `tensor` or `scratch`.
      bytes: Its size, a multiple of 16.
      offset: Where in the arena, in bytes.
      first_op: Index of the first operator that needs it; -1 for an input.
      last_op: Index of the last one; for an output of the model that of its last operator.
    """

    name: str
    kind: str
    bytes: int
    offset: int
    first_op: int
    last_op: int


@dataclass(frozen=True)
class Peak:
    """The operator during which most bytes live.

    Attributes:
      op: Its index; -1 before the first.
      name: Its name; `inputs` before the first.
      bytes: Bytes alive there.
      buffers: What lives there, largest first.
    """

    op: int
    name: str
    bytes: int
    buffers: tuple[PeakBuffer, ...]


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

    def arena(self) -> Arena:
        """The parts of the arena."""
        part = self.persistent.bytes_of
        return Arena(
            activation_bytes=self.activation_bytes,
            scratch_bytes=self.plan.bytes - self.activation_bytes,
            variable_bytes=part(Category.VARIABLES),
            channel_bytes=part(Category.CHANNELS),
            interpreter_bytes=part(*_INTERPRETER),
            kernel_bytes=part(Category.KERNELS),
            training_op_bytes=part(Category.TRAINING_OPS),
            total_bytes=self.total_bytes,
            minimum_bytes=self.minimum_bytes,
        )

    def peak(self) -> Peak:
        """The operator at the peak and what lives there."""
        index = self.peak_op
        return Peak(
            op=index,
            name=self.op_names[index] if index >= 0 else "inputs",
            bytes=self.peak_bytes,
            buffers=tuple(_describe(b) for b in self.peak_buffers()),
        )


def memory_report(
    model: Model,
    kernels: KernelSet | str = KernelSet.CMSIS_NN,
    *,
    target: Target = CORTEX_M,
    misalignment: int = 0,
) -> MemoryReport:
    """Predicts the arena of a model, original or rewritten.

    Args:
      model: The model. What lives in the planned part of its other subgraphs is not counted.
      kernels: What runs the builtin operators.
      target: A Cortex-M unless told otherwise.
      misalignment: How far the arena's end lies beyond a 16-byte boundary.

    Returns:
      The report.
    """
    graph, kernels = model.graph, KernelSet(kernels)
    pinned = read_offsets(model)
    persistent = persistent_part(model, kernels, target, misalignment, pinned)
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
    losses = (i for i, op in enumerate(graph.ops) if Loss.is_kind_of(op))
    return next(losses, None)


def _describe(buffer: Buffer) -> PeakBuffer:
    return PeakBuffer(
        name=buffer.name,
        kind=str(buffer.kind),
        bytes=buffer.size,
        offset=buffer.offset,
        first_op=buffer.first - 1,
        last_op=buffer.last - 1,
    )
