"""One line of what a single operator takes in the arena, measured or predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tflm_train.memory import KernelSet, memory_report
from tflm_train.model import Model
from tflm_train.ops.builtin import kernel_memory
from tflm_train.ops.target import CORTEX_M

PARTS = ("options", "init", "prepare", "scratch")
"""The parsed options, what the kernel's Init and Prepare keep, its scratch buffers."""
REFUSED = "refused"
"""The row of a case that a kernel does not take."""


def row_text(sizes: Mapping[str, Sequence[int]], used: int) -> str:
    """Sizes in bytes, part by part in the order of the requests, and the whole arena."""
    parts = [f"{part} {' + '.join(map(str, sizes[part]))}" for part in PARTS if sizes[part]]
    return "; ".join([*parts, f"arena {used}"])


def predicted_row(model: Model, kernels: KernelSet) -> str:
    """What the memory model says of a model of one operator on a Cortex-M."""
    memory = kernel_memory(model.graph.ops[0], kernels, CORTEX_M)
    assert memory is not None
    sizes: dict[str, Sequence[int]] = {
        "options": [] if memory.options is None else [CORTEX_M.size_of(*memory.options)],
        "init": [] if memory.data is None else [CORTEX_M.size_of(*memory.data)],
        "prepare": [*memory.channels, *memory.buffers],
        "scratch": memory.scratch,
    }
    return row_text(sizes, memory_report(model, kernels).total_bytes)
