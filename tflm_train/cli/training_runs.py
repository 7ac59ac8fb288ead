"""The runs of `train`, one for each seed: watched, logged, and the best one kept."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.progress import Progress

from tflm_train.cli import latents, shared, tables
from tflm_train.cli.also_evaluated import AlsoEvaluated, OtherData
from tflm_train.cli.kept_run import KeptRun
from tflm_train.cli.run_log import RunLog
from tflm_train.data import Dataset
from tflm_train.learning import LatentCache, RateChoice, train
from tflm_train.learning.frozen_once import OnLatent
from tflm_train.learning.split_pair import data_for_tail
from tflm_train.model import load
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import ACCURACY, metric_for
from tflm_train.runtime.schedule import PLATEAU
from tflm_train.runtime.training_record import EpochRecord, StepReport, TrainingRecord

AUTO = "auto"
"""The value of `--lr` for a rate that is chosen, of `--epochs` for a run that ends by itself."""


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A run that came to its end.

    Attributes:
      seed: Of the samples' order.
      record: What it reports.
      state: What it left of the weights.
      also: The data of --also-evaluate.
      log: The folder of --log.
    """

    seed: int
    record: TrainingRecord
    state: bytes
    also: tuple[AlsoEvaluated, ...] = ()
    log: str | None = None

    @property
    def validated(self) -> float | None:
        """The score on the samples for validation of the epoch that the state is of."""
        best = self.record.best_epoch
        return self.record.epochs[-1 if best is None else best].val_accuracy

    @property
    def quality(self) -> float:
        """More is better: on the samples for validation, else by the loss at the end."""
        if self.validated is None:
            loss = self.record.epochs[-1].loss
            return -loss if math.isfinite(loss) else -math.inf
        return self.validated if self.record.metric == ACCURACY else -self.validated


@dataclass
class TrainingRuns:
    """The runs of one command.

    Attributes:
      interpreter: The model, in the state that every run begins with.
      dataset: What it takes, through the trunk if there is one.
      arguments: Of the command line.
      seeds: One for each run.
      kept: What is kept of a single run while it goes on, and of the best one of several.
      on_begin: Called before the first step.
      finished: So far.
      choice: The learning rate that was chosen.
    """

    interpreter: Interpreter
    dataset: Dataset
    arguments: argparse.Namespace
    seeds: tuple[int, ...]
    kept: KeptRun
    on_begin: Callable[[], None]
    finished: list[FinishedRun] = field(default_factory=list)
    choice: RateChoice | None = None

    @property
    def best(self) -> FinishedRun:
        """The first one that did best."""
        return max(self.finished, key=lambda run: run.quality)

    def all(self) -> None:
        """Trains with a progress bar and, where tables are wanted, a line after each epoch.

        The model has the state of the best run then.
        """
        quiet, cache = self.arguments.json, LatentCache.of_user(self.arguments.cache)
        trunk = load(self.arguments.trunk) if self.arguments.trunk else None
        with shared.progress(quiet) as progress:
            on_latent = latents.frozen_layers(progress, quiet)
            others = OtherData.of(self.arguments, self.interpreter, trunk, cache, on_latent)
            dataset = self.dataset
            if trunk is not None:
                dataset = data_for_tail(
                    trunk, self.interpreter.model, dataset, cache=cache, on_latent=on_latent
                )
            start = self.interpreter.state()
            for seed in self.seeds:
                if self.finished:
                    self.interpreter.reset()
                    self.interpreter.load_state(start)
                watched = _Watched(self, seed, progress, cache, on_latent)
                record = watched.train(dataset)
                self.finished.append(
                    FinishedRun(
                        seed,
                        record,
                        self.interpreter.state(),
                        tuple(other.measured() for other in others),
                        watched.end_log(record),
                    )
                )
                if len(self.seeds) > 1 and not quiet:
                    progress.console.print(_seed_line(self.finished[-1]), soft_wrap=True)
        if len(self.seeds) > 1:
            self.interpreter.load_state(self.best.state)

    def save_interrupted(self) -> str | None:
        """Keeps what has been learnt so far.

        Returns:
          A sentence about it; None where nothing has been, or nothing is kept.
        """
        if len(self.seeds) > 1:
            if not self.finished or self.kept.path is None:
                return None
            self.interpreter.load_state(self.best.state)
            self.kept.save(self.interpreter)
            return (
                f"interrupted after {len(self.finished)} of {len(self.seeds)} runs; the state of "
                f"seed {self.best.seed}, the best, is in {self.kept.path}"
            )
        has_begun = self.choice is not None or self.arguments.lr is not None
        if not has_begun and not self.arguments.resume:  # It only tried rates.
            return None
        return self.kept.save_interrupted(self.interpreter)


