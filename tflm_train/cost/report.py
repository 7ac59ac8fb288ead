"""Flash and time of a model as reports have them."""

from __future__ import annotations

from dataclasses import dataclass

from tflm_train.cost.estimate import StepCost
from tflm_train.cost.flash import Flash


@dataclass(frozen=True)
class FlashReport:
    """What a model takes in flash; TFLM itself and the C library are not counted.

    Attributes:
      model_bytes: The model's file.
      kernel_bytes: Our ops that it uses, built with -Os for the core.
      total_bytes: Both.
    """

    model_bytes: int
    kernel_bytes: int
    total_bytes: int


def flash_report(flash: Flash) -> FlashReport:
    """Describes what a model takes in flash."""
    return FlashReport(flash.model_bytes, flash.kernel_bytes, flash.total_bytes)


@dataclass(frozen=True)
class OpTime:
    """The estimated time of one op.

    Attributes:
      op: Its name.
      output: Its first output's name.
      instructions: How many it executes.
      ms: Milliseconds.
    """

    op: str
    output: str
    instructions: int
    ms: float


@dataclass(frozen=True)
class LongestOp:
    """The op that takes most of the time: a watchdog that is fed between ops waits so long.

    Attributes:
      index: In execution order, from 0.
      op: Its name.
      output: Its first output's name.
      ms: Milliseconds.
    """

    index: int
    op: str
    output: str
    ms: float


@dataclass(frozen=True)
class TimeReport:
    """The estimated time of a training step, or of an inference where the model does not train.

    Attributes:
      core: What runs it.
      clock: Its clock, in Hz.
      instructions: How many are executed.
      cycles: Modelled cycles, without wait states and cache misses.
      ms: Milliseconds.
      longest_op: The longest of its ops; None where there are none.
      per_op: The same op by op.
      unmeasured_ops: Kinds of ops that are not counted, since none was measured.
    """

    core: str
    clock: int
    instructions: int
    cycles: int
    ms: float
    longest_op: LongestOp | None
    per_op: tuple[OpTime, ...]
    unmeasured_ops: tuple[str, ...]


def time_report(step: StepCost, clock: int) -> TimeReport:
    """Describes an estimate at a clock, in Hz."""
    per_op = tuple(
        OpTime(op.op, op.output, round(op.instructions), round(1e3 * op.cycles / clock, 3))
        for op in step.per_op
    )
    return TimeReport(
        core=str(step.core),
        clock=clock,
        instructions=step.instructions,
        cycles=step.cycles,
        ms=round(step.milliseconds(clock), 3),
        longest_op=_longest(per_op),
        per_op=per_op,
        unmeasured_ops=step.unmeasured,
    )


def _longest(per_op: tuple[OpTime, ...]) -> LongestOp | None:
    if not per_op:
        return None
    index = max(range(len(per_op)), key=lambda i: per_op[i].ms)
    longest = per_op[index]
    return LongestOp(index, longest.op, longest.output, longest.ms)
