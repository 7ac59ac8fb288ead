"""What it takes to go on with a training that was broken off, to the same bits."""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.data.npz import DAMAGED, NpzFile
from tflm_train.errors import DataError
from tflm_train.records import from_plain, parse_json
from tflm_train.runtime.training_record import EpochRecord, WeightSteps

_VERSION = 2
_KEYS = ("checkpoint", "losses", "state", "best_state")


@dataclass(frozen=True)
class RunOptions:
    """What a run was asked for, besides its learning rate.

    Attributes:
      data: `data_digest` of what it trains on.
      epochs: How often it goes through the samples.
      schedule: Of the learning rate.
      seed: Of the samples' order.
      patience: After how many epochs in vain it ends; None for never.
      keep: Of which epoch the state at the end is.
    """

    data: str
    epochs: int
    schedule: str
    seed: int
    patience: int | None
    keep: str


def data_digest(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> str:
    """Names training data: equal where every input and target is.

    Args:
      x: Inputs as the model takes them.
      y: Targets.
    """
    digest = hashlib.sha256()
    for array in (x, y):
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run between two epochs.

    Attributes:
      options: What it was asked for.
      learning_rate: The largest of the run.
      test_accuracy_before: On the test samples before the first step.
      epochs: Those that are done.
      losses: float32 [steps], of the steps that are done.
      weight_steps: What became of their steps of single weights.
      state: What `Interpreter.state` gave.
      best_state: What it gave after the best epoch, where that is kept.
    """

    options: RunOptions
    learning_rate: float
    test_accuracy_before: float
    epochs: tuple[EpochRecord, ...]
    losses: npt.NDArray[np.float32]
    weight_steps: WeightSteps
    state: bytes
    best_state: bytes | None = None

    def require(self, options: RunOptions, learning_rate: float | None) -> None:
        """Refuses to go on with another run than the one that was broken off.

        Args:
          options: What is asked for now.
          learning_rate: Likewise; None where it is to be chosen.

        Raises:
          DataError: Something differs.
        """
        asked = asdict(options) | {"learning rate": learning_rate}
        had = asdict(self.options) | {"learning rate": self.learning_rate}
        if learning_rate is None:
            asked["learning rate"] = self.learning_rate
        for name, value in had.items():
            if asked[name] == value:
                continue
            if name == "data":
                raise DataError("the run that was broken off had other training data")
            raise DataError(
                f"the run that was broken off had {name} {value}, not {asked[name]}; give what it "
                "had, or begin anew"
            )

    def to_bytes(self) -> bytes:
        """The content of a checkpoint file."""
        about = {
            "version": _VERSION,
            "options": asdict(self.options),
            "learning_rate": self.learning_rate,
            "test_accuracy_before": self.test_accuracy_before,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "weight_steps": asdict(self.weight_steps),
        }
        stream = io.BytesIO()
        np.savez(
            stream,
            checkpoint=np.frombuffer(json.dumps(about).encode(), np.uint8),
            losses=self.losses,
            state=np.frombuffer(self.state, np.uint8),
            best_state=np.frombuffer(self.best_state or b"", np.uint8),
        )
        return stream.getvalue()

    @staticmethod
    def load(path: Path) -> Checkpoint:
        """Reads a checkpoint file.

        Raises:
          DataError: There is none, or it is damaged.
        """
        if not path.exists():
            raise DataError(f"{path}: there is no run to go on with; leave out --resume")
        with NpzFile(path) as file:
            if file.keys != {*_KEYS}:
                raise DataError(f"{path}: no checkpoint of a training")
            arrays = file.read(_KEYS)
        try:
            about = parse_json(arrays["checkpoint"].tobytes())
            if about["version"] != _VERSION:
                raise DataError(f"{path}: written by another version; leave out --resume")
            found = Checkpoint(
                from_plain(RunOptions, about["options"]),
                from_plain(float, about["learning_rate"]),
                from_plain(float, about["test_accuracy_before"]),
                from_plain(tuple[EpochRecord, ...], about["epochs"]),
                arrays["losses"].astype(np.float32),
                from_plain(WeightSteps, about["weight_steps"]),
                arrays["state"].astype(np.uint8).tobytes(),
                arrays["best_state"].astype(np.uint8).tobytes() or None,
            )
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path}: damaged checkpoint; leave out --resume") from error
        if not (0 < found.learning_rate < math.inf) or not found.epochs:
            raise DataError(f"{path}: damaged checkpoint; leave out --resume")
        return found


def is_checkpoint(data: bytes) -> bool:
    """Whether these bytes are a checkpoint of a training."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {*archive.namelist()} == {f"{key}.npy" for key in _KEYS}
    except DAMAGED:
        return False
