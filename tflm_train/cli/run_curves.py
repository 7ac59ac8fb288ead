"""What is drawn of a run, in pictures and on pages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tflm_train.cli.training_runs import FinishedRun, TrainingRuns
from tflm_train.runtime.metrics import ACCURACY

Line = list[tuple[float, float]]

_POINTS = 200
_FEWEST_STEPS = 8
"""The losses of single samples leap: a point is the mean of at least so many."""


@dataclass(frozen=True)
class Curves:
    """Lines over epochs; 1 is the end of the first.

    Attributes:
      losses: Mean losses of stretches of steps.
      other_losses: Likewise of the runs of other seeds.
      scores: By what they were measured on, of `score_title`.
      score_title: What the scores are.
      is_accuracy: Whether they are shares of samples, in percent.
      kept: The epoch that is kept, where not simply the last one.
    """

    losses: Line
    other_losses: list[Line]
    scores: dict[str, Line]
    score_title: str
    is_accuracy: bool
    kept: int | None

    @staticmethod
    def of(runs: TrainingRuns) -> Curves:
        """Those of the best run."""
        best = runs.best
        record = best.record
        is_accuracy = record.metric == ACCURACY
        factor = 100.0 if is_accuracy else 1.0
        last = len(record.epochs)
        scores = {
            "training": [(i, e.train_accuracy) for i, e in enumerate(record.epochs, start=1)],
            "validation": [
                (i, e.val_accuracy)
                for i, e in enumerate(record.epochs, start=1)
                if e.val_accuracy is not None
            ],
        }
        kept = None if record.best_epoch is None else record.best_epoch + 1
        scores["test"] = [(0, record.test_accuracy_before), (kept or last, record.test_accuracy)]
        return Curves(
            _losses(best),
            [_losses(run) for run in runs.finished if run is not best],
            {
                name: [(float(x), factor * y) for x, y in points]
                for name, points in scores.items()
                if points
            },
            "accuracy, %" if is_accuracy else "mean squared error",
            is_accuracy,
            kept,
        )


def _losses(run: FinishedRun) -> Line:
    losses, epochs = run.record.losses.astype(np.float64), len(run.record.epochs)
    count = min(_POINTS, max(2, len(losses) // _FEWEST_STEPS), len(losses))
    parts = np.array_split(losses, count)
    ends = np.cumsum([len(part) for part in parts])
    starts = ends - [len(part) for part in parts]
    middles = (starts + ends) / 2 * epochs / len(losses)
    return [
        (float(x), float(part.mean()))
        for x, part in zip(middles, parts, strict=True)
        if np.isfinite(part.mean())
    ]
