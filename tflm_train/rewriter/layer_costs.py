"""What training each layer of a model adds, measured by real rewrites."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tflm_train.errors import TflmTrainError
from tflm_train.model.layers import list_layers
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.scheme import Scheme, WeightUpdate
from tflm_train.scheme.presets import Preset, preset_scheme


@dataclass(frozen=True)
class AddedCost:
    """What training a layer costs beyond training the head alone.

    Attributes:
      ram_bytes: Of the smallest arena.
      flash_bytes: Of the model and the kernels that it needs.
      cycles: Of a training step, estimated.
    """

    ram_bytes: int
    flash_bytes: int
    cycles: int


@dataclass(frozen=True)
class LayerCosts:
    """What a layer adds.

    Attributes:
      biases: Where its biases train, with the head; null where they cannot.
      weights: Where its weights train as well.
    """

    biases: AddedCost | None
    weights: AddedCost | None


def measure_layers(trials: Trials, way: Way) -> dict[int, LayerCosts]:
    """Rewrites a model twice for each layer.

    Args:
      trials: Rewrites of the model.
      way: How its forward layers run.

    Returns:
      What each layer adds, by its number; empty where not even the head trains.
    """
    try:
        alone = preset_scheme(Preset.HEAD, trials.model)
        head = trials.costs(alone, way)
    except TflmTrainError:
        return {}

    def added(scheme: Scheme) -> AddedCost | None:
        try:
            costs = trials.costs(scheme, way)
        except TflmTrainError:
            return None
        return AddedCost(
            costs.arena_bytes - head.arena_bytes,
            costs.flash_bytes - head.flash_bytes,
            costs.cycles - head.cycles,
        )

    return {
        layer.index: LayerCosts(
            added(replace(alone, bias_layers=(*alone.bias_layers, layer.index))),
            added(replace(alone, weights=(WeightUpdate(layer.index),))),
        )
        for layer in list_layers(trials.model.graph)
    }
