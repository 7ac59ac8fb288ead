"""What a rewrite added, as plain values: the JSON report and the tables are made from it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tflm_train import kernel_abi as abi
from tflm_train.memory import MemoryReport, memory_report
from tflm_train.model import Model
from tflm_train.rewriter.training_graph import TrainedLayer, TrainingGraph


def build_report(
    original: Model, graph: TrainingGraph, data: bytes, memory: MemoryReport
) -> dict[str, Any]:
    """Describes a finished rewrite.

    Args:
      original: The model as it was.
      graph: The finished training graph (its model's ops are in execution order).
      data: The rewritten file.
      memory: Its arena.

    Returns:
      `layers`, `ops`, `arena`, `arena_before` and `peak` (on a Cortex-M with `kernels`), `flash`,
      `warnings`.
    """
    counts = Counter(
        op.name.removeprefix(abi.OP_PREFIX)
        for op in graph.model.graph.ops
        if op.name.startswith(abi.OP_PREFIX)
    )
    layers = [_describe(graph, t) for t in graph.trained.values()]
    layers.sort(key=lambda layer: int(layer["index"]))
    frozen = sum(int(layer["frozen_channels"]) for layer in layers)
    warnings = list(graph.warnings)
    if frozen:
        warnings.append(
            f"{frozen} channels with a degenerate weight scale (below 1e-5 of their layer's "
            "median) are frozen"
        )
    warnings += unmodelled_warnings(memory)
    return {
        "layers": layers,
        "ops": dict(counts),
        "kernels": str(memory.kernels),
        "arena": memory.arena(),
        "arena_before": memory_report(original, memory.kernels).arena(),
        "peak": memory.peak(),
        "flash": {"original_bytes": len(original.source), "rewritten_bytes": len(data)},
        "warnings": warnings,
    }


def unmodelled_warnings(memory: MemoryReport) -> list[str]:
    """Says which operators' memory is not counted."""
    return [
        f"the memory of {name} is not modelled: the arena's total is too low by what it allocates"
        for name in memory.persistent.unmodelled
    ]


def _describe(graph: TrainingGraph, trained: TrainedLayer) -> dict[str, Any]:
    layer = trained.layer
    variables = (trained.weights, trained.residual, trained.bias)
    y0, y1, x0, x1 = trained.taps
    return {
        "index": layer.index,
        "name": layer.name,
        "op": layer.op.name,
        "head": layer.index == graph.plan.head.index,
        "weights": 0 if trained.weights is None else trained.weights.size,
        "biases": 0 if trained.bias is None else trained.bias.size,
        "variable_bytes": sum(v.nbytes for v in variables if v is not None),
        "trained_taps": [y1 - y0, x1 - x0],
        "frozen_channels": trained.frozen_channels,
    }
