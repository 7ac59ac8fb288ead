"""Training that runs frozen layers once for each sample; the bits are the same."""

from __future__ import annotations

from typing import Any, Unpack

import numpy.typing as npt

from tflm_train.learning.frozen_once import FrozenOnce, OnLatent
from tflm_train.learning.latent_cache import LatentCache
from tflm_train.runtime import training
from tflm_train.runtime.data import Dataset
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.training import Bench, TrainingOptions, TrainingRecord


def train(
    interpreter: Interpreter,
    dataset: Dataset,
    *,
    cache: LatentCache | None = None,
    on_latent: OnLatent | None = None,
    **options: Unpack[TrainingOptions],
) -> TrainingRecord:
    """Trains a rewritten model as `runtime.training.train` does, to the same bits, faster.

    The interpreter has the trained state whenever `on_epoch` is called, and at the end.

    Args:
      interpreter: A rewritten model, in whatever state it is.
      dataset: The data.
      cache: Where latents are kept for other runs.
      on_latent: Told of the progress while latents are computed.
      **options: How to train.

    Raises:
      DataError: Data or arguments that do not fit the model.
    """

    def bench(whole: Interpreter, x: npt.NDArray[Any], x_test: npt.NDArray[Any]) -> Bench:
        once = FrozenOnce(whole, cache, on_latent)
        latents, latents_test = once.inputs(x, x_test)
        return Bench(once.tail, latents, latents_test, once.hand_back)

    return training.train(interpreter, dataset, bench=bench, **options)
