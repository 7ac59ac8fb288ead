"""Estimated time of a training step or an inference, op by op.

Instructions are fitted to counts under QEMU (`python -m benchmarks.fit_cost`) and within 5 % of a
count of whole steps (`python -m benchmarks.cost_model --check`); cycles are instructions times what
a model of the core's pipeline gives for each kind of op, without wait states or cache misses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from tflm_train.cost.cores import Core
from tflm_train.cost.cycles import cycles_per_instruction
from tflm_train.cost.features import features_of, layer_features
from tflm_train.cost.table import coefficients
from tflm_train.graph import Op
from tflm_train.ops import StageKind, Stream
from tflm_train.ops.builtin import KernelSet, builtin_of
from tflm_train.ops.geometry import Geometry

_MILLI = 1e3


@dataclass(frozen=True)
class OpCost:
    """The estimated time of one op.

    Attributes:
      op: Its name.
      output: The name of its first output; empty where it has none.
      instructions: How many it executes.
      cycles: How long they take.
      is_measured: Whether ops of its kind and shape were counted; else what was not counts as
        nothing.
    """

    op: str
    output: str
    instructions: float
    cycles: float
    is_measured: bool


@dataclass(frozen=True)
class StepCost:
    """The estimated time of all ops of a model, a training step's or an inference's.

    Attributes:
      core: What runs them.
      per_op: In execution order.
    """

    core: Core
    per_op: tuple[OpCost, ...]

    @cached_property
    def instructions(self) -> int:
        """How many are executed."""
        return round(sum(op.instructions for op in self.per_op))

    @cached_property
    def cycles(self) -> int:
        """How many cycles they take."""
        return round(sum(op.cycles for op in self.per_op))

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """The kinds of ops that are not counted, since none was measured."""
        return tuple(dict.fromkeys(op.op for op in self.per_op if not op.is_measured))

    def milliseconds(self, clock: int) -> float:
        """The time at a clock, in Hz."""
        return _MILLI * self.cycles / clock


def step_cost(
    ops: Iterable[Op], core: Core = Core.M4, kernels: KernelSet = KernelSet.CMSIS_NN
) -> StepCost:
    """Estimates the time of a model's ops.

    Args:
      ops: Of an original, an optimized or a rewritten model (`model.graph.ops`).
      core: What runs them.
      kernels: What runs the builtin operators.

    Returns:
      The estimate.
    """
    return StepCost(core, tuple(op_cost(op, core, kernels) for op in ops))


def op_cost(op: Op, core: Core, kernels: KernelSet = KernelSet.CMSIS_NN) -> OpCost:
    """Estimates the time of one op."""
    features = features_of(op)
    table = coefficients(core, kernels is KernelSet.REFERENCE).get(features.kind)
    of_kind = {} if table is None else table
    values = {name: value for name, value in features.values.items() if value}
    instructions = sum(of_kind.get(name, 0.0) * value for name, value in values.items())
    cycles = instructions * cycles_per_instruction(core, features.kind)
    output = op.output.name if op.outputs else ""
    return OpCost(op.name, output, instructions, cycles, values.keys() <= of_kind.keys())


@lru_cache(maxsize=4096)
def layer_instructions(kind: StageKind, geometry: Geometry, core: Core) -> float:
    """Estimated instructions of a layer in a STREAM, to compare ways of running it.

    Args:
      kind: What it computes.
      geometry: Its shape, zeros at the kernel's edges left out.
      core: What runs it.

    Returns:
      Without what training keeps of it, which takes about as long in every way.
    """
    table = coefficients(core)[Stream.OP]
    features = layer_features(kind, geometry)
    return sum(table.get(name, 0.0) * value for name, value in features.items())


def builtin_instructions(op: Op, core: Core, kernels: KernelSet) -> float:
    """Estimated instructions of a builtin layer that a STREAM could compute; 0 for other ops."""
    row = builtin_of(op)
    if row is None or row.stage is None:
        return 0.0
    return op_cost(op, core, kernels).instructions