class _Watched:
    """One run, with what is shown and written of it."""

    def __init__(
        self,
        runs: TrainingRuns,
        seed: int,
        progress: Progress,
        cache: LatentCache | None,
        on_latent: OnLatent,
    ) -> None:
        self._runs, self._seed, self._progress = runs, seed, progress
        self._cache, self._on_latent = cache, on_latent
        self._log: RunLog | None = None
        self._metric = metric_for(runs.interpreter, runs.dataset.y_train).name
        choosing = runs.choice is None and runs.arguments.lr is None
        self._trials = progress.add_task("learning rate", visible=choosing)
        self._task = progress.add_task("epoch 1", total=None)
        several = len(runs.seeds) > 1
        self._prefix = f"seed {seed}, " if several else ""
        # Of several runs only the best one is kept, and that is known at the end.
        self._kept = KeptRun(None, False, False) if several else runs.kept

    def train(self, dataset: Dataset) -> TrainingRecord:
        runs, asked = self._runs, self._runs.arguments
        record = train(
            runs.interpreter,
            dataset,
            cache=self._cache,
            on_latent=self._on_latent,
            epochs=None if asked.epochs == AUTO else asked.epochs,
            learning_rate=asked.lr if runs.choice is None else runs.choice.rate,
            on_trial=self._on_trial,
            on_rate=self._on_rate,
            schedule=PLATEAU if asked.epochs == AUTO else asked.schedule,
            patience=asked.patience,
            keep=asked.keep,
            on_begin=self._on_begin,
            seed=self._seed,
            on_step=self._on_step,
            on_epoch=self._on_epoch,
            on_checkpoint=self._kept.write_checkpoint if self._kept.path else None,
            resume=self._kept.resumed,
        )
        for task in (self._trials, self._task):
            self._progress.remove_task(task)
        return record

    def end_log(self, record: TrainingRecord) -> str | None:
        """Ends what --log writes; its folder."""
        if self._log is None:
            return None
        self._log.end(record.test_accuracy_before, record.test_accuracy, len(record.epochs))
        return str(self._log.folder)

    def _on_begin(self) -> None:
        runs = self._runs
        if runs.arguments.log is not None:
            self._log = RunLog.begin(
                runs.arguments.log,
                runs.arguments.model,
                self._seed,
                self._metric,
                len(runs.dataset.y_train),
            )
        if not runs.finished:
            runs.on_begin()

    def _on_trial(self, rate: float, step: int, steps: int) -> None:
        description = f"learning rate: trying {rate:g}"
        self._progress.update(self._trials, total=steps, completed=step, description=description)

    def _on_rate(self, choice: RateChoice) -> None:
        self._runs.choice = choice
        self._progress.update(self._trials, visible=False)
        if not self._runs.arguments.json:
            for line in _choice_lines(choice, self._metric):
                self._progress.console.print(line, soft_wrap=True)

    def _on_step(self, report: StepReport) -> None:
        self._progress.update(
            self._task,
            total=report.steps,
            completed=report.step,
            description=f"{self._prefix}epoch {report.epoch + 1}  loss {report.loss:.3f}  "
            f"{tables.score(self._metric, report.accuracy)}",
        )
        if self._log is not None:
            self._log.step(report)

    def _on_epoch(self, epoch: int, record: EpochRecord) -> None:
        self._kept.after_epoch(self._runs.interpreter, record, self._metric)
        if self._log is not None:
            self._log.epoch(epoch, record)
        if not self._runs.arguments.json:
            line = f"{self._prefix}{_epoch_line(epoch, record, self._metric)}"
            self._progress.console.print(line, soft_wrap=True)


def _choice_lines(choice: RateChoice, metric: str) -> list[str]:
    """What was tried: a line, and one for each rate."""
    steps = tables.counted(choice.steps, "step")
    lines = [
        f"learning rate {choice.rate:g}, chosen in {steps} of short runs (a mean of those with a "
        "held-out score, the best ones above all, a little more for a run of many epochs):"
    ]
    for tried in choice.tried:
        kind = "held-out" if tried.is_held_out else "training"
        line = f"  {tried.rate:<8g} {tried.steps:>5} steps, loss {tried.loss:.4f}, "
        line += f"{kind} {tables.score(metric, tried.score)}"
        lines.append(line)
    return lines


def _epoch_line(epoch: int, record: EpochRecord, metric: str) -> str:
    """One line about a finished epoch."""
    line = f"epoch {epoch + 1}: loss {record.loss:.4f}, "
    line += f"training {tables.score(metric, record.train_accuracy)}"
    if record.val_accuracy is not None:
        line += f", validation {tables.score(metric, record.val_accuracy)}"
    return line


def _seed_line(run: FinishedRun) -> str:
    """One line about a finished run of several."""
    metric = run.record.metric
    return f"seed {run.seed}: test {tables.score(metric, run.record.test_accuracy)}"
