"""How well a preset learns from data: whole runs, scored on samples they do not learn from.

Short runs would prefer what learns fast. Each preset trains at a rate of its own (`rates`), as long
as `train` would, on parts of the training samples; all see the same samples in the same order.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.data import Dataset
from tflm_train.data.dataset import TRAIN
from tflm_train.learning.folds import folds_of
from tflm_train.learning.frozen_once import FrozenOnce, OnLatent
from tflm_train.learning.latent_cache import LatentCache
from tflm_train.learning.rates import OnTrial, choose_rate
from tflm_train.model import Model
from tflm_train.rewriter.choose_preset import Judge, JudgedPreset
from tflm_train.rewriter.trials import Way
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import metric_for
from tflm_train.runtime.model_data import part_for
from tflm_train.runtime.schedule import DEFAULT_SCHEDULE, default_epochs, learning_rate_at
from tflm_train.runtime.training import infer_one
from tflm_train.scheme import Scheme

Array = npt.NDArray[Any]
_FOLDS = 2
"""Of a small data set so many parts judge, one after the other."""


def judge_of(
    model: Model,
    data: Dataset,
    cache: LatentCache | None = None,
    on_trial: OnTrial | None = None,
    on_latent: OnLatent | None = None,
) -> Judge:
    """What tells presets of a model apart by data.

    Args:
      model: The factory model.
      data: The user's data; its training part is split, the test part is not looked at.
      cache: Where latents are kept.
      on_trial: Told of the progress of the runs.
      on_latent: Told of the progress while latents are computed.
    """

    def judge(preset: str, scheme: Scheme, way: Way) -> tuple[JudgedPreset, Array]:
        rewritten = way.rewrite(model, dataclasses.replace(scheme, latent=False))
        whole = Interpreter(Model(rewritten.model_bytes, model.name))
        x, y = part_for(whole, data, TRAIN)
        once = FrozenOnce(whole, cache, on_latent)
        (samples,) = once.inputs(x)
        steps = default_epochs(len(y)) * len(y)
        start = once.tail.state()
        groups = data.group_train
        rate = choose_rate(
            once.tail, samples, y, steps=steps, groups=groups, on_trial=on_trial
        ).rate
        metric = metric_for(once.tail, y)
        found = []
        for fold in folds_of(y, 0, groups)[:_FOLDS]:
            once.tail.load_state(start)
            for step, index in enumerate(_order(fold.train, steps)):
                target = None if once.tail.learns_its_input else y[index]
                now = learning_rate_at(DEFAULT_SCHEDULE, rate, step, steps)
                once.tail.train_step(samples[index], target, now)
                if on_trial is not None:
                    on_trial(rate, step + 1, steps)
            for index in fold.held_out:
                answer = infer_one(once.tail, samples[index])
                found.append((metric.score(answer, y[index]), metric.error(answer, y[index])))
        score, error = (float(value) for value in np.mean(found, axis=0))
        return JudgedPreset(preset, rate, score, error), np.array(found)[:, 1]

    return judge


def _order(samples: Array, steps: int) -> Array:
    """Indices of the samples of so many steps, epoch by epoch."""
    epochs = -(-steps // len(samples))
    orders = [np.random.default_rng([0, epoch]).permutation(samples) for epoch in range(epochs)]
    return np.concatenate(orders)[:steps]
