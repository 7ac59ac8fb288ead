"""What a contribution analysis compares: the parts of a model that may train.

The last k biases for each k, and of each layer the weights of an eighth, a quarter, half, and all
of its input channels, on top of the biases from that layer on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from tflm_train.model import Model
from tflm_train.model.layers import Layer
from tflm_train.rewriter.choose_variables import why_not_in_part
from tflm_train.scheme import Scheme, WeightUpdate
from tflm_train.scheme.gradient_path import gradient_path
from tflm_train.scheme.head import Head
from tflm_train.scheme.presets import Preset, preset_scheme
from tflm_train.scheme.resolve import feeding_layers

RATIOS = (0.125, 0.25, 0.5, 1.0)
"""Shares of a layer's input channels that are looked at."""


@dataclass(frozen=True)
class Candidate:
    """Something that may train.

    Attributes:
      scheme: What trains.
      last: Of the layers below the head, so many from the last on have a trained bias.
      layer: The layer whose weights train; None for biases alone.
      ratio: Share of its input channels; 0 for biases alone.
      work: What a step takes, relative to other candidates of the model.
    """

    scheme: Scheme
    last: int
    layer: int | None
    ratio: float
    work: int

    @property
    def key(self) -> tuple[int, float]:
        """Layer and share; a layer below 0 for biases alone."""
        return (-1 if self.layer is None else self.layer, self.ratio)


@dataclass(frozen=True)
class Candidates:
    """All that is compared.

    Attributes:
      head: The head alone.
      biases: For some numbers of layers, ascending, their biases.
      weights: Weights on top of biases, the last layer first.
    """

    head: Candidate
    biases: tuple[Candidate, ...]
    weights: tuple[Candidate, ...]

    def below(self, candidate: Candidate) -> Candidate:
        """What a candidate is compared with: the head alone, or the biases alone."""
        if candidate.layer is None:
            return self.head
        fewer = [biases for biases in self.biases if biases.last <= candidate.last]
        return fewer[-1] if fewer else self.head

    @property
    def all(self) -> tuple[Candidate, ...]:
        """Head, biases and weights."""
        return (self.head, *self.biases, *self.weights)


def list_candidates(model: Model, head: Head, depth: int | None = None) -> Candidates:
    """What of a model may train.

    Args:
      model: The factory model.
      head: What becomes of its last layer.
      depth: Look at so many layers below the head; None: at all.

    Raises:
      UnsupportedError: The head cannot train, nor can anything else.
    """
    base = preset_scheme(Preset.HEAD, model, head)
    layers = feeding_layers(model, 0)
    graph, path = model.graph, gradient_path(model, 0, base.loss.name)
    below = layers[:-1] if depth is None else layers[:-1][-depth:]
    biases: list[Candidate] = []
    weights: list[Candidate] = []
    work = layers[-1].macs
    alone = Candidate(base, 0, None, 0.0, work)
    trained: tuple[int, ...] = ()
    for last, layer in enumerate(reversed(below), start=1):
        work += layer.macs
        if path.why_not_bias(graph, layer) is None:
            trained = (layer.index, *trained)
            scheme = dataclasses.replace(base, bias_layers=trained)
            biases.append(Candidate(scheme, last, None, 0.0, work))
        if path.why_not_weights(graph, layer) is None:
            on_top = dataclasses.replace(base, bias_layers=trained)
            for ratio in _ratios(layer):
                scheme = dataclasses.replace(on_top, weights=(WeightUpdate(layer.index, ratio),))
                weights.append(Candidate(scheme, last, layer.index, ratio, work))
    return Candidates(alone, tuple(biases), tuple(weights))


def _ratios(layer: Layer) -> Sequence[float]:
    """Those that give different numbers of channels; the largest of equal ones."""
    if why_not_in_part(layer) is not None:
        return (1.0,)
    count = layer.in_channels
    by_kept = {max(1, int(ratio * count + 0.5)): ratio for ratio in RATIOS}
    return sorted(by_kept.values())
