"""What a rewrite added, as plain values: the JSON report and the tables are made from it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tflm_train import kernel_abi as abi
from tflm_train.cost.macs import forward_macs
from tflm_train.memory import MemoryReport, memory_report
from tflm_train.memory.extra import analytic_extra_memory, kept_memory
from tflm_train.model import Model
from tflm_train.rewriter.training_graph import TrainedLayer, TrainingGraph
from tflm_train.scheme import resolve
from tflm_train.scheme.select import select_channels


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
      `layers`, `ops`, `arena`, `arena_before` and `peak` (on a Cortex-M with `kernels`),
      `macs_before` and `macs` of one inference, `extra_memory` (by the paper's formula, and what
      is really kept), `flash`, `warnings`.
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
        "macs_before": forward_macs(original.graph),
        "macs": forward_macs(graph.model.graph),
        "extra_memory": _extra_memory(original, graph, memory),
        "flash": {"original_bytes": len(original.source), "rewritten_bytes": len(data)},
        "warnings": warnings,
    }


def _extra_memory(
    original: Model, graph: TrainingGraph, memory: MemoryReport
) -> dict[str, dict[str, int]]:
    scheme = graph.plan.scheme
    plan = resolve(scheme, original)  # its weights are still constant
    body = [layer for layer in plan.layers if layer.index != plan.head.index]
    channels = {
        layer.index: len(select_channels(plan.weights[layer.index], layer, scheme.seed))
        for layer in body
        if layer.index in plan.weights
    }
    accounts = {
        "analytic": analytic_extra_memory(body, plan.biases, channels),
        "kept": kept_memory(graph.model, memory),
    }
    return {
        name: {f"{k}_bytes": v for k, v in vars(account).items()} | {"total_bytes": account.total}
        for name, account in accounts.items()
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
