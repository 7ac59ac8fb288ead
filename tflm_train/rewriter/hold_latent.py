"""Keeps the activation where the trained part begins: the latent.

The frozen layers give the same for a sample whenever they run. So their result becomes a variable
and an output of the graph: firmware may read it after an inference and write it before a step, and
the input `train/source` says whether the frozen layers run at all. They become STREAMs for that
(`optimize.py`), which return at once when they need not run.

A latent is all that a step on the device has of its sample, so of a model that learns its own input
it is that input.
"""

from __future__ import annotations

import numpy as np

from tflm_train.errors import UnsupportedError
from tflm_train.graph import Graph, Op, Tensor
from tflm_train.model.layers import ancestors
from tflm_train.ops.builtin import builtin_of
from tflm_train.ops.contract import SOURCE_INPUT
from tflm_train.rewriter.passes import Pass
from tflm_train.rewriter.properties import IN_ORDER, LAYERS_SPLIT, MASKS_ARE_BITS
from tflm_train.rewriter.training_graph import FrozenPart, TrainingGraph
from tflm_train.trained.cut import find_boundary, why_no_boundary


def hold_latent(graph: TrainingGraph) -> None:
    """Finds the latent and makes it a variable.

    Args:
      graph: Its model's ops in execution order; an input and an output are added.

    Raises:
      UnsupportedError: Nothing lies between the frozen and the trained part through which all
        flows.
    """
    model = graph.model.graph
    _require_one_input(graph, "leave `latent: true` out of the scheme")
    latent = _before_moves(model, find_boundary(graph.model, sample_beside=False))
    if latent.type_name != "INT8" or latent.quantization is None:
        raise UnsupportedError(
            f"{graph.model.name}: the trained part begins at {latent.name!r}, which is "
            f"{latent.type_name}; a latent is quantized int8: leave `latent: true` out of the "
            "scheme"
        )
    if latent is model.inputs[0]:
        graph.warnings.append(
            "nothing is frozen before what trains: the latent is the input, and a step from it "
            "costs as much as one from a sample"
        )
    source = model.add(Tensor.make(SOURCE_INPUT, np.int32, (1,), is_variable=True))
    before = ancestors(model, latent)
    frozen = {id(op): op for op in model.ops if id(op) in before}
    latent.is_variable = True
    model.inputs.append(source)
    model.outputs.append(latent)
    graph.frozen = FrozenPart(frozen, latent, source)


HOLD_LATENT = Pass("hold_latent", hold_latent, requires=(IN_ORDER, LAYERS_SPLIT, MASKS_ARE_BITS))


def keep_apart(graph: TrainingGraph) -> None:
    """Marks the frozen ops, so that the model can be cut behind them; nothing else changes.

    Args:
      graph: Its model's ops in execution order.

    Raises:
      UnsupportedError: The model has several inputs.
    """
    _require_one_input(graph, "leave out --split")
    boundary = find_boundary(graph.model, sample_beside=False)
    before = ancestors(graph.model.graph, boundary)
    frozen = {id(op): op for op in graph.model.graph.ops if id(op) in before}
    graph.frozen = FrozenPart(frozen, boundary, None)


KEEP_APART = Pass("keep_apart", keep_apart, requires=(IN_ORDER, LAYERS_SPLIT, MASKS_ARE_BITS))


def _require_one_input(graph: TrainingGraph, advice: str) -> None:
    own = len(graph.model.graph.inputs) - len(graph.interface_inputs)
    if own != 1:
        raise UnsupportedError(
            f"{graph.model.name} has {own} inputs; only a model with one trains from latents: "
            f"{advice}"
        )


def _before_moves(graph: Graph, boundary: Tensor) -> Tensor:
    """The tensor before ops that only move it, and may make it larger."""
    producer = graph.producer(boundary)
    while producer is not None and _moves(producer):
        before = producer.input
        if before is not graph.inputs[0] and why_no_boundary(graph, before, sample_beside=False):
            break
        boundary, producer = before, graph.producer(before)
    return boundary


def _moves(op: Op) -> bool:
    row = builtin_of(op)
    return row is not None and (row.pads_with_zero or row.shape_input is not None)
