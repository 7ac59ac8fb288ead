"""A scheme applied to a model: the exact set of biases and weights that train."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from tflm_train.errors import SchemeError
from tflm_train.graph import Graph, Op
from tflm_train.model.layers import Layer, ancestors, has_bias, list_layers, uses_of
from tflm_train.model.model import Model
from tflm_train.ops.npu import ETHOS_U
from tflm_train.scheme.gradient_path import gradient_path
from tflm_train.scheme.npu_head import why_no_features, with_npu_head
from tflm_train.scheme.scheme import ALL, LayerRef, Scheme, WeightUpdate


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
      left_out: Layers that `all` would name but that cannot train, with the reason.
      uses: Of each layer that trains and runs several times the indices of all of its uses; the
        last one that feeds the output is the one that `biases` and `weights` name.
    """

    layers: tuple[Layer, ...]
    head: Layer
    biases: frozenset[int]
    weights: dict[int, WeightUpdate]
    scheme: Scheme
    output: int = 0
    left_out: tuple[tuple[Layer, str], ...] = ()
    uses: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

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
            self.left_out,
            {moved[i]: tuple(moved[use] for use in uses) for i, uses in self.uses.items()},
        )

    @property
    def trained(self) -> list[Layer]:
        """Layers of which anything trains, in execution order."""
        indices = sorted(layer.index for uses in self.trained_uses for layer in uses)
        return [self.layers[index] for index in indices]

    @property
    def trained_uses(self) -> list[list[Layer]]:
        """The same, the uses of each together."""
        wanted = self.biases | self.weights.keys()
        found = (self.uses.get(index, (index,)) for index in wanted)
        return [[self.layers[use] for use in uses] for uses in sorted(found)]


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
    output = find_output(scheme.output, model)
    model = with_npu_head(model, output, scheme.head)
    layers = list_layers(model.graph)
    candidates = feeding_layers(model, output)
    _require_model(scheme, layers, model)
    head = candidates[-1]
    updates, bias_layers, left_out = _named(scheme, candidates, layers, model, output)
    named = {*updates, *(layer.index for layer in bias_layers)}
    if scheme.head.train:
        named.add(head.index)
    uses = {index: uses_of(layers, layers[index]) for index in named}
    feeding = {layer.index for layer in candidates}
    for index in sorted(named):
        if all(use.index not in feeding for use in uses[index]):
            raise SchemeError(
                f"{layers[index]} of {model.name} does not feed the trained output; leave it out"
            )
    if not named:
        raise SchemeError(
            "the scheme trains nothing: name layers under `update`, or train the head"
        )
    last = {i: max(u.index for u in uses[i] if u.index in feeding) for i in named}
    updates = _of_last_uses(updates, last, layers, model)
    if scheme.head.train:
        updates.setdefault(last[head.index], WeightUpdate(last[head.index]))
    biases = {last[layer.index] for layer in bias_layers}
    biases |= {last[i] for i in named if last[i] in updates and has_bias(uses[i])}
    several = {last[i]: tuple(u.index for u in uses[i]) for i in named if len(uses[i]) > 1}
    return UpdatePlan(
        tuple(layers), head, frozenset(biases), updates, scheme, output, tuple(left_out), several
    )


def _of_last_uses(
    updates: Mapping[int, WeightUpdate],
    last: Mapping[int, int],
    layers: list[Layer],
    model: Model,
) -> dict[int, WeightUpdate]:
    """What the scheme says of each layer, which it may have named by any of its uses.

    Args:
      updates: By the index that the scheme has.
      last: By each index that of the last use of the layer.
      layers: All layers.
      model: For messages.

    Raises:
      SchemeError: It says different things of two uses.
    """
    found: dict[int, WeightUpdate] = {}
    first: dict[int, int] = {}
    for index, update in updates.items():
        same = dataclasses.replace(update, layer=last[index])
        other = first.setdefault(last[index], index)
        if found.setdefault(last[index], same) != same:
            raise SchemeError(
                f"update.weights: {layers[index]} and layer {other} of {model.name} are one "
                "layer, which shares its weights; say the same of both, or name one"
            )
    return found


def feeding_layers(model: Model, output: int) -> list[Layer]:
    """The layers that feed an output, the head last.

    Raises:
      SchemeError: There are none.
    """
    feeding = ancestors(model.graph, model.graph.outputs[output])
    found = [layer for layer in list_layers(model.graph) if id(layer.op) in feeding]
    if not found and any(ETHOS_U.is_kind_of(op) for op in model.graph.ops):
        raise SchemeError(_why_not_on_npu(model, output))
    if not found:
        raise SchemeError(
            f"{model.name}: no CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED layer feeds its "
            f"output ({model.graph.outputs[output].name!r}); there is nothing to train"
        )
    return found


