"""What a search chooses from: how many last biases, and how much of which layers' weights.

A choice trains the biases of the last k layers below the head, and of some of these layers the
weights as well, whole or a share of their input channels. Weights are only chosen where the biases
of all layers behind them train: contributions are measured so, and gradients pass there anyway.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from tflm_train.errors import SchemeError, UnsupportedError
from tflm_train.model import Model
from tflm_train.model.layers import Layer, list_layers
from tflm_train.rewriter.choose_variables import why_not_in_part
from tflm_train.scheme import Scheme, WeightUpdate, resolve
from tflm_train.scheme.gradient_path import gradient_path
from tflm_train.scheme.head import KEPT_HEAD, Head
from tflm_train.scheme.presets import Preset, ordinary_loss, preset_scheme
from tflm_train.scheme.resolve import feeding_layers

RATIOS = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""Shares of a layer's input channels, as in the paper."""
_ALIGNMENT = 16
Item = tuple[int, float]
"""The weights of a layer (its index) at a ratio."""


@dataclass(frozen=True, order=True)
class Choice:
    """What trains besides the head.

    Attributes:
      depth: The biases of so many last layers below the head, and of no others.
      weights: Layers whose weights train, each with its ratio; ascending.
    """

    depth: int = 0
    weights: tuple[Item, ...] = ()

    def contains(self, other: Choice) -> bool:
        """Whether this trains all that another one does, in the same way.

        A whole layer does not contain a part of it: it runs in other operators, and may take less.
        """
        mine = dict(self.weights)
        return self.depth >= other.depth and all(
            layer in mine and is_at_least(mine[layer], ratio) for layer, ratio in other.weights
        )

    def distance(self, other: Choice) -> int:
        """In how many layers' weights or biases they differ."""
        mine, others = dict(self.weights), dict(other.weights)
        differing = sum(mine.get(x) != others.get(x) for x in mine.keys() | others.keys())
        return abs(self.depth - other.depth) + differing


def is_at_least(ratio: float, other: float) -> bool:
    """Whether a part of a layer contains another part; the whole is in a class of its own."""
    return ratio == other if 1.0 in (ratio, other) else ratio >= other


