"""The layers with weights, numbered in execution order as schemes and reports name them."""

from __future__ import annotations

from dataclasses import dataclass

from tflm_train.graph import Graph, Op, Tensor
from tflm_train.ops.builtin import BUILTINS, LayerForm, layer_form_of

LAYER_OPS = tuple(row.name for row in BUILTINS.values() if row.layer is not None)
"""Names of the operators with weights."""


@dataclass(frozen=True)
class Layer:
    """A CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED or TRANSPOSE_CONV.

    Attributes:
      index: Counted over these ops in execution order, from 0.
      op: The operator.
      op_index: Its position among all operators.
    """

    index: int
    op: Op
    op_index: int

    @property
    def name(self) -> str:
        """The layer's name: that of its output tensor."""
        return self.op.output.short_name

    @property
    def form(self) -> LayerForm:
        """How its operator's weights lie."""
        form = layer_form_of(self.op)
        assert form is not None
        return form

    @property
    def x(self) -> Tensor:
        """The input activation."""
        tensor = self.op.inputs[self.form.input]
        assert tensor is not None
        return tensor

    @property
    def weights(self) -> Tensor:
        """The filter."""
        tensor = self.op.inputs[self.form.weights]
        assert tensor is not None
        return tensor

    @property
    def bias(self) -> Tensor | None:
        """The bias, None for a layer without one."""
        return self.op.optional_input(self.form.bias)

    @property
    def is_depthwise(self) -> bool:
        """Whether each output channel belongs to one input channel."""
        return self.form.is_depthwise

    @property
    def in_channels(self) -> int:
        """Number of input channels; of a FULLY_CONNECTED its filter's columns."""
        return self.weights.shape[1] if self.form.flattens else self.x.shape[-1]

    @property
    def out_channels(self) -> int:
        """Number of output channels."""
        return self.weights.shape[3 if self.is_depthwise else 0]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference, padding taps counted."""
        return self.form.macs(self.op)

    def __str__(self) -> str:
        return f"layer {self.index} ({self.op.name}, op {self.op_index}, {self.name!r})"


def list_layers(graph: Graph) -> list[Layer]:
    """All layers of a graph in execution order."""
    positions = [(i, op) for i, op in enumerate(graph.ops) if layer_form_of(op) is not None]
    return [Layer(n, op, i) for n, (i, op) in enumerate(positions)]


def ancestors(graph: Graph, tensor: Tensor) -> set[int]:
    """Ids of the ops that `tensor` depends on."""
    wanted = {id(tensor)}
    found: set[int] = set()
    for op in reversed(graph.ops):
        if any(id(t) in wanted for t in op.outputs):
            found.add(id(op))
            wanted.update(id(t) for t in op.inputs if t is not None)
    return found
