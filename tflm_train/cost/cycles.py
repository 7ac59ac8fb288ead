"""Cycles per instruction of each kind of op.

The executed blocks of whole steps of mcunet and of single kernels, counted under QEMU, went through
models of the pipelines: Arm's timing table for a Cortex-M4 (trusted to 10 %), an in-order
simulation of two issues a cycle for an M7 (20 %), llvm-mca for an M55 (25 %). Memory answers at
once: no wait states of the flash, no cache misses. An M33 is taken for an M4. On M3 and M0+ nothing
was modelled: one figure each, for loads and taken branches of two cycles or more.
"""

from __future__ import annotations

from collections.abc import Mapping

from tflm_train.cost.cores import Core

OTHERS = "*"
"""The key of all kinds that have no row."""

_M4 = {
    "STREAM": 1.25,
    "SPLIT_CONV": 1.25,
    "SPLIT_DEPTHWISE": 1.25,
    "CONV_INPUT_GRAD": 1.73,
    "CONV_UPDATE": 1.73,
    "DEPTHWISE_INPUT_GRAD": 1.38,
    "DEPTHWISE_UPDATE": 1.38,
    "CONV_2D": 1.2,
    "FULLY_CONNECTED": 1.2,
    "DEPTHWISE_CONV_2D": 1.25,
    OTHERS: 1.3,
}
_M7 = {
    "STREAM": 0.825,
    "SPLIT_CONV": 0.825,
    "SPLIT_DEPTHWISE": 0.825,
    "CONV_INPUT_GRAD": 1.15,
    "CONV_UPDATE": 1.18,
    "DEPTHWISE_INPUT_GRAD": 0.95,
    "DEPTHWISE_UPDATE": 0.95,
    "CONV_2D": 0.77,
    "FULLY_CONNECTED": 0.77,
    "DEPTHWISE_CONV_2D": 0.875,
    OTHERS: 0.87,
}
_M55 = {
    "STREAM": 1.06,
    "SPLIT_CONV": 1.06,
    "SPLIT_DEPTHWISE": 1.06,
    "CONV_INPUT_GRAD": 1.45,
    "CONV_UPDATE": 1.36,
    "DEPTHWISE_INPUT_GRAD": 1.3,
    "DEPTHWISE_UPDATE": 1.3,
    "CONV_2D": 1.17,
    "FULLY_CONNECTED": 1.17,
    "DEPTHWISE_CONV_2D": 1.2,
    OTHERS: 1.1,
}
CYCLES_PER_INSTRUCTION: Mapping[Core, Mapping[str, float]] = {
    Core.M0PLUS: {OTHERS: 1.4},
    Core.M3: {OTHERS: 1.35},
    Core.M4: _M4,
    Core.M7: _M7,
    Core.M33: _M4,
    Core.M55: _M55,
}


def cycles_per_instruction(core: Core, kind: str) -> float:
    """Cycles per instruction of a kind of op, as `Features` names it."""
    rates = CYCLES_PER_INSTRUCTION[core]
    return rates.get(kind, rates[OTHERS])
