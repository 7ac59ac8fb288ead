"""How large an arena firmware is given."""

from __future__ import annotations

from dataclasses import dataclass

from tflm_train.memory import KernelSet, memory_report
from tflm_train.model import Model

_MARGIN_SHARE = 0.05
_SMALLEST_MARGIN = 1024
_ALIGNMENT = 16


@dataclass(frozen=True)
class Arena:
    """The arena that the firmware is given.

    Attributes:
      used: `arena_used_bytes()` as predicted, by the kernels that run the builtin ops.
      margin: What is added to the largest need, to be safe.
      bytes: The arena's size.
      unmodelled: Ops whose kernels the prediction does not know.
    """

    used: dict[str, int]
    margin: int
    bytes: int
    unmodelled: tuple[str, ...]


def plan_arena(model: Model) -> Arena:
    """Sizes an arena that is enough whichever kernels run the builtin ops."""
    reports = {kernels: memory_report(model, kernels) for kernels in KernelSet}
    largest = max(report.minimum_bytes for report in reports.values())
    margin = max(_SMALLEST_MARGIN, int(_MARGIN_SHARE * largest))
    unmodelled = {name for report in reports.values() for name in report.persistent.unmodelled}
    size = -(-(largest + margin) // _ALIGNMENT) * _ALIGNMENT
    used = {str(kernels): report.total_bytes for kernels, report in reports.items()}
    return Arena(used, size - largest, size, tuple(sorted(unmodelled)))


def both(first: Arena, second: Arena) -> Arena:
    """One behind the other."""
    return Arena(
        {kernels: used + second.used[kernels] for kernels, used in first.used.items()},
        first.margin + second.margin,
        first.bytes + second.bytes,
        tuple(sorted({*first.unmodelled, *second.unmodelled})),
    )
