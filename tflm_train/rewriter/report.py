"""What a rewrite added, as plain values: the JSON report and the tables are made from it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tflm_train import kernel_abi as abi
from tflm_train.model import Graph, Model
from tflm_train.model.layers import list_layers
from tflm_train.rewriter.memory import plan_arena
from tflm_train.rewriter.scratch import scratch_bytes
from tflm_train.rewriter.training_graph import TrainedLayer, TrainingGraph

# Sizes on a 32-bit target of what TFLM keeps for the life of the interpreter.
_EVAL_TENSOR_BYTES = 12
_NODE_BYTES = 32
_LAYER_BYTES = 64
_CHANNEL_BYTES = 8
_FIXED_BYTES = 1024


def build_report(original: Model, graph: TrainingGraph, data: bytes) -> dict[str, Any]:
    """Describes a finished rewrite.

    Args:
      original: The model as it was.
      graph: The finished training graph (its model's ops are in execution order).
      data: The rewritten file.

    Returns:
      `layers`, `ops`, `arena` (bytes on a 32-bit target), `flash`, `warnings`.
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
    return {
        "layers": layers,
        "ops": dict(counts),
        "arena": arena_summary(graph.model.graph),
        "arena_before": arena_summary(original.graph),
        "flash": {"original_bytes": len(original.source), "rewritten_bytes": len(data)},
        "warnings": warnings,
    }


def arena_summary(graph: Graph) -> dict[str, int]:
    """The arena of a graph on a 32-bit target.

    `activation_bytes` is exact (a twin of TFLM's planner), so are `variable_bytes`;
    `structure_bytes` (interpreter and kernel structures) is an estimate.
    """
    activations = plan_arena(graph, scratch_bytes(graph)).bytes
    variables = sum(-(-t.nbytes // 16) * 16 for t in graph.tensors if t.is_variable)
    structures = _FIXED_BYTES + _EVAL_TENSOR_BYTES * len(graph.tensors)
    structures += _NODE_BYTES * len(graph.ops)
    for layer in list_layers(graph):
        structures += _LAYER_BYTES + _CHANNEL_BYTES * layer.out_channels
    return {
        "activation_bytes": activations,
        "variable_bytes": variables,
        "structure_bytes": structures,
        "total_bytes": activations + variables + structures,
    }


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