def _why_not_on_npu(model: Model, output: int) -> str:
    """Says of an output that only the NPU feeds it, and what to do."""
    reason = why_no_features(model.graph, output)
    instead = "put a fresh head behind it (`--classes N`), or "
    if reason is not None:
        instead = f"{reason} that a fresh head could take; "
    if list_layers(model.graph):
        instead += "train another output (`output: NUMBER` in a scheme), or "
    return (
        f"{model.name}: all of the layers of its output {model.graph.outputs[output].short_name!r} "
        f"run on the Ethos-U, where nothing trains; {instead}rewrite the model as it was before "
        "Vela, and compile the result with Vela"
    )


def _require_model(scheme: Scheme, layers: list[Layer], model: Model) -> None:
    wanted = scheme.model
    if wanted is None or wanted.matches(layers):
        return
    raise SchemeError(
        f"this scheme is for {wanted.name}, of {wanted.layers} layers; {model.name} is another "
        f"model, of {len(layers)}; for your model use `--preset light` (or another preset, which "
        "all fit any model)"
    )


def _named(
    scheme: Scheme, feeding: list[Layer], layers: list[Layer], model: Model, output: int
) -> tuple[dict[int, WeightUpdate], list[Layer], list[tuple[Layer, str]]]:
    """What the scheme says of the layers: weights, biases, and what `all` has to leave out.

    Args:
      scheme: The scheme.
      feeding: The layers that feed the trained output, the head last.
      layers: All layers.
      model: The model.
      output: Index of the trained output.
    """
    left_out: dict[int, str] = {}
    below = feeding[:-1]
    if ALL in (scheme.biases_last, scheme.weights):
        graph, path = model.graph, gradient_path(model, output, scheme.loss.name)
        apart = [layer for layer in below if not path.trains_with_another(graph, layer)]
    if scheme.weights == ALL:
        reasons = {layer.index: path.why_not_weights(graph, layer) for layer in apart}
        updates = {index: WeightUpdate(index) for index, why in reasons.items() if why is None}
        left_out |= {index: why for index, why in reasons.items() if why is not None}
    else:
        updates = _updates(scheme.weights, layers, model)
    if scheme.biases_last == ALL:
        having = [layer for layer in apart if layer.bias is not None]
        reasons = {layer.index: path.why_not_bias(graph, layer) for layer in having}
        biases = [layer for layer in having if reasons[layer.index] is None]
        left_out |= {index: why for index, why in reasons.items() if why is not None}
    else:
        biases = _last_biases(scheme.biases_last, feeding, model)
    for layer in biases:
        if layer.index in left_out:
            left_out[layer.index] = f"only its bias trains: {left_out[layer.index]}"
    for ref in scheme.bias_layers:
        layer = _find(ref, layers, model)
        if not has_bias(uses_of(layers, layer)):
            where = "" if layer.bias is None else " everywhere where it runs"
            raise SchemeError(
                f"update.biases.layers: {layer} of {model.name} has no bias{where}; leave it out, "
                "or train its weights"
            )
        biases.append(layer)
    return updates, biases, [(layers[index], left_out[index]) for index in sorted(left_out)]


def _updates(
    weights: tuple[WeightUpdate, ...], layers: list[Layer], model: Model
) -> dict[int, WeightUpdate]:
    updates: dict[int, WeightUpdate] = {}
    for update in weights:
        layer = _find(update.layer, layers, model)
        if layer.index in updates:
            raise SchemeError(f"update.weights: {layer} of {model.name} is named twice")
        updates[layer.index] = update
    return updates


def _last_biases(count: int, feeding: list[Layer], model: Model) -> list[Layer]:
    head, below = feeding[-1], feeding[:-1]
    if count > len(below):
        raise SchemeError(
            f"update.biases.last: {count} layers asked for, but {model.name} has {len(below)} "
            f"below its head (layer {head.index}); use at most {len(below)}, or `all`"
        )
    layers = list_layers(model.graph)
    return [layer for layer in below[len(below) - count :] if has_bias(uses_of(layers, layer))]


def find_output(ref: LayerRef, model: Model) -> int:
    """The index of the output that a scheme names.

    Raises:
      SchemeError: There is none.
    """
    outputs = model.graph.outputs
    if not outputs:
        raise SchemeError(f"{model.name}: the model has no output to train")
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
