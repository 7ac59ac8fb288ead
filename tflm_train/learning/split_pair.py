"""Data for the tail of a model that `rewrite --split` has cut."""

from __future__ import annotations

import dataclasses
from typing import Any

from tflm_train.data import Dataset
from tflm_train.errors import DataError
from tflm_train.learning.frozen_once import OnLatent, Trunk
from tflm_train.learning.latent_cache import LatentCache
from tflm_train.model import Model
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.model_data import model_inputs


def check_pair(trunk: Model, tail: Model) -> None:
    """Sees that the tail takes what the trunk gives.

    Raises:
      DataError: It does not.
    """
    given, wanted = trunk.graph.outputs[0], tail.graph.inputs[0]
    same = (given.shape, given.type_name, given.scale, given.zero_point) == (
        wanted.shape,
        wanted.type_name,
        wanted.scale,
        wanted.zero_point,
    )
    if not same:
        raise DataError(
            f"{tail.name} does not take what {trunk.name} gives: output {given.name!r}, input "
            f"{wanted.name!r}; take both from one `rewrite --split`"
        )


def data_for_tail(
    trunk: Model,
    tail: Model,
    dataset: Dataset,
    *,
    cache: LatentCache | None = None,
    on_latent: OnLatent | None = None,
) -> Dataset:
    """Runs samples through the trunk.

    Args:
      trunk: Takes what the model in one piece takes.
      tail: Takes what the trunk gives.
      dataset: Samples for the trunk.
      cache: Where latents are kept for other runs.
      on_latent: Told of the progress.

    Returns:
      The same targets, with latents as samples.

    Raises:
      DataError: The samples do not fit the trunk, or the two models each other.
    """
    check_pair(trunk, tail)
    whole = Interpreter(trunk)
    inputs = {
        f"x_{name}": model_inputs(whole, part.x, f"x_{name}", dataset.normalization)
        for name, part in dataset.parts()
    }
    count = sum(map(len, inputs.values()))
    runner = Trunk(trunk, inputs["x_train"][:2], cache, on_latent)
    latents: dict[str, Any] = {name: runner.latents(x, count) for name, x in inputs.items()}
    return dataclasses.replace(dataset, **latents, normalization=None)
