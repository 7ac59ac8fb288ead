"""Training that runs frozen layers once for each sample; the bits are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

import numpy.typing as npt

from tflm_train.data import Dataset
from tflm_train.data.split import sampled
from tflm_train.learning.frozen_once import FrozenOnce, OnLatent
from tflm_train.learning.latent_cache import LatentCache
from tflm_train.learning.rates import OnTrial, RateChoice, choose_rate
from tflm_train.runtime import training
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.schedule import DEFAULT_SCHEDULE
from tflm_train.runtime.training import Bench, TrainingOptions
from tflm_train.runtime.training_record import TrainingRecord


def train(
    interpreter: Interpreter,
    dataset: Dataset,
    *,
    learning_rate: float | None = None,
    cache: LatentCache | None = None,
    on_trial: OnTrial | None = None,
    on_rate: Callable[[RateChoice], None] | None = None,
    on_latent: OnLatent | None = None,
    **options: Unpack[TrainingOptions],
) -> TrainingRecord:
    """Trains a rewritten model as `runtime.training.train` does, to the same bits, faster.

    The interpreter has the trained state whenever `on_epoch` is called, and at the end.

    Args:
      interpreter: A rewritten model, in whatever state it is.
      dataset: The data.
      learning_rate: The largest of the run, in real units; None chooses it by short runs on a split
        of the training data (`rates.choose_rate`).
      on_trial: Told of the progress of that choice.
      on_rate: Told the choice.
      cache: Where latents are kept for other runs.
      on_latent: Told of the progress while latents are computed.
      **options: How to train.

    Raises:
      DataError: Data or arguments that do not fit the model.
    """

    def bench(
        whole: Interpreter,
        x: npt.NDArray[Any],
        x_val: npt.NDArray[Any],
        x_test: npt.NDArray[Any],
    ) -> Bench:
        once = FrozenOnce(whole, cache, on_latent)
        latents, latents_val, latents_test = once.inputs(x, x_val, x_test)
        return Bench(once.tail, latents, latents_val, latents_test, once.hand_back)

    def choose(on: Bench, y: npt.NDArray[Any], steps: int) -> float:
        choice = choose_rate(
            on.interpreter,
            on.x,
            y,
            steps=steps,
            groups=sampled(dataset, options.get("limit")).group_train,
            schedule=options.get("schedule", DEFAULT_SCHEDULE),
            seed=options.get("seed", 0),
            on_trial=on_trial,
        )
        if on_rate is not None:
            on_rate(choice)
        return choice.rate

    rate = choose if learning_rate is None else learning_rate
    return training.train(interpreter, dataset, learning_rate=rate, bench=bench, **options)
