"""Reverse-mode differentiation of the graph, from the loss to the earliest trained layer.

Nothing is computed that no update needs: the walk only follows tensors that depend on something
trained. A gradient is finished when all consumers of its tensor have been visited; only then are
the ops that write it emitted, so that a skip branch's gradient can be added before the other branch
is quantised, and the clamp mask applied in the same op.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.backward_ops.islands import differentiated
from tflm_train.backward_ops.losses import (
    find_logits,
    find_target_input,
    loss_params,
    positions_of,
)
from tflm_train.backward_ops.rule import Destination, Gradient, MaskInput, Producer
from tflm_train.backward_ops.rules import RULES
from tflm_train.backward_ops.trained_layer import LayerSize, StepFields, TrainedLayer
from tflm_train.errors import SchemeError, UnsupportedError
from tflm_train.model import Op, Tensor
from tflm_train.model.layers import ancestors
from tflm_train.ops.declaration import Inputs, Outputs
from tflm_train.qas import gain_shift
from tflm_train.rewriter.gradient_sum import add_gradients
from tflm_train.rewriter.join_updates import JointBiases, join_updates
from tflm_train.rewriter.passes import Pass
from tflm_train.rewriter.properties import (
    ALL_FINISHED,
    NO_TRAILING_ABSENT,
    READ_BEFORE_CHANGED,
    SLOTS_NUMBERED,
    UPDATED,
    VARIABLES_CHOSEN,
)
from tflm_train.rewriter.training_graph import TrainingGraph
from tflm_train.scheme.gradient_path import remedy


@dataclass(frozen=True)
class _Pending:
    """A gradient contribution whose op is not emitted yet."""

    producer: Producer
    takes_addend: bool


def differentiate(graph: TrainingGraph) -> TrainingGraph:
    """Adds the loss, the backward ops and the update ops.

    Args:
      graph: With its variables chosen.

    Returns:
      The same graph, its training ops added.

    Raises:
      UnsupportedError: An op between the loss and a trained layer has no gradient rule, or breaks
        one of its rule's conditions.
    """
    _Tape(graph).run()
    graph.close_slots()
    return graph


DIFFERENTIATE = Pass(
    "differentiate",
    differentiate,
    requires=(VARIABLES_CHOSEN,),
    ensures=(UPDATED, READ_BEFORE_CHANGED, ALL_FINISHED, SLOTS_NUMBERED, NO_TRAILING_ABSENT),
)


class _Tape:
    """Implements `tflm_train.backward_ops.rule.Tape`."""

    def __init__(self, graph: TrainingGraph) -> None:
        self._graph = graph
        plan = graph.plan
        self._logits = find_logits(graph.model, plan.scheme.loss.name, plan.output)
        self._wanted = self._depends_on_trained()
        self._ready: dict[int, list[Gradient]] = {}
        self._pending: dict[int, list[_Pending]] = {}
        self._joint_biases = JointBiases(graph)
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Tensor] = {}

    @property
    def state(self) -> Tensor:
        return self._graph.control

    @property
    def scales(self) -> Tensor:
        return self._graph.scales

    @property
    def ranges(self) -> Tensor:
        return self._graph.ranges

    def trained(self, op: Op) -> TrainedLayer | None:
        return self._graph.trained.get(id(op))

    def takes_bias_gradient(self, op: Op, gradient: Gradient) -> bool:
        return self._joint_biases.takes(op, gradient)

    def step_of(self, size: LayerSize) -> StepFields:
        scheme = self._graph.plan.scheme
        shift = gain_shift(size.positions) if size.positions else 0
        return StepFields(scheme.residual_bits, shift, scheme.optimizer.fields(size))

    def wants(self, tensor: Tensor) -> bool:
        return id(tensor) in self._wanted

    def pass_through(self, tensor: Tensor, gradient: Gradient) -> None:
        if self.wants(tensor):
            self._ready.setdefault(id(tensor), []).append(gradient)

    def produce(self, tensor: Tensor, producer: Producer, takes_addend: bool) -> None:
        if self.wants(tensor):
            pending = _Pending(producer, takes_addend)
            self._pending.setdefault(id(tensor), []).append(pending)

    def intermediate(self, of: Tensor) -> Gradient:
        return self._graph.new_gradient(of)

    def constant(self, name: str, data: npt.NDArray[np.generic]) -> Tensor:
        key = (data.dtype.str, data.shape, data.tobytes())
        if key not in self._constants:
            self._constants[key] = self._graph.constant(name, data)
        return self._constants[key]

    def emit(
        self, params: ops.TrainingOp[Inputs, Outputs], inputs: Inputs, outputs: Outputs
    ) -> object:
        return self._graph.emit(params, inputs, outputs)

    def emit_update(
        self, name: str, params: ops.TrainingOp[Inputs, ops.UpdateOutputs], inputs: Inputs
    ) -> Op:
        return self._graph.emit_update(name, params, inputs)

    def add(self, tensor: Tensor) -> Tensor:
        return self._graph.model.graph.add(tensor)

    def run(self) -> None:
        """Walks the forward ops backwards from the logits."""
        graph = self._graph
        if not self.wants(self._logits):
            raise UnsupportedError(
                f"{graph.model.name}: no trained layer feeds the logits {self._logits.name!r}"
            )
        self.pass_through(self._logits, self._emit_loss())
        for index, op in reversed(differentiated(graph.forward)):
            outputs = [t for t in op.outputs if id(t) in self._ready or id(t) in self._pending]
            if outputs:
                self._check(op, index)
            for tensor in outputs:
                finished = dataclasses.replace(self._finish(op, tensor), of=tensor)
                RULES[op.name].backward(op, finished, self)
        self._joint_biases.update(self)
        join_updates(graph)
        # FINISH waits for more: see `close_step`.
        graph.emit(
            ops.Finish(),
            ops.FinishInputs(after=tuple(graph.tokens), handle=graph.state, state=self.state),
            ops.FinishOutputs(loss=graph.loss),
        )

    def _emit_loss(self) -> Gradient:
        graph, logits, loss = self._graph, self._logits, self._graph.plan.scheme.loss
        weights = None
        if loss.class_weights:
            classes = logits.size // positions_of(loss.rule, logits)
            if len(loss.class_weights) != classes:
                raise SchemeError(
                    f"loss.class_weights: {len(loss.class_weights)} weights for the "
                    f"{classes} classes of {graph.model.name}; give one for each"
                )
            data = np.array(loss.class_weights, np.float32)
            weights = graph.constant("train/class_weights", data)
        target = graph.label
        if target is None:
            target = find_target_input(graph.model, logits)
        gradient = graph.new_gradient(logits)
        params = loss_params(
            loss.rule, loss.target_kind, loss.label_smoothing, logits, target, gradient.slot
        )
        inputs = ops.LossInputs(
            logits=logits,
            target=target,
            class_weights=weights,
            saved=tuple(self._read_elsewhere()),  # see `close_step`
            scales=self.scales,
            state=self.state,
        )
        graph.emit(params, inputs, ops.LossOutputs(gradient=gradient.tensor))
        return gradient

    def _read_elsewhere(self) -> Iterator[Tensor]:
        """The outputs of trained layers that do not feed the loss: it waits for them."""
        feeding = ancestors(self._graph.model.graph, self._logits)
        for op in self._graph.forward:
            if id(op) in self._graph.trained and id(op) not in feeding:
                yield op.output

    def _check(self, op: Op, index: int) -> None:
        graph = self._graph
        rule = RULES.get(op.name)
        where = f"{op.name} (subgraph 0, op {index}, {op.output.name!r})"
        feeding = ancestors(graph.model.graph, self._logits)
        layers = [layer for layer in graph.plan.layers if id(layer.op) in feeding]
        instead = remedy(layers, index, len(graph.model.graph.outputs))
        if rule is None:
            raise UnsupportedError(f"{where} has no gradient rule; {instead}")
        reason = rule.why_not(op)
        if reason is not None:
            raise UnsupportedError(f"{where}: {reason}; {instead}")

    def _depends_on_trained(self) -> set[int]:
        wanted: set[int] = set()
        for op in self._graph.forward:
            if id(op) in self._graph.trained or any(id(t) in wanted for t in op.inputs):
                wanted.update(id(t) for t in op.outputs)
        return wanted

    def _finish(self, op: Op, tensor: Tensor) -> Gradient:
        """Emits whatever writes the gradient of `tensor`, the output of `op`."""
        ready = self._ready.pop(id(tensor), [])
        pending = self._pending.pop(id(tensor), [])
        mask = self._mask(op, tensor)
        # One producer that can take the sum of the others along is kept for last.
        pending.sort(key=lambda p: p.takes_addend)
        ready += [self._write(tensor, p) for p in pending[:-1]]
        if pending and (pending[-1].takes_addend or not ready):
            addend = self._sum(tensor, ready, MaskInput()) if ready else None
            return self._write(tensor, pending[-1], mask, addend)
        ready += [self._write(tensor, p) for p in pending[-1:]]
        return self._sum(tensor, ready, mask)

    def _write(
        self,
        tensor: Tensor,
        pending: _Pending,
        mask: MaskInput = MaskInput(),  # noqa: B008 - frozen
        addend: Gradient | None = None,
    ) -> Gradient:
        gradient = self._graph.new_gradient(tensor)
        pending.producer(Destination(gradient, mask, addend))
        return gradient

    def _sum(self, tensor: Tensor, parts: list[Gradient], mask: MaskInput) -> Gradient:
        if len(parts) == 1 and mask.tensor is None:
            return parts[0]
        return add_gradients(self._graph, tensor, parts, mask)

    def _mask(self, op: Op, tensor: Tensor) -> MaskInput:
        clamp = RULES[op.name].clamp(op)
        if clamp is None:
            return MaskInput()
        fields = ops.MaskFields(ops.MaskKind.ACTIVATION, clamp.act_min, clamp.act_max)
        return MaskInput(fields, tensor)
