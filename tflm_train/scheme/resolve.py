"""A scheme applied to a model: the exact set of biases and weights that train."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from tflm_train.errors import SchemeError
from tflm_train.graph import Graph, Op
from tflm_train.model.layers import Layer, ancestors, list_layers
from tflm_train.model.model import Model
from tflm_train.scheme.scheme import LayerRef, Scheme, WeightUpdate


@dataclass(frozen=True)
class UpdatePlan:
    """What trains, in terms of the model's layers.

    Attributes:
      layers: All layers of the model.
      head: The last layer that feeds the trained output.
      biases: Layers whose bias trains.
      weights: Layers whose weights train, with what the scheme says of them.
      scheme: Where it came from.
      output: Index of the trained output.
    """

    layers: tuple[Layer, ...]
    head: Layer
    biases: frozenset[int]
    weights: dict[int, WeightUpdate]
    scheme: Scheme
    output: int = 0

    def with_new_layers(self, graph: Graph, added: list[Op]) -> UpdatePlan:
        """The plan after layers were put into the graph: they train too, the others move up."""
        layers = list_layers(graph)
        places = {id(layer.op): layer.index for layer in layers}
        moved = {layer.index: places[id(layer.op)] for layer in self.layers}
        new = {places[id(op)] for op in added}
        weights = {moved[index]: update for index, update in self.weights.items()}
        return UpdatePlan(
            tuple(layers),
            layers[moved[self.head.index]],
            frozenset({moved[index] for index in self.biases} | new),
            weights | {index: WeightUpdate(index) for index in new},
            self.scheme,
            self.output,
        )

    @property
    def trained(self) -> list[Layer]:
        """Layers of which anything trains, in execution order."""
        wanted = self.biases | self.weights.keys()
        return [layer for layer in self.layers if layer.index in wanted]

    @property
    def is_full_update(self) -> bool:
        """Whether the weights of every layer train."""
        whole = [w for w in self.weights.values() if w.ratio == 1.0 and w.channels is None]
        return len(whole) == len(self.layers) and len(self.layers) > 2


def resolve(scheme: Scheme, model: Model) -> UpdatePlan:
    """Finds the layers a scheme names.

    Args:
      scheme: The scheme.
      model: The model it is for.

    Returns:
      The plan.

    Raises:
      SchemeError: A layer does not exist, or nothing would train.
    """
    layers = list_layers(model.graph)
    if not model.graph.outputs:
        raise SchemeError(f"{model.name}: the model has no output to train")
    output = find_output(scheme.output, model)
    feeding = ancestors(model.graph, model.graph.outputs[output])
    candidates = [layer for layer in layers if id(layer.op) in feeding]
    if not candidates:
        raise SchemeError(
            f"{model.name}: no CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED layer feeds its "
            f"output ({model.graph.outputs[output].name!r}); there is nothing to train"
        )
    head = candidates[-1]
    below = candidates[:-1]
    if scheme.biases_last > len(below):
        raise SchemeError(
            f"update.biases.last: {scheme.biases_last} layers asked for, but {model.name} has "
            f"{len(below)} below its head (layer {head.index}); use at most {len(below)}"
        )
    updates: dict[int, WeightUpdate] = {}
    for update in scheme.weights:
        layer = _find(update.layer, layers, model)
        if layer.index in updates:
            raise SchemeError(f"update.weights: {layer} of {model.name} is named twice")
        updates[layer.index] = update
    weights = set(updates)
    biases = {layer.index for layer in below[len(below) - scheme.biases_last :] if layer.bias}
    for ref in scheme.bias_layers:
        layer = _find(ref, layers, model)
        if layer.bias is None:
            raise SchemeError(f"update.biases.layers: {layer} of {model.name} has no bias")
        biases.add(layer.index)
    if scheme.head.train:
        weights.add(head.index)
        updates.setdefault(head.index, WeightUpdate(head.index))
    biases |= {i for i in weights if layers[i].bias is not None}
    for index in sorted(weights | biases):
        if id(layers[index].op) not in feeding:
            raise SchemeError(
                f"{layers[index]} of {model.name} does not feed the trained output; leave it out"
            )
    if not weights and not biases:
        raise SchemeError(
            "the scheme trains nothing: name layers under `update`, or train the head"
        )
    return UpdatePlan(tuple(layers), head, frozenset(biases), updates, scheme, output)


def find_output(ref: LayerRef, model: Model) -> int:
    """The index of the output that a scheme names.

    Raises:
      SchemeError: There is none.
    """
    outputs = model.graph.outputs
    if isinstance(ref, int) and ref < len(outputs):
        return ref
    for index, tensor in enumerate(outputs):
        if ref in (tensor.name, tensor.short_name):
            return index
    listed = ", ".join(f"{i} ({t.short_name})" for i, t in enumerate(outputs))
    raise SchemeError(f"output: {model.name} has no output {ref!r}; it has {listed}")


def _find(ref: LayerRef, layers: list[Layer], model: Model) -> Layer:
    if isinstance(ref, int):
        if ref < len(layers):
            return layers[ref]
        raise SchemeError(
            f"layer {ref} does not exist: {model.name} has layers 0 to {len(layers) - 1}; "
            f"`tflm_train inspect {model.name}` lists them"
        )
    named = [layer for layer in layers if ref in (layer.name, layer.op.output.name)]
    if len(named) == 1:
        return named[0]
    if named:
        indices = ", ".join(str(layer.index) for layer in named)
        raise SchemeError(
            f"layer name {ref!r} is not unique in {model.name} (layers {indices}); use an index"
        )
    close = difflib.get_close_matches(ref, [layer.name for layer in layers], n=1, cutoff=0.3)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise SchemeError(f"layer {ref!r} does not exist in {model.name}{hint}")