@dataclass(frozen=True)
class Space:
    """All choices that a model has.

    Attributes:
      model: The model.
      base: What all schemes have in common: loss, head, output.
      layers: The layers below the head, the last one first; depth k is the first k of them.
      biases: Indices of those whose bias can train.
      ratios: For each layer whose weights can be chosen (its index) the ratios that differ.
      every_ratio: The same of all layers whose weights can train.
      depths: The numbers of last biases to choose from, ascending from 0.
    """

    model: Model
    base: Scheme
    layers: tuple[Layer, ...]
    biases: frozenset[int]
    ratios: Mapping[int, tuple[float, ...]]
    every_ratio: Mapping[int, tuple[float, ...]]
    depths: tuple[int, ...]

    @staticmethod
    def of(model: Model, head: Head = KEPT_HEAD, ratios: Iterable[float] = RATIOS) -> Space:
        """The choices of a model with some head.

        Raises:
          UnsupportedError: Nothing of the model can train.
        """
        ratios = tuple(ratios)
        try:
            base = preset_scheme(Preset.HEAD, model, head)
        except UnsupportedError:
            loss = ordinary_loss(model, head)
            base = Scheme(loss=loss, head=dataclasses.replace(head, train=False))
        base = dataclasses.replace(base, bias_layers=(), weights=())
        path, graph = gradient_path(model, 0, base.loss.name), model.graph
        layers = tuple(reversed(feeding_layers(model, 0)[:-1]))
        biases = frozenset(x.index for x in layers if path.why_not_bias(graph, x) is None)
        trainable = [x for x in layers if path.why_not_weights(graph, x) is None]
        usable = biases | {x.index for x in trainable}
        last = max((i + 1 for i, x in enumerate(layers) if x.index in usable), default=0)
        depths = [k for k in range(1, last + 1) if layers[k - 1].index in usable]
        if not depths and not base.head.train:
            raise UnsupportedError(f"{model.name}: no layer can train")
        different = {x.index: _different(x, ratios) for x in trainable}
        return Space(model, base, layers, biases, different, different, (0, *depths))

    @property
    def all_layers(self) -> list[Layer]:
        """All layers of the model."""
        return list_layers(self.model.graph)

    @cached_property
    def by_index(self) -> dict[int, Layer]:
        """The layers by their index."""
        return {layer.index: layer for layer in self.layers}

    @cached_property
    def depth_of(self) -> dict[int, int]:
        """By a layer's index the smallest depth that reaches it."""
        return {layer.index: k for k, layer in enumerate(self.layers, 1)}

    @cached_property
    def shared_inputs(self) -> frozenset[int]:
        """Layers whose input another one keeps already."""
        seen: set[int] = set()
        shared = set()
        for layer in self.layers:
            if layer.index in self.ratios:
                if id(layer.x) in seen:
                    shared.add(layer.index)
                seen.add(id(layer.x))
        return frozenset(shared)

    @property
    def items(self) -> list[Item]:
        """All layers' weights at all ratios."""
        return [(layer, ratio) for layer in self.ratios for ratio in self.ratios[layer]]

    def limited(self, depths: Iterable[int], items: Iterable[Item]) -> Space:
        """Only some of the choices."""
        wanted = set(items)
        ratios = {
            layer: tuple(r for r in own if (layer, r) in wanted)
            for layer, own in self.ratios.items()
        }
        kept = {layer: own for layer, own in ratios.items() if own}
        found = tuple(k for k in self.depths if k in set(depths) | {0})
        return dataclasses.replace(self, ratios=kept, depths=found)

    def allows(self, choice: Choice) -> bool:
        """Whether a choice is one of these."""
        return (
            choice.depth in self.depths
            and len({layer for layer, _ in choice.weights}) == len(choice.weights)
            and all(
                ratio in self.ratios.get(layer, ()) and self.depth_of[layer] <= choice.depth
                for layer, ratio in choice.weights
            )
        )

    def scheme(self, choice: Choice, residual_bits: int = 8) -> Scheme:
        """The scheme that a choice is; it names layers by their numbers."""
        reached = sorted(layer.index for layer in self.layers[: choice.depth])
        return dataclasses.replace(
            self.base,
            bias_layers=tuple(index for index in reached if index in self.biases),
            weights=tuple(WeightUpdate(layer, ratio) for layer, ratio in choice.weights),
            residual_bits=residual_bits,
        )

    def choice_of(self, scheme: Scheme) -> Choice | None:
        """The choice that a scheme is; None where it is not one of these."""
        try:
            plan = resolve(scheme, self.model)
        except SchemeError:
            return None
        head = plan.head.index
        weights = {i: update for i, update in plan.weights.items() if i != head}
        if any(update.channels is not None for update in weights.values()):
            return None
        depth = max((self.depth_of[i] for i in (plan.biases | set(weights)) - {head}), default=0)
        choice = Choice(depth, tuple(sorted((i, u.ratio) for i, u in weights.items())))
        reached = {layer.index for layer in self.layers[:depth]} & self.biases
        if plan.biases - {head} != reached or not self.allows(choice):
            return None
        return choice

    def trained_weights(self, item: Item) -> int:
        """How many weights train where a layer does at a ratio."""
        layer = self.by_index[item[0]]
        return layer.weights.size // layer.in_channels * _channels(layer, item[1])

    def kept_input(self, item: Item) -> int:
        """Bytes of its input that are kept for the backward pass, at least.

        A whole input also says where it was clamped: a mask of one bit an element is saved.
        """
        layer = self.by_index[item[0]]
        if item[1] == 1:
            return max(0, layer.x.size - layer.x.size // 8 - _ALIGNMENT)
        return layer.x.size // layer.in_channels * _channels(layer, item[1])


def _channels(layer: Layer, ratio: float) -> int:
    return max(1, int(ratio * layer.in_channels + 0.5))


def _different(layer: Layer, ratios: tuple[float, ...]) -> tuple[float, ...]:
    """The ratios that train different numbers of channels; of equal ones the largest."""
    if why_not_in_part(layer) is not None:
        return (1.0,)
    by_count = {_channels(layer, ratio): ratio for ratio in sorted(ratios)}
    return tuple(by_count.values())
