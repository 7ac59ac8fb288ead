"""What `train` keeps of a run on disk: its state, and what it takes to go on with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tflm_train.errors import DataError
from tflm_train.files import require_place, write_file
from tflm_train.model.kinds import is_state
from tflm_train.runtime.checkpoint import Checkpoint, is_checkpoint
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import ACCURACY
from tflm_train.runtime.training import LAST
from tflm_train.runtime.training_record import EpochRecord, kept_of


@dataclass
class KeptRun:
    """The files of a run.

    Attributes:
      path: Of the state; None where nothing is kept.
      is_best: Whether samples for validation choose the epoch (`kept_of`); else it is the last.
      force: Replace files that are not ours.
      resumed: Where the run goes on from.
      best_epoch: From 1, of those so far, where `is_best`.
    """

    path: Path | None
    is_best: bool
    force: bool
    resumed: Checkpoint | None = None
    best_epoch: int | None = None
    _epochs: list[EpochRecord] = field(default_factory=list)

    @staticmethod
    def of(path: str | None, keep: str | None, resume: bool, force: bool) -> KeptRun:
        """Looks at the places before the first step.

        Args:
          path: Of the state.
          keep: One of `KEEP`; None for the best where the run finds one.
          resume: Whether to go on with a run that was broken off.
          force: Replace files that are not ours.

        Raises:
          TflmTrainError: A place cannot be written to, or there is nothing to go on with.
        """
        if path is None:
            if resume:
                raise DataError("--resume needs --save-state, beside which it finds the run")
            return KeptRun(None, False, force)
        kept = KeptRun(Path(path), keep != LAST, force)
        require_place(Path(path), is_state, force)
        require_place(kept._checkpoint, is_checkpoint, force)
        if resume:
            kept.resumed = Checkpoint.load(kept._checkpoint)
            kept._epochs += kept.resumed.epochs
        return kept

    @property
    def warnings(self) -> list[str]:
        """What somebody may have overlooked; sentences."""
        if self.path is None or self.resumed is not None or not self._checkpoint.exists():
            return []
        return [
            f"{self._checkpoint} holds a run that was broken off; this one begins anew, --resume "
            "would go on with it"
        ]

    @property
    def _checkpoint(self) -> Path:
        return Path(f"{self.path}.checkpoint")

    def after_epoch(self, interpreter: Interpreter, record: EpochRecord, metric: str) -> None:
        """Keeps the state of the epoch to keep so far, where that is asked for.

        Args:
          interpreter: The model after the epoch.
          record: What it came to.
          metric: What its scores are.
        """
        if not self.is_best or self.path is None or record.val_accuracy is None:
            return
        self._epochs.append(record)
        best = kept_of(self._epochs, metric == ACCURACY)
        self.best_epoch = best + 1
        if best == len(self._epochs) - 1:
            self._write(interpreter)

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keeps what `--resume` needs."""
        write_file(self._checkpoint, checkpoint.to_bytes(), is_checkpoint, self.force)

    def save(self, interpreter: Interpreter) -> None:
        """Keeps the state at the end of the run; there is nothing to resume."""
        if self.path is None:
            return
        self._write(interpreter)
        self._checkpoint.unlink(missing_ok=True)

    def save_interrupted(self, interpreter: Interpreter) -> str | None:
        """Keeps what has been learnt so far, between two steps.

        Returns:
          A sentence about it; None where nothing has been, or nothing is kept.
        """
        if self.path is None or interpreter.step == 0:
            return None
        if self.best_epoch is None:
            self._write(interpreter)
            said = f"interrupted after {interpreter.step} steps; their state is in {self.path}"
        else:
            said = f"interrupted; the state of epoch {self.best_epoch} is in {self.path}"
        if self._checkpoint.exists():
            said += "; the same command with --resume goes on from the last whole epoch"
        return said

    def _write(self, interpreter: Interpreter) -> None:
        assert self.path is not None
        write_file(self.path, interpreter.state(), is_state, self.force)
