"""Which operators a gradient reaches from a loss, and which layers can therefore train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tflm_train.backward_ops.islands import differentiated
from tflm_train.backward_ops.losses import LOSS_RULES, find_logits, way_to_int8
from tflm_train.backward_ops.rules import RULES
from tflm_train.errors import UnsupportedError
from tflm_train.graph import Graph, Op, Tensor
from tflm_train.model.layers import Layer, ancestors, list_layers, uses_of
from tflm_train.model.model import Model
from tflm_train.ops.builtin import builtin_of
from tflm_train.ops.npu import ETHOS_U

_REAL = ("INT8", "INT16", "FLOAT32")
_OTHER = "another output (`output: NUMBER` in a scheme)"


@dataclass(frozen=True)
class GradientPath:
    """How far gradients come.

    Attributes:
      reasons: By the id of an operator why there is no gradient of its output; None where there is.
      barriers: The operators that a gradient reaches but does not pass, and what to do; sentences.
      feeding: Ids of the operators that feed the output.
    """

    reasons: dict[int, str | None]
    barriers: tuple[str, ...]
    feeding: frozenset[int]

    def why_not_bias(self, graph: Graph, layer: Layer) -> str | None:
        """Why a layer's bias cannot train, None where it can."""
        if layer.bias is None:
            return "it has no bias"
        without = next((x for x in uses_of(list_layers(graph), layer) if x.bias is None), None)
        if without is not None:
            return f"it is layer {without.index} as well (they share their weights), without a bias"
        return self._why_not_used(graph, layer, self._why_not_bias)

    def why_not_weights(self, graph: Graph, layer: Layer) -> str | None:
        """Why a layer's weights, and with them its bias, cannot train; None where they can.

        Of a layer that runs several times the last use stands for all of them: the others cannot be
        trained beside it.
        """
        return self._why_not_used(graph, layer, self._why_not_weights)

    def _why_not_used(
        self, graph: Graph, layer: Layer, why_not: Callable[[Layer], str | None]
    ) -> str | None:
        """Why no use of a layer, or this one, cannot train by a condition on each."""
        own = why_not(layer)
        if own is not None:
            return own
        *others, last = self._uses(graph, layer)
        if last.op is not layer.op:
            return (
                f"it is layer {last.index} once more (they share the weights "
                f"{layer.weights.name!r}), and trains as one with it: name that one"
            )
        for use in others:
            reason = why_not(use)
            if reason is not None:
                return f"it is layer {use.index} as well (they share their weights), where {reason}"
        return None

    def trains_with_another(self, graph: Graph, layer: Layer) -> bool:
        """Whether a layer of the output runs once more later, where it is named."""
        return self._uses(graph, layer)[-1].op is not layer.op

    def _uses(self, graph: Graph, layer: Layer) -> list[Layer]:
        """The uses of a layer that feed the output."""
        return [use for use in uses_of(list_layers(graph), layer) if id(use.op) in self.feeding]

    def _why_not_bias(self, layer: Layer) -> str | None:
        bias = None if layer.bias is None else why_not_tensor(layer, layer.bias)
        return self.reasons[id(layer.op)] or why_not_input(layer) or bias

    def _why_not_weights(self, layer: Layer) -> str | None:
        own = self.reasons[id(layer.op)] or why_not_input(layer)
        return own or why_not_tensor(layer, layer.weights) or self._why_not_bias(layer)


def why_no_loss(model: Model, loss: str, output: int) -> str | None:
    """Why a loss cannot be computed on an output, None where it can."""
    try:
        find_logits(model, loss, output)
    except UnsupportedError as error:
        return str(error)
    return None


def gradient_path(model: Model, output: int, loss: str | None = None) -> GradientPath:
    """Follows the gradients from an output back to the inputs.

    Args:
      model: The model.
      output: Index of the trained output.
      loss: What it trains with; None: any loss that the output allows.

    Returns:
      How far they come; nowhere where no loss can be computed.
    """
    names = LOSS_RULES if loss is None else [loss]
    losses = {name: why_no_loss(model, name, output) for name in names}
    possible = [name for name, reason in losses.items() if reason is None]
    if possible:
        reached = {id(find_logits(model, possible[0], output))}
        another = f", or train {_OTHER}" if len(model.graph.outputs) > 1 else ""
        nothing = f"it does not feed output {output}; leave it out{another}"
    else:
        reached = set()
        nothing = next(reason for reason in losses.values() if reason is not None)
    feeding = frozenset(ancestors(model.graph, model.graph.outputs[output]))
    return _follow(model.graph, reached, nothing, feeding)


