"""Flash of a trainable model: its file, and the code of those of our kernels that it needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tflm_train.cost.cores import Core
from tflm_train.cost.table import code_size_table
from tflm_train.graph import TRAINING_OP_PREFIX, Op


@dataclass(frozen=True)
class Flash:
    """What a model takes in flash. TFLM itself and the C library are not counted.

    Attributes:
      model_bytes: The model's file.
      kernel_bytes: Our ops that the model uses, built with -Os, as a linker keeps them.
    """

    model_bytes: int
    kernel_bytes: int

    @property
    def total_bytes(self) -> int:
        """Both."""
        return self.model_bytes + self.kernel_bytes


def flash_bytes(model_bytes: int, ops: Iterable[Op], core: Core = Core.M4) -> Flash:
    """What a model takes in flash.

    Args:
      model_bytes: The size of its file.
      ops: Its ops.
      core: What the code is built for.

    Returns:
      The sizes.
    """
    return Flash(model_bytes, kernel_bytes({op.name for op in ops}, core))


def kernel_bytes(names: Iterable[str], core: Core) -> int:
    """The code of our ops.

    Args:
      names: Of ops, `TFLM_TRAIN_STREAM` for example; builtin operators count nothing.
      core: What the code is built for.

    Returns:
      Bytes of code and constants; what several ops share counts once.
    """
    used = {name.removeprefix(TRAINING_OP_PREFIX) for name in names}
    groups = code_size_table()["bytes"][str(core)]
    return sum(group["bytes"] for group in groups if used.intersection(group["ops"]))
