"""Which kernels run a builtin operator: what the memory that they ask for depends on."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from tflm_train.memory.target import Target
from tflm_train.model import Op, Tensor

WORD = 4


class KernelSet(enum.StrEnum):
    """Which kernels run the builtin operators.

    `cmsis_nn` is what it allocates on cores with the DSP extension (Cortex-M4, M7, M33),
    `cmsis_nn_helium` with vectors (M55, M85), `cmsis_nn_basic` without either (M0+, M3).
    """

    REFERENCE = "reference"
    CMSIS_NN = "cmsis_nn"
    CMSIS_NN_HELIUM = "cmsis_nn_helium"
    CMSIS_NN_BASIC = "cmsis_nn_basic"


@dataclass(frozen=True)
class KernelCase:
    """An operator with the kernels that are to run it.

    Attributes:
      op: The operator.
      kernels: What runs it.
      target: How TFLM was built.
      x: The operator's first input.
    """

    op: Op
    kernels: KernelSet
    target: Target
    x: Tensor = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", self.op.input)

    @property
    def cmsis(self) -> bool:
        """Whether CMSIS-NN runs it."""
        return self.kernels is not KernelSet.REFERENCE

    @property
    def helium(self) -> bool:
        """Whether CMSIS-NN has vectors."""
        return self.kernels is KernelSet.CMSIS_NN_HELIUM

    @property
    def dsp(self) -> bool:
        """Whether CMSIS-NN has the DSP extension, and no vectors."""
        return self.kernels is KernelSet.CMSIS_NN

    @property
    def is_int8(self) -> bool:
        """Whether its first input is int8."""
        return self.x.type_name == "INT8"

    @property
    def quantized(self) -> bool:
        """Whether its first input is int8 or int16."""
        return self.x.type_name in ("INT8", "INT16")

    @property
    def scratch_indices(self) -> str:
        """Two more indices in kernels that can decompress weights."""
        return "ii" if self.target.compression else ""

    def tensor(self, index: int) -> Tensor:
        """An input that must be there."""
        tensor = self.op.optional_input(index)
        assert tensor is not None
        return tensor