def _follow(graph: Graph, reached: set[int], nothing: str, feeding: frozenset[int]) -> GradientPath:
    layers = [layer for layer in list_layers(graph) if id(layer.op) in feeding]
    barriers: list[str] = []
    reasons: dict[int, str | None] = {}
    stopped: dict[int, str] = {}
    barred: dict[int, str] = {}  # what a gradient may come to, but not all of it
    for index, op in reversed(differentiated(graph.ops)):
        outputs = {id(t) for t in op.outputs}
        part = next((barred[t] for t in outputs if t in barred), None)
        if part is not None or not outputs & reached:
            source = part or next((stopped[t] for t in outputs if t in stopped), nothing)
            reasons[id(op)] = source
            for tensor in op.inputs:
                if tensor is not None:  # what is nearest to the loss is the reason
                    stopped.setdefault(id(tensor), source)
                    if part is not None:
                        barred.setdefault(id(tensor), source)
            continue
        row = builtin_of(op)
        if row is not None and row.is_source:
            reasons[id(op)] = None
            continue
        own = _why_not(op)
        reasons[id(op)] = own
        inputs = [id(t) for t in op.inputs if t is not None]
        if own is None:
            reached.update(inputs)
        else:
            where = f"op {index} ({op.name}, {op.output.short_name!r})"
            instead = remedy(layers, index, len(graph.outputs))
            if _hides_something(graph, op, index):
                barriers.insert(0, f"{where}: {own}; {instead}")
            after = f"{where} between it and the loss: {own}; {instead}"
            reasons[id(op)] = f"{own}; {instead}"
            for stopped_input in inputs:
                stopped.setdefault(stopped_input, after)
                if any(t.type_name in _REAL for t in op.outputs):  # indices have no gradient
                    barred.setdefault(stopped_input, after)
    return GradientPath(reasons, tuple(barriers), feeding)


def _hides_something(graph: Graph, barrier: Op, place: int) -> bool:
    """Whether anything with weights lies at or before it; a first QUANTIZE hides nothing."""
    layers = any(layer.op_index < place for layer in list_layers(graph))
    return layers or any(t is not None and t.data is not None for t in barrier.inputs)


def remedy(layers: Sequence[Layer], place: int, outputs: int) -> str:
    """What to train where a gradient does not pass an operator.

    Args:
      layers: All that feed the output.
      place: The operator's.
      outputs: How many the model has.
    """
    behind = [layer for layer in layers if layer.op_index > place]
    if behind:
        return f"train layers from {behind[0].index} on, and leave those before it frozen"
    if outputs > 1:
        return f"no layer lies behind it: train {_OTHER}"
    return "no layer lies behind it, and the model has no other output: it cannot train"


def _why_not(op: Op) -> str | None:
    rule = RULES.get(op.name)
    if ETHOS_U.is_kind_of(op):
        return "it runs on the NPU, where nothing trains"
    return "the operator has no gradient rule" if rule is None else rule.why_not(op)


def why_not_input(layer: Layer) -> str | None:
    """Why a layer cannot train because of its types, None where it can."""
    x, weights = layer.x, layer.weights
    if x.quantization is None or weights.quantization is None or x.type_name != "INT8":
        return (
            f"its input is {x.type_name}, not quantized int8; only int8 layers train; "
            f"{way_to_int8(x)}"
        )
    return None


def why_not_tensor(layer: Layer, tensor: Tensor) -> str | None:
    """Why a layer's weights or bias cannot become a variable, None where they can."""
    type_name = "INT32" if tensor is layer.bias else "INT8"
    if tensor.type_name != type_name:
        return f"{tensor.name!r} is {tensor.type_name}; only {type_name} can train"
    if tensor.data is None:
        return f"{tensor.name!r} is computed, not a constant"
    return None
