"""`train --log`: a table of the epochs, and what TensorBoard shows, while the run goes on."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tflm_train.errors import TflmTrainError
from tflm_train.runtime.training_record import EpochRecord, StepReport

HEADINGS = ("epoch", "loss", "train_score", "val_score", "learning_rate")
_POINTS = 50
"""Of the running loss, in each epoch."""


@dataclass
class RunLog:
    """What is written of one run.

    Attributes:
      folder: A new one: `epochs.csv` and, where tensorboardX is installed, a file of events.
      metric: What the scores are.
      samples: Training steps of an epoch.
    """

    folder: Path
    metric: str
    samples: int
    _events: Any = field(init=False)

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
        self._events = _events_in(self.folder) if can_write_events() else None
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
        try:
            if self._events is not None:
                self._events.close()
        except OSError as error:
            raise _failed(self.folder, error) from error

    def _scalars(self, values: dict[str, float], step: int) -> None:
        if self._events is None:
            return
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        try:
            for tag, value in values.items():
                event = Event(wall_time=time.time(), step=step, summary=scalar(tag, value))
                self._events.write_event(event)
            self._events.flush()
        except OSError as error:
            raise _failed(self.folder, error) from error

    def _table(self, row: Sequence[object]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(row)
        path = self.folder / "epochs.csv"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(text.getvalue())
        except OSError as error:
            raise _failed(path, error) from error


def can_write_events() -> bool:
    """Whether the extra `log` is installed."""
    return find_spec("tensorboardX") is not None


def on_log(folder: str | None) -> list[str]:
    """What is to be said of --log before the first step."""
    if folder is None or can_write_events():
        return []
    return [
        "the log is epochs.csv alone: event files for TensorBoard need tensorboardX; "
        "pip install 'tflm_train[log]'"
    ]


def _events_in(folder: Path) -> Any:
    # SummaryWriter writes in a thread of its own: where the disk is full that thread ends unseen,
    # and the training waits for its queue without end.
    from tensorboardX.event_file_writer import EventsWriter

    # What begins with `s3:` or `gs:` would be no file.
    return EventsWriter(str(folder.resolve() / "events"))


def _failed(path: Path, error: OSError) -> TflmTrainError:
    return TflmTrainError(f"{path}: the log cannot be written ({error.strerror})")
