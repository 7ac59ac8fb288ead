"""The cores that time is estimated for."""

from __future__ import annotations

import enum

from tflm_train.ops.builtin import KernelSet


class Core(enum.StrEnum):
    """A Cortex-M core."""

    M0PLUS = "m0plus"
    M3 = "m3"
    M4 = "m4"
    M7 = "m7"
    M33 = "m33"
    M55 = "m55"

    @property
    def kernels(self) -> KernelSet:
        """What runs the builtin operators on it, where CMSIS-NN is linked."""
        return _KERNELS.get(self, KernelSet.CMSIS_NN)

    @staticmethod
    def of(kernels: KernelSet) -> Core:
        """A core on which these kernels run."""
        return next((core for core, own in _KERNELS.items() if own is kernels), Core.M4)


_KERNELS = {
    Core.M3: KernelSet.CMSIS_NN_BASIC,
    Core.M0PLUS: KernelSet.CMSIS_NN_BASIC,
    Core.M55: KernelSet.CMSIS_NN_HELIUM,
}
