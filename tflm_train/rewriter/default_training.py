"""What training adds to inference where nobody chooses anything: as `rewrite` does it by itself."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from tflm_train.cost.estimate import step_cost
from tflm_train.cost.flash import flash_bytes
from tflm_train.memory import memory_report
from tflm_train.model import Model
from tflm_train.model.batch import one_sample
from tflm_train.rewriter.asked import Asked, settle
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.rewrite import original_of
from tflm_train.rewriter.trials import OnTrial, Way, ignore_trial


@dataclass(frozen=True)
class Added:
    """What training with a preset adds to inference.

    Attributes:
      preset: Its name.
      words: The name with what makes it smaller or faster, where that was needed.
      ram_bytes: Of the smallest arena.
      flash_bytes: Of the model's file, and the kernels that training needs.
      step_ms: By how much a training step takes longer than an inference, in milliseconds.
      fits: Whether it is within the budget.
    """

    preset: str
    words: str
    ram_bytes: int
    flash_bytes: int
    step_ms: float
    fits: bool


@dataclass(frozen=True)
class DefaultTraining:
    """What `rewrite` makes of a model without options.

    Attributes:
      budget_bytes: The arena that it is to fit.
      chosen: What it chooses.
      tried: What it tries, in order.
      warnings: What it warns of.
    """

    budget_bytes: int
    chosen: Added
    tried: tuple[Added, ...]
    warnings: tuple[str, ...]


def default_training(
    model: Model,
    way: Way,
    budget: Budget | None = None,
    on_trial: OnTrial = ignore_trial,
) -> DefaultTraining:
    """Rewrites a model as the command does without options.

    Args:
      model: The model.
      way: How its forward layers run.
      budget: What it may cost; None: the arena that `rewrite` takes by itself.
      on_trial: Told of each rewrite once it is done.

    Raises:
      BudgetError: Nothing fits.
      UnsupportedError: Nothing of the model can train.
    """
    original = original_of(model)
    budget = Budget() if budget is None else budget
    asked = Asked(budget=dataclasses.replace(budget, step_ms=math.inf), way=way)
    settled = settle(original, asked, on_trial)
    assert settled.chosen is not None
    result = settled.way.rewrite(original, settled.scheme)
    before = one_sample(model)
    ram = memory_report(before, way.kernels).minimum_bytes
    core = way.choice.timed_core
    flash = flash_bytes(len(model.source), before.graph.ops, core).total_bytes
    ms = step_cost(before.graph.ops, core, way.kernels).milliseconds(budget.clock)
    tried = tuple(
        Added(
            preset=trial.preset,
            words=trial.words,
            ram_bytes=trial.arena_bytes - ram,
            flash_bytes=trial.flash_bytes - flash,
            step_ms=round(trial.step_ms - ms, 3),
            fits=trial.fits,
        )
        for trial in settled.chosen.tried
    )
    *_, chosen = (each for each in tried if each.fits)
    warnings = tuple(result.report.warnings)
    return DefaultTraining(settled.chosen.budget_bytes, chosen, tried, warnings)
