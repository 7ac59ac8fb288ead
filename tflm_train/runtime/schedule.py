"""How a run goes on: its learning rates, how many epochs, and when it has seen enough."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tflm_train.runtime.training_record import best_of

SCHEDULES = ("warmup", "linear", "cosine", "constant", "plateau")
DEFAULT_SCHEDULE = "warmup"
PLATEAU = SCHEDULES[-1]
MOST_EPOCHS = 100
"""Of a run that ends by itself."""
_WARMUP_SHARE = 0.1
_FINAL_SHARE = 0.2
_FINAL_FACTOR = 0.1
_LEAST_EPOCHS, _USUAL_EPOCHS, _ENOUGH_STEPS = 3, 30, 3000
_IN_VAIN = 2
_FALL = 1.0 / 3.0
_FALLS = 3
_LEAST_RATE = float(np.finfo(np.float32).smallest_subnormal)
"""A rate of 0 would be an inference."""


def learning_rate_at(schedule: str, base: float, step: int, total: int) -> float:
    """The learning rate of one step.

    `warmup` rises to `base` for the first tenth, since the first gradients of a model that meets
    something new are its largest, and decays to 0 as `linear` does from the first step on; `cosine`
    decays more slowly at both ends. `constant` keeps `base` and takes a tenth of it for the last
    fifth, for runs that should end well without a decay. `plateau` keeps it; what it has fallen by
    (`plateau_factor`) follows from the epochs before.

    Args:
      schedule: One of `SCHEDULES`.
      base: The largest rate, above 0; of the first step, but for `warmup`.
      step: From 0.
      total: Steps of the whole run.

    Returns:
      At least the smallest 32-bit float, as `base` is.
    """
    progress, factor = step / total, 1.0
    if schedule == "warmup":
        factor = (1.0 - progress) * min(1.0, (step + 1) / (_WARMUP_SHARE * total))
    elif schedule == "linear":
        factor = 1.0 - progress
    elif schedule == "cosine":
        factor = 0.5 * (1.0 + math.cos(math.pi * progress))
    elif schedule == "constant" and progress >= 1.0 - _FINAL_SHARE:
        factor = _FINAL_FACTOR
    return max(base * factor, _LEAST_RATE)


def default_epochs(samples: int) -> int:
    """How often a run goes through its training samples where nobody says how often.

    It takes steps to learn, so few samples are seen more often: three times at least, thirty times
    at most, and about three thousand steps in between.
    """
    return min(_USUAL_EPOCHS, max(_LEAST_EPOCHS, -(-_ENOUGH_STEPS // samples)))


def plateau_factor(qualities: Sequence[float]) -> float | None:
    """By what the rate of a `plateau` run has fallen.

    It falls to a third whenever two epochs in succession were no better than the best one before,
    and the run ends where it would fall for the third time.

    Args:
      qualities: Of the epochs so far, on the samples for validation; more is better.

    Returns:
      The factor for the next epoch; None where the run is over.
    """
    best, in_vain, falls = -math.inf, 0, 0
    for quality in qualities:
        in_vain = 0 if quality > best else in_vain + 1
        best = max(best, quality)
        if in_vain == _IN_VAIN:
            in_vain, falls = 0, falls + 1
    return None if falls >= _FALLS else _FALL**falls


def epochs_in_vain(qualities: Sequence[float]) -> int:
    """How many epochs have passed since the best one."""
    return len(qualities) - 1 - best_of(qualities) if qualities else 0
