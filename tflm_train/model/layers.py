"""The layers with weights, numbered in execution order as schemes and reports name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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


def is_per_channel(op: Op) -> bool:
    """Whether an operator is a layer of one weight for each channel, and perhaps a bias."""
    form = layer_form_of(op)
    if form is None or not form.is_depthwise:
        return False
    weights = op.inputs[form.weights]
    return weights is not None and weights.shape == (1, 1, 1, op.input.shape[-1])


def uses_of(layers: Sequence[Layer], layer: Layer) -> list[Layer]:
    """The layers that are one layer, which runs once for each of them; in execution order.

    They share their weights, as the layers of a Siamese network and the steps of an unrolled
    recurrent one do. Weights that are all alike say nothing of that: the converter merges equal
    constants of layers that have not learnt yet.

    Args:
      layers: Those of the model whose weights are constants still.
      layer: One of them.

    Returns:
      It and the layers that are the same.
    """
    same = [x for x in layers if x.weights is layer.weights and x.op.name == layer.op.name]
    data = layer.weights.data
    if len(same) == 1 or data is None or np.all(data == data.flat[0]):
        return [layer]
    return same


def has_bias(uses: Sequence[Layer]) -> bool:
    """Whether a layer has a bias in each of its uses.

    Of a recurrent layer the converter leaves some uses without, and adds the bias elsewhere: what
    the others have would come apart from that.
    """
    return all(use.bias is not None for use in uses)


def have_one_bias(first: Layer, second: Layer) -> bool:
    """Whether two uses of a layer have one bias: one tensor, or one for each scale of their inputs.

    A bias is counted in steps of its layer's input and weights, so that inputs of two scales need
    two tensors for the same real values, which are then equal as far as the coarser one can say.
    """
    if first.bias is second.bias:
        return True
    (a, a_step), (b, b_step) = _real_bias(first), _real_bias(second)
    return bool(np.all(np.abs(a - b) <= np.maximum(a_step, b_step)))


def _real_bias(layer: Layer) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The real values of a layer's bias, and the steps that it is counted in."""
    assert layer.bias is not None and layer.weights.quantization is not None
    scale = layer.weights.quantization.scale.astype(np.float64)
    step = np.broadcast_to(scale * layer.x.scale, (layer.out_channels,))
    data = layer.bias.data
    return (np.zeros_like(step) if data is None else data.reshape(-1) * step), step


def ancestors(graph: Graph, tensor: Tensor) -> set[int]:
    """Ids of the ops that `tensor` depends on."""
    wanted = {id(tensor)}
    found: set[int] = set()
    for op in reversed(graph.ops):
        if any(id(t) in wanted for t in op.outputs):
            found.add(id(op))
            wanted.update(id(t) for t in op.inputs if t is not None)
    return found
