"""The custom operator by which a model that Vela has compiled calls the Ethos-U."""

from __future__ import annotations

from dataclasses import dataclass

from tflm_train.graph import Op, Tensor


@dataclass(frozen=True)
class NpuOperator:
    """What is known of a custom operator that another processor runs.

    Attributes:
      name: Of the custom operator.
      method: What stands after `Add` in `MicroMutableOpResolver`.
      work_memory: Which of its inputs are the memory it works in: nothing writes them before.
    """

    name: str
    method: str
    work_memory: tuple[int, ...]

    def is_kind_of(self, op: Op) -> bool:
        """Whether an op is this one."""
        return op.is_custom and op.name == self.name


ETHOS_U = NpuOperator("ethos-u", "EthosU", work_memory=(2, 3))


def without_work_memory(op: Op) -> list[Tensor | None]:
    """An op's inputs but for those that an NPU works in."""
    if not ETHOS_U.is_kind_of(op):
        return op.inputs
    return [t for index, t in enumerate(op.inputs) if index not in ETHOS_U.work_memory]
