"""Lets the uses of a layer train as one: their gradients add up in its variables.

The update of each use adds its part of the gradient's sum in place, one after another. What they
add was computed with the weights as the step found them: the first waits for every gradient that
reads them, each other one for the one before. Where several gradients are to be waited for, one
element of each is copied and summed: the sum is there when all of them are.

A bias that has a tensor for each scale of its layer's inputs is moved by one gradient, the sum of
those of all uses: so its tensors keep the same real values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tflm_train import ops
from tflm_train.backward_ops.layer_update import update_bias
from tflm_train.backward_ops.product import (
    Factor,
    broadcast_names,
    emit_product,
    why_not_product,
)
from tflm_train.backward_ops.rule import Destination, Gradient, MaskInput, Tape
from tflm_train.backward_ops.trained_layer import TrainedLayer
from tflm_train.errors import UnsupportedError
from tflm_train.model import Op, Tensor
from tflm_train.ops import BiasUpdate, ConvUpdate, DepthwiseUpdate, set_input
from tflm_train.ops.constants import MOVE_AXES
from tflm_train.ops.structs import MaskFields, MoveAxis
from tflm_train.ops.tensors import Role
from tflm_train.rewriter.gradient_sum import add_gradients
from tflm_train.rewriter.properties import predecessors, slot_out
from tflm_train.rewriter.training_graph import TrainingGraph, TrainOp


def join_updates(graph: TrainingGraph) -> None:
    """Orders the updates of what several of them change, and makes their step one.

    Args:
      graph: With all of its updates made.
    """
    updates: dict[int, list[TrainOp]] = {}
    for op in graph.training:
        if isinstance(op.params, ConvUpdate | DepthwiseUpdate | BiasUpdate):
            for variable in op.params.inputs_of(op).having(Role.VARIABLE)[:1]:
                updates.setdefault(id(variable), []).append(op)
    for same in updates.values():
        if len(same) > 1:
            _share_rule(same)
            if not isinstance(same[0].params, BiasUpdate):
                _put_in_order(graph, same)


def _share_rule(updates: Sequence[TrainOp]) -> None:
    """Weights decay once, and the norm of the sum is limited by limiting that of each part."""
    for number, op in enumerate(updates):
        assert isinstance(op.params, ConvUpdate | DepthwiseUpdate | BiasUpdate)
        rule = op.params.rule
        rule = dataclasses.replace(rule, clip_norm=rule.clip_norm / len(updates))
        if number > 0:
            rule = dataclasses.replace(rule, weight_decay=0.0)
        op.params = dataclasses.replace(op.params, rule=rule)


def _put_in_order(graph: TrainingGraph, updates: Sequence[TrainOp]) -> None:
    inputs = [ops.WeightUpdateInputs.of(op.inputs) for op in updates]
    before = _joined(graph, [each.after for each in inputs if each.after is not None])
    for op in updates:
        set_input(op, op.params, after=before)
        before = op.output


def _joined(graph: TrainingGraph, gradients: Sequence[Tensor]) -> Tensor | None:
    """What is written when all gradients are; None where there are none."""
    makers = {id(op.output): op for op in graph.training}
    before = predecessors([*graph.forward, *graph.training])
    places = {id(op): place for place, op in enumerate([*graph.forward, *graph.training])}
    found = [makers[id(gradient)] for gradient in gradients]
    last = [
        op for op in found if not any(before[id(other)] >> places[id(op)] & 1 for other in found)
    ]
    if len(last) < 2:
        return last[0].output if last else None
    parts = [_first_element(graph, op) for op in last]
    return add_gradients(graph, parts[0].of, parts).tensor


def _first_element(graph: TrainingGraph, maker: TrainOp) -> Gradient:
    """One element of the gradient that an op makes."""
    slot, gradient = slot_out(maker), maker.output
    assert slot is not None
    part = graph.new_gradient(Tensor.make(f"{gradient.short_name}/first", np.int8, (1,)))
    params = ops.MoveGrad(
        (MoveAxis(),) * MOVE_AXES, 0, gradient.size, MaskFields(), slot, part.slot, 1
    )
    inputs = ops.MoveGradInputs(
        gradient=gradient, mask=None, scales=graph.scales, state=graph.control
    )
    graph.emit(params, inputs, ops.GradientOutputs(gradient=part.tensor))
    return part


class JointBiases:
    """Gathers the gradients of biases that have several tensors, and updates these."""

    def __init__(self, graph: TrainingGraph) -> None:
        """Begins with no gradient.

        Args:
          graph: With its variables chosen.
        """
        self._graph = graph
        self._gradients: dict[tuple[int, ...], list[Gradient]] = {
            uses: [] for uses in graph.joint_biases
        }

    def takes(self, op: Op, gradient: Gradient) -> bool:
        """Takes the gradient of a layer's output; False where its bias has one tensor."""
        for uses, gradients in self._gradients.items():
            if id(op) in uses:
                gradients.append(gradient)
                return True
        return False

    def update(self, tape: Tape) -> None:
        """Emits the sums and the updates."""
        for uses, gradients in self._gradients.items():
            trained = {id(t.bias): t for t in (self._graph.trained[use] for use in uses)}
            first = next(iter(trained.values()))
            assert first.bias is not None
            parts = [self._over_positions(first, gradient, tape) for gradient in gradients]
            whole = parts[0]
            if len(parts) > 1:
                whole = add_gradients(self._graph, first.bias, parts)
            for each in trained.values():
                update_bias(each, whole, 1, tape)

    def _over_positions(self, trained: TrainedLayer, gradient: Gradient, tape: Tape) -> Gradient:
        """The sum of an output's gradient over its positions."""
        assert trained.bias is not None
        channels = trained.bias.size
        positions = gradient.tensor.size // channels
        if positions == 1:
            return gradient
        names, one = broadcast_names((positions, channels), (channels,)), Factor.constant(1)
        reason = why_not_product(names, one.largest)
        if reason is not None:
            raise UnsupportedError(f"{trained.layer}: of its bias' gradient {reason}")
        result = self._graph.new_gradient(trained.bias)
        emit_product(tape, gradient, names, one, Destination(result, MaskInput(), None))
        return result
