"""Presets: what to train when nobody wants to choose layers, for any model that trains at all.

A preset is a function of the model's layers. Each trains what the one before it does, and more:

    head     the classifier
    biases   and the biases of the layers behind the frozen part
    light    and the weights of the cheaper half of the layers that matter most there
    medium   and the weights of all of these
    full     everything that can train

The frozen part is the first half of the layers, in models of less than 24 layers what lies more
than 12 below the head: first layers have the largest activations, whose gradients would need more
RAM than all the rest, and change least from task to task. (`update: {biases: all}` trains them
too.) The layers that matter most are those that "On-Device Training Under 256KB Memory" (Lin et
al., NeurIPS 2022) found to: no depthwise ones, and of an inverted bottleneck only the first
pointwise one. Of a normalization that stands in the graph the biases train with those of the
layers, and the scales, which need its output kept, with everything.
"""

from __future__ import annotations

import contextlib
import enum

from tflm_train.backward_ops.losses import LOSS_RULES, find_logits, find_target_input
from tflm_train.errors import UnsupportedError
from tflm_train.graph import Graph
from tflm_train.model.ending import ending_of
from tflm_train.model.layers import Layer, is_per_channel, list_layers
from tflm_train.model.model import Model
from tflm_train.model.prepared import prepared
from tflm_train.ops.builtin import builtin_of
from tflm_train.ops.constants import LossKind
from tflm_train.scheme.gradient_path import GradientPath, gradient_path, why_no_loss
from tflm_train.scheme.head import KEPT_HEAD, Head
from tflm_train.scheme.loss import Loss
from tflm_train.scheme.npu_head import with_npu_head
from tflm_train.scheme.resolve import feeding_layers
from tflm_train.scheme.scheme import Scheme, WeightUpdate

_SHALLOW = 12  # layers below the head that count as its neighbourhood in any model


class Preset(enum.StrEnum):
    """The presets, from the least RAM to the most."""

    HEAD = "head"
    BIASES = "biases"
    LIGHT = "light"
    MEDIUM = "medium"
    FULL = "full"

    @property
    def summary(self) -> str:
        """What it trains, in a few words."""
        return _SUMMARIES[self]


_SUMMARIES = {
    Preset.HEAD: "the classifier only",
    Preset.BIASES: "the classifier and the biases of the later half (in small models, all)",
    Preset.LIGHT: "as biases, and the weights of the cheaper half of the layers that matter most",
    Preset.MEDIUM: "as biases, and the weights of all layers that matter most",
    Preset.FULL: "everything that can train",
}


def preset_scheme(
    preset: Preset | str, model: Model, head: Head = KEPT_HEAD, output: int = 0
) -> Scheme:
    """The scheme that a preset is for a model.

    Args:
      preset: Which, or its name.
      model: The model.
      head: What becomes of its last layer.
      output: Index of the trained output.

    Returns:
      The scheme; it names layers by their numbers.

    Raises:
      UnsupportedError: Nothing of the model, or nothing that the preset names, can train.
    """
    preset, model = Preset(preset), with_npu_head(prepared(model), output, head)
    layers = feeding_layers(model, output)
    loss = ordinary_loss(model, head, output)
    graph, path = model.graph, gradient_path(model, output, loss.name)
    weights, biases = _choose(preset, graph, layers, path)
    last = layers[-1]
    why = path.why_not_weights(graph, last) if head.is_kept else None
    if why is not None:
        head = Head(train=False)
        if path.why_not_bias(graph, last) is None:
            biases.append(last)
        if not weights and not biases:
            others = [x for x in layers if path.why_not_bias(graph, x) is None]
            hint = "; use a preset that trains more" if others else ""
            raise UnsupportedError(f"{model.name}: {last} cannot train: {why}{hint}")
    return Scheme(
        loss=loss,
        head=head,
        bias_layers=tuple(layer.index for layer in biases),
        weights=tuple(WeightUpdate(layer.index) for layer in weights),
        output=output,
    )


