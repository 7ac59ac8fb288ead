"""The best preset that fits a budget, for who names neither scheme nor preset.

The best is the one that trains most, which is a rule of thumb (`python -m benchmarks.presets`), but
for `full`: where depthwise layers train it learns less than `medium`. Where there are data, runs on
them judge those that fit, and one that trains less is taken where it is clearly better.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.errors import BudgetError, UnsupportedError
from tflm_train.model import Model
from tflm_train.records import sometimes
from tflm_train.rewriter.budget import refusal
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.give_up import Smaller, at_no_loss
from tflm_train.rewriter.optimize import Streaming
from tflm_train.rewriter.trials import OnTrial, Trials, Way, ignore_trial
from tflm_train.scheme import Scheme
from tflm_train.scheme.head import KEPT_HEAD, Head
from tflm_train.scheme.presets import Preset, preset_scheme

_CANDIDATES = tuple(preset for preset in Preset if preset is not Preset.FULL)
"""FULL is for who asks for it: with depthwise layers it learns less than MEDIUM does."""


@dataclass(frozen=True)
class PresetTrial:
    """A preset that was tried.

    Attributes:
      preset: Its name.
      residual_bits: With so many extra bits per weight.
      stream: How runs of layers ran.
      forward: How other layers ran.
      max_slowdown: The limit of the forward layers' time; null: none; 0: as fast as they can be.
      arena_bytes: The smallest arena that is enough.
      flash_bytes: The model's file and the kernels that it needs.
      step_ms: The estimated time of a training step, in milliseconds.
      fits: Whether all of it is within the budget.
    """

    preset: str
    residual_bits: int
    stream: str
    forward: str
    max_slowdown: float | None
    arena_bytes: int
    flash_bytes: int
    step_ms: float
    fits: bool

    @property
    def words(self) -> str:
        """The preset, and what makes it smaller or faster where that was needed."""
        words = [self.preset]
        if self.residual_bits != Scheme().residual_bits:
            words.append(f"residual_bits {self.residual_bits}")
        if self.max_slowdown is None:
            words.append("slower")
        elif self.stream == Streaming.OFF:
            words.append("builtin layers")
        elif not self.max_slowdown:
            words.append("the fastest layers")
        return " with ".join([words[0], " and ".join(words[1:])]) if words[1:] else words[0]


@dataclass(frozen=True)
class JudgedPreset:
    """How a preset did in runs on data.

    Attributes:
      preset: Its name.
      rate: The learning rate.
      score: Accuracy, or mean squared error, on samples that were not learnt from.
      error: Of the same samples, what presets are ranked by; lower is better.
    """

    preset: str
    rate: float
    score: float
    error: float


Judge = Callable[[str, Scheme, Way], tuple[JudgedPreset, npt.NDArray[Any]]]
"""Gives how a preset does, from its name, its scheme and how the forward layers run; and the errors
of the samples that judge, the same ones for all."""


@dataclass(frozen=True)
class PresetChoice:
    """The preset that was chosen.

    Attributes:
      preset: Its name.
      residual_bits: Extra bits per weight that fit.
      budget_bytes: The arena that it was to fit.
      tried: What was tried, in order.
      flash_budget: The flash that it was to fit.
      step_ms_budget: The time of a step that it was to fit, in milliseconds.
      judged: How those that fit did in runs on the data, where there were data.
    """

    preset: str
    residual_bits: int
    budget_bytes: int
    tried: tuple[PresetTrial, ...]
    flash_budget: int | None = sometimes()
    step_ms_budget: float | None = sometimes()
    judged: tuple[JudgedPreset, ...] | None = sometimes()


def choose_preset(
    model: Model,
    budget: Budget,
    way: Way,
    head: Head = KEPT_HEAD,
    residual_bits: int | None = None,
    latent: bool = False,
    on_trial: OnTrial = ignore_trial,
    judge: Judge | None = None,
) -> tuple[Smaller, PresetChoice]:
    """Takes the preset that trains most of those that fit, or the one that does best on data.

    Presets are tried from the least on; each as it is, then in the ways that cost no accuracy,
    until one of these fits. The first preset that fits in no way ends the search.

    Args:
      model: The model.
      budget: What it may cost; RAM is limited in any case.
      way: How the forward layers run where that fits.
      head: What becomes of the model's last layer.
      residual_bits: Extra bits per weight; None: as many as fit.
      latent: Whether the model shall train from latents as well.
      on_trial: Told of each rewrite once it is done.
      judge: Tells those that fit apart; None: there are no data.

    Returns:
      The scheme and how its forward layers run, and what was tried.

    Raises:
      BudgetError: None fits.
      UnsupportedError: Nothing of the model can train.
    """
    trials = Trials(model, on_trial)
    fitting: dict[Preset, Smaller] = {}
    tried: list[PresetTrial] = []
    settings: dict[str, Any] = {"latent": latent}
    if residual_bits is not None:
        settings["residual_bits"] = residual_bits
    schemes = _schemes(model, head, settings)
    for preset, scheme in schemes.items():
        found = None
        for smaller in at_no_loss(trials, scheme, way, budget):
            is_asked_for = residual_bits in (None, smaller.scheme.residual_bits)
            if is_asked_for and found is None:
                trial = _trial(trials, preset, smaller, budget)
                tried.append(trial)
                found = smaller if trial.fits else None
        if found is None:
            break
        fitting[preset] = found
    if not fitting:
        preset, scheme = next(iter(schemes.items()))
        raise BudgetError(refusal(trials, scheme, way, budget, f"preset {preset}"))
    judged = None
    preset = list(fitting)[-1]
    if judge is not None:
        runs = {each: judge(str(each), x.scheme, x.way) for each, x in fitting.items()}
        judged = tuple(one for one, _ in runs.values())
        preset = _best({each: errors for each, (_, errors) in runs.items()})
    flash = None if math.isinf(budget.flash) else int(budget.flash)
    step_ms = None if math.isinf(budget.step_ms) else budget.step_ms
    bits, arena = fitting[preset].scheme.residual_bits, int(budget.arena)
    choice = PresetChoice(str(preset), bits, arena, tuple(tried), flash, step_ms, judged)
    return fitting[preset], choice


def _best(errors: dict[Preset, npt.NDArray[Any]]) -> Preset:
    """The last one, which trains most, of those no worse than the best by a standard error."""
    best = min(errors, key=lambda each: float(np.mean(errors[each])))
    for preset in reversed(errors):
        worse = errors[preset] - errors[best]
        if np.mean(worse) <= np.std(worse) / math.sqrt(len(worse)):
            return preset
    return best


def _schemes(model: Model, head: Head, settings: Mapping[str, Any]) -> dict[Preset, Scheme]:
    """The presets that are possible and differ from the one before."""
    schemes: dict[Preset, Scheme] = {}
    for preset in _CANDIDATES:
        try:
            scheme = dataclasses.replace(preset_scheme(preset, model, head), **settings)
        except UnsupportedError:
            if preset is _CANDIDATES[-1] and not schemes:
                raise
            continue
        if scheme not in schemes.values():
            schemes[preset] = scheme
    return schemes


def _trial(trials: Trials, preset: Preset, smaller: Smaller, budget: Budget) -> PresetTrial:
    costs = trials.costs(smaller.scheme, smaller.way)
    return PresetTrial(
        preset=str(preset),
        residual_bits=smaller.scheme.residual_bits,
        stream=str(smaller.way.stream),
        forward=str(smaller.way.forward),
        max_slowdown=smaller.way.max_slowdown if smaller.way.max_slowdown < math.inf else None,
        arena_bytes=costs.arena_bytes,
        flash_bytes=costs.flash_bytes,
        step_ms=round(costs.step.milliseconds(budget.clock), 1),
        fits=budget.allows(budget.spent(costs)),
    )
