"""Data for the tail of a model that `rewrite --split` has cut."""

from __future__ import annotations

import dataclasses

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
    limit: int | None = None,
    cache: LatentCache | None = None,
    on_latent: OnLatent | None = None,
) -> Dataset:
    """Runs samples through the trunk.

    Args:
      trunk: Takes what the model in one piece takes.
      tail: Takes what the trunk gives.
      dataset: Samples for the trunk.
      limit: Use only the first so many training and test samples.
      cache: Where latents are kept for other runs.
      on_latent: Told of the progress.

    Returns:
      The same targets, with latents as samples.

    Raises:
      DataError: The samples do not fit the trunk, or the two models each other.
    """
    check_pair(trunk, tail)
    whole = Interpreter(trunk)
    parts = [
        model_inputs(whole, x[:limit], name)
        for x, name in ((dataset.x_train, "x_train"), (dataset.x_test, "x_test"))
    ]
    count = sum(map(len, parts))
    runner = Trunk(trunk, parts[0][:2], cache, on_latent)
    x_train, x_test = (runner.latents(x, count) for x in parts)
    return dataclasses.replace(
        dataset,
        x_train=x_train,
        y_train=dataset.y_train[:limit],
        x_test=x_test,
        y_test=dataset.y_test[:limit],
        group_train=None if dataset.group_train is None else dataset.group_train[:limit],
    )
