"""`train --log`: a table of the epochs, and what TensorBoard shows, while the run goes on."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tflm_train.cli.event_file import EventFile
from tflm_train.errors import TflmTrainError
from tflm_train.runtime.training_record import EpochRecord, StepReport

HEADINGS = ("epoch", "loss", "train_score", "val_score", "learning_rate")
_POINTS = 50
"""Of the running loss, in each epoch."""


@dataclass
class RunLog:
    """What is written of one run.

    Attributes:
      folder: A new one: `epochs.csv`, and a file of events.
      metric: What the scores are.
      samples: Training steps of an epoch.
    """

    folder: Path
    metric: str
    samples: int
    _events: EventFile = field(init=False)

    @staticmethod
    def begin(parent: str, model: str, seed: int, metric: str, samples: int) -> RunLog:
        """Makes a folder that no other run has.

        Args:
          parent: Where.
          model: The model's file.
          seed: Of the run.
          metric: What the scores are.
          samples: Training steps of an epoch.

        Raises:
          TflmTrainError: Nothing can be written there.
        """
        stem = f"{Path(model).stem}-{time.strftime('%Y%m%d-%H%M%S')}-seed{seed}"
        try:
            Path(parent).mkdir(parents=True, exist_ok=True)
            folder, count = Path(parent) / stem, 1
            while folder.exists():
                count += 1
                folder = Path(parent) / f"{stem}-{count}"
            folder.mkdir()
            return RunLog(folder, metric, samples)
        except OSError as error:
            raise _failed(Path(parent), error) from error

    def __post_init__(self) -> None:
        self._events = EventFile(self.folder)
        self._table(HEADINGS)

    def step(self, report: StepReport) -> None:
        """The running loss, now and then."""
        every = max(1, report.steps // _POINTS)
        if report.step % every == 0:
            self._scalars({"loss/running": report.loss}, report.epoch * self.samples + report.step)

    def epoch(self, index: int, record: EpochRecord) -> None:
        """A finished epoch, from 0."""
        scalars = {
            "loss/train": record.loss,
            f"{self.metric}/train": record.train_accuracy,
            "learning_rate": record.learning_rate,
        }
        if record.val_accuracy is not None:
            scalars[f"{self.metric}/validation"] = record.val_accuracy
        self._scalars(scalars, (index + 1) * self.samples)
        val = "" if record.val_accuracy is None else record.val_accuracy
        row = (index + 1, record.loss, record.train_accuracy, val, record.learning_rate)
        self._table(row)

    def end(self, before: float, after: float, epochs: int) -> None:
        """The test samples, before the first step and after the last one."""
        self._scalars({f"{self.metric}/test": before}, 0)
        self._scalars({f"{self.metric}/test": after}, epochs * self.samples)
        self._events.__exit__(None, None, None)

    def _scalars(self, values: dict[str, float], step: int) -> None:
        try:
            for tag, value in values.items():
                self._events.scalar(tag, value, step)
            self._events.flush()
        except OSError as error:
            raise _failed(self._events.path, error) from error

    def _table(self, row: Sequence[object]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(row)
        path = self.folder / "epochs.csv"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(text.getvalue())
        except OSError as error:
            raise _failed(path, error) from error


def _failed(path: Path, error: OSError) -> TflmTrainError:
    return TflmTrainError(f"{path}: the log cannot be written ({error.strerror})")
