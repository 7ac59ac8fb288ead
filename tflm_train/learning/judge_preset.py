"""How well a preset learns from data: short runs, scored on samples they do not learn from.

They are those that `train` chooses its rate by: a preset is as good as it is at the best of the
rates tried. All presets see the same samples in runs of the same lengths.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tflm_train.errors import DataError
from tflm_train.learning.frozen_once import FrozenOnce, OnLatent
from tflm_train.learning.latent_cache import LatentCache
from tflm_train.learning.rates import OnTrial, choose_rate
from tflm_train.model import Model
from tflm_train.rewriter.choose_preset import Judge, JudgedPreset
from tflm_train.rewriter.trials import Way
from tflm_train.runtime.data import Dataset
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.model_data import model_inputs, targets
from tflm_train.runtime.training import default_epochs
from tflm_train.scheme import Scheme


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
      on_trial: Told of the progress of the short runs.
      on_latent: Told of the progress while latents are computed.
    """

    def judge(preset: str, scheme: Scheme, way: Way) -> JudgedPreset:
        rewritten = way.rewrite(model, dataclasses.replace(scheme, latent=False))
        whole = Interpreter(Model(rewritten.model_bytes, model.name))
        x = model_inputs(whole, data.x_train, "x_train")
        y, _ = targets(whole, data, x, x[:1], None)
        once = FrozenOnce(whole, cache, on_latent)
        (samples,) = once.inputs(x)
        steps = default_epochs(len(y)) * len(y)
        choice = choose_rate(once.tail, samples, y, steps=steps, on_trial=on_trial)
        held_out = [tried for tried in choice.tried if tried.is_held_out]
        best = min(held_out, key=lambda tried: tried.error)
        if not np.isfinite(best.error):
            raise DataError(f"preset {preset} diverges at all rates that were tried")
        return JudgedPreset(preset, best.rate, best.score, best.error)

    return judge
