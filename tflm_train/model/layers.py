"""The layers with weights, numbered in execution order as schemes and reports name them."""

from __future__ import annotations

from dataclasses import dataclass

from tflm_train.graph import Graph, Op, Tensor

LAYER_OPS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


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
    def x(self) -> Tensor:
        """The input activation."""
        tensor = self.op.inputs[2 if self.op.name == "TRANSPOSE_CONV" else 0]
        assert tensor is not None
        return tensor

    @property
    def weights(self) -> Tensor:
        """The filter."""
        assert self.op.inputs[1] is not None
        return self.op.inputs[1]

    @property
    def bias(self) -> Tensor | None:
        """The bias, None for a layer without one."""
        return self.op.optional_input(3 if self.op.name == "TRANSPOSE_CONV" else 2)

    @property
    def out_channels(self) -> int:
        """Number of output channels."""
        if self.op.name == "DEPTHWISE_CONV_2D":
            return self.weights.shape[3]
        return self.weights.shape[0]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference, padding taps counted."""
        if self.op.name == "DEPTHWISE_CONV_2D":
            return self.op.output.size * self.weights.shape[1] * self.weights.shape[2]
        if self.op.name == "TRANSPOSE_CONV":
            return self.x.size * self.weights.size // self.weights.shape[3]
        return self.op.output.size * (self.weights.size // self.weights.shape[0])

    def __str__(self) -> str:
        return f"layer {self.index} ({self.op.name}, op {self.op_index}, {self.name!r})"


def list_layers(graph: Graph) -> list[Layer]:
    """All layers of a graph in execution order."""
    positions = [(i, op) for i, op in enumerate(graph.ops) if op.name in LAYER_OPS]
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
