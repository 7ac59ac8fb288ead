"""Puts all operators in order: RESTORE, the forward pass, the backward pass; and the interface."""

from __future__ import annotations

import numpy as np

from tflm_train import ops
from tflm_train.model import Op, Tensor
from tflm_train.rewriter.schedule import Order, schedule
from tflm_train.rewriter.training_graph import TrainingGraph, TrainOp


def order_ops(graph: TrainingGraph, order: Order, fingerprint: int) -> None:
    """Gives the model its operators in execution order, and its new inputs and outputs.

    Args:
      graph: With all of its training ops made.
      order: How to order the backward pass.
      fingerprint: Which model and scheme a saved state belongs to.
    """
    _drop_unread_ranges(graph)
    # Those that are zero at first come last, so that the others' values can lie together.
    graph.variables.sort(key=lambda variable: variable.factory is None)
    ordered = schedule(graph, order)
    source = graph.model.graph
    source.ops = [_restore_op(graph, fingerprint), *ordered]
    source.inputs += graph.interface_inputs
    source.outputs += [graph.loss, graph.state]


def _drop_unread_ranges(graph: TrainingGraph) -> None:
    """Where only the head trains, no exponent is predicted."""
    if any(t is graph.ranges for op in graph.training for t in op.inputs):
        return
    graph.variables = [v for v in graph.variables if v.tensor is not graph.ranges]
    graph.model.graph.tensors.remove(graph.ranges)


def _restore_op(graph: TrainingGraph, fingerprint: int) -> Op:
    """The op that fills the variables, from one tensor of all factory values that are not zero."""
    params = ops.Restore(
        fingerprint & 0xFFFFFFFF,
        fingerprint >> 32,
        graph.plan.scheme.seed,
        len(graph.variables),
    )
    factory: tuple[Tensor, ...] = ()
    values = [v.factory for v in graph.variables if v.factory is not None]
    if values:
        joint = np.frombuffer(b"".join(v.tobytes() for v in values), np.int8)
        factory = (graph.constant("train/factory", joint),)
    return TrainOp.make(
        params,
        ops.RestoreInputs(learning_rate=graph.learning_rate, factory=factory),
        ops.RestoreOutputs(
            control=graph.control,
            handle=graph.state,
            variables=tuple(v.tensor for v in graph.variables),
        ),
    )
