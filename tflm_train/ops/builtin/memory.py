"""What TFLM's builtin kernels keep in the arena: the words that the operators' rows say it with.

A row names what a kernel's `Init` and `Prepare` ask for: the parsed options, its own data (OpData),
buffers that grow with the channels, and scratch. The reference kernels' sources are
`tensorflow/lite/micro/kernels/*.cc`, CMSIS-NN's are `kernels/cmsis_nn/*.cc` with the library's
`*_get_buffer_size` functions (both as of August 2026).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from tflm_train.graph import Op, Tensor
from tflm_train.ops.target import Struct, Target

WORD = 4
"""Bytes of an int32."""


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
class KernelMemory:
    """What one builtin operator allocates.

    Attributes:
      options: The struct its flatbuffer options are parsed into; None where there is none.
      data: The kernel's own struct; None where it keeps none.
      channels: Sizes in bytes of buffers that hold a number per output channel.
      buffers: Sizes in bytes of other buffers: tables, copies.
      scratch: Sizes in bytes of the scratch buffers.
    """

    options: Struct | None = None
    data: Struct | None = None
    channels: tuple[int, ...] = ()
    scratch: tuple[int, ...] = ()
    buffers: tuple[int, ...] = ()


@dataclass(frozen=True)
class KernelCase:
    """An operator with the kernels that are to run it.

    Attributes:
      op: The operator.
      kernels: What runs it.
      target: How TFLM was built.
    """

    op: Op
    kernels: KernelSet
    target: Target

    @property
    def x(self) -> Tensor:
        """Its first input, which all but those that only handle variables have."""
        return self.op.input

    @property
    def cmsis(self) -> bool:
        """Whether CMSIS-NN runs it, on whichever core."""
        return self.kernels is not KernelSet.REFERENCE

    @property
    def helium(self) -> bool:
        """Whether CMSIS-NN runs it with vectors."""
        return self.kernels is KernelSet.CMSIS_NN_HELIUM

    @property
    def dsp(self) -> bool:
        """Whether CMSIS-NN runs it with the DSP extension."""
        return self.kernels is KernelSet.CMSIS_NN

    @property
    def is_int8(self) -> bool:
        """Whether the first input is int8."""
        return self.x.type_name == "INT8"

    @property
    def quantized(self) -> bool:
        """Whether the first input is int8 or int16."""
        return self.x.type_name in ("INT8", "INT16")

    @property
    def scratch_indices(self) -> str:
        """Two more indices in kernels that can decompress weights."""
        return "ii" if self.target.compression else ""

    def tensor(self, index: int) -> Tensor:
        """An input that is there."""
        tensor = self.op.optional_input(index)
        assert tensor is not None
        return tensor


MemoryRule = Callable[[KernelCase], KernelMemory]


def fixed(options: str | None, *data: str | Struct) -> MemoryRule:
    """The memory of a kernel that allocates the same for every layer."""
    made = KernelMemory((options,) if options else None, data or None)
    return lambda case: made


def writable_shape(tensor: Tensor) -> int:
    """Bytes of a copy of a tensor's dimensions that a kernel can change."""
    return WORD * (1 + len(tensor.shape))


def some(size: int) -> tuple[int, ...]:
    """One buffer, or none where it would be empty."""
    return (size,) if size > 0 else ()