def ordinary_loss(model: Model, head: Head = KEPT_HEAD, output: int = 0) -> Loss:
    """The loss that a model's output is made for.

    An output behind LOGISTIC is of labels, one of the input's shape the input again (values where
    that is not int8), a single one a value; all others are class scores.

    Raises:
      UnsupportedError: No loss can be computed on the output.
    """
    tensor = model.graph.outputs[output]
    rows = [builtin_of(op) for op in ending_of(model.graph, tensor)]
    taken_in = next((row.loss for row in rows if row is not None and row.loss is not None), None)
    is_class = any(row is not None and row.chooses_largest for row in rows)
    kinds = [LossKind.SOFTMAX_CROSS_ENTROPY, LossKind.MEAN_SQUARED_ERROR]
    outputs = head.classes or tensor.size + head.add
    is_new = head.classes is not None or head.add > 0
    target = ""
    if taken_in is LossKind.SIGMOID_CROSS_ENTROPY:
        kinds = [LossKind.SIGMOID_CROSS_ENTROPY]
    elif taken_in is None and not is_class:
        if outputs == 1:
            kinds = [LossKind.MEAN_SQUARED_ERROR]
        elif not is_new and tensor.size == model.graph.inputs[0].size:
            kinds = [LossKind.MEAN_SQUARED_ERROR]
            with contextlib.suppress(UnsupportedError):
                find_target_input(model, tensor)
                target = "input"
    names = [rule.name for kind in kinds for rule in LOSS_RULES.values() if rule.kind is kind]
    for name in names:
        if why_no_loss(model, name, output) is None:
            return Loss(name, target)
    find_logits(model, names[0], output)
    raise AssertionError("find_logits refuses what no loss can be computed on")


def _choose(
    preset: Preset, graph: Graph, layers: list[Layer], path: GradientPath
) -> tuple[list[Layer], list[Layer]]:
    """The layers below the head whose weights train, and those whose biases do."""
    if preset is Preset.HEAD:
        return [], []
    below = layers[:-1]
    if preset is not Preset.FULL:
        below = _later_half(below)
    biases = [layer for layer in below if path.why_not_bias(graph, layer) is None]
    weights = [layer for layer in below if path.why_not_weights(graph, layer) is None]
    if preset is Preset.FULL:
        return weights, biases
    if preset is Preset.BIASES:
        return [], biases
    matter = [x for x in weights if _matters(graph, x)] or weights
    if preset is Preset.LIGHT:
        dearest_first = sorted(matter, key=lambda x: (-weight_bytes(x), x.index))
        cheap = {x.index for x in dearest_first[len(matter) // 2 :]}
        matter = [x for x in matter if x.index in cheap]
    return matter, biases


def _later_half(below: list[Layer]) -> list[Layer]:
    """What lies behind the frozen part; layers of one weight a channel go with the one before."""
    counted = [layer for layer in below if not is_per_channel(layer.op)]
    frozen = counted[: -max(_SHALLOW, (len(counted) + 2) // 2)]
    first = counted[len(frozen)].index if frozen else 0
    return [layer for layer in below if layer.index >= first]


def weight_bytes(layer: Layer) -> int:
    """RAM that training a layer's weights keeps: them, an 8-bit residual, and the input."""
    return 2 * layer.weights.size + layer.x.nbytes


def _matters(graph: Graph, layer: Layer) -> bool:
    """Whether a layer is neither depthwise nor the last one of an inverted bottleneck."""
    if layer.is_depthwise:
        return False
    middle = _layer_before(graph, layer)
    if middle is None or not middle.is_depthwise:
        return True
    first = _layer_before(graph, middle)
    return first is None or not _is_expansion(graph, first)


def _is_expansion(graph: Graph, layer: Layer) -> bool:
    """Whether a layer is a pointwise one that no depthwise one feeds."""
    if layer.is_depthwise or not layer.form.is_window or layer.weights.shape[1:3] != (1, 1):
        return False
    before = _layer_before(graph, layer)
    return before is None or not before.is_depthwise


def _layer_before(graph: Graph, layer: Layer) -> Layer | None:
    """The layer that feeds another one through operators of one input, if one does.

    Layers of one weight for each channel are passed: they only scale what another one made.
    """
    layers = {id(each.op): each for each in list_layers(graph) if not is_per_channel(each.op)}
    op = graph.producer(layer.x)
    while op is not None and id(op) not in layers:
        activations = [t for t in op.inputs if t is not None and t.data is None]
        op = graph.producer(activations[0]) if len(activations) == 1 else None
    return None if op is None else layers[id(op)]
