"""Latents of a task's data, kept under build/ between runs."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.tasks import CACHE
from tflm_train import Interpreter, Model
from tflm_train.data import Dataset, Samples
from tflm_train.learning import LatentCache
from tflm_train.learning.frozen_once import FrozenOnce
from tflm_train.learning.latent_cache import CACHE_VARIABLE
from tflm_train.runtime.model_data import model_inputs

KEPT = LatentCache.of_user(os.environ.get(CACHE_VARIABLE, str(CACHE)))


def latents_of(model: Model, x: Samples, name: str) -> npt.NDArray[Any]:
    """What the frozen layers of a rewritten model give for samples [n, ...]."""
    whole = Interpreter(model)
    return np.asarray(FrozenOnce(whole, KEPT).inputs(model_inputs(whole, x, name))[0])


def latent_dataset(model: Model, data: Dataset, limit: int | None = None) -> Dataset:
    """The data set that the tail of a rewritten model trains on, in the same order."""
    return Dataset(
        latents_of(model, data.x_train[:limit], "x_train"),
        data.y_train[:limit],
        latents_of(model, data.x_test[:limit], "x_test"),
        data.y_test[:limit],
        data.class_names,
    )
