"""What the commands about saved states share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tflm_train.files import read_input, write_file
from tflm_train.model import load
from tflm_train.model.kinds import is_state
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.trained.state import StateBlob, StateLayout
from tflm_train.trained.trainable_model import TrainableModel

MODEL_HELP = "the rewritten .tflite file that the state belongs to"


@dataclass(frozen=True)
class StateHeader:
    """What a state says of itself.

    Attributes:
      fingerprint: Of the model and scheme it belongs to; 16 hexadecimal digits.
      step: Training steps it has taken.
      seed: Of its stochastic rounding.
      bytes: Its size.
    """

    fingerprint: str
    step: int
    seed: int
    bytes: int


def header(blob: StateBlob) -> StateHeader:
    """The header of a state."""
    return StateHeader(f"{blob.fingerprint:016x}", blob.step, blob.seed, len(blob.pack()))


@dataclass(frozen=True, kw_only=True)
class WrittenState(StateHeader):
    """A state that a command wrote.

    Attributes:
      output: The file.
    """

    output: str


def load_blob(name: str) -> StateBlob:
    """Reads a saved state.

    Raises:
      DataError: The file cannot be read, or holds no state.
    """
    return StateBlob.parse(read_input(Path(name)), name)


def put_state(interpreter: Interpreter, name: str) -> None:
    """Puts a saved state into an interpreter.

    Raises:
      DataError: The file cannot be read, holds no state, or that of another model.
    """
    blob = load_blob(name)
    if interpreter.trainable is not None:  # Says more than the kernels, which know no file.
        StateLayout(interpreter.trainable).check(blob, name)
    interpreter.load_state(blob.pack())


def load_layout(name: str) -> StateLayout:
    """The layout of a rewritten model's states.

    Raises:
      ModelError: The file cannot be read, or is no rewritten model.
    """
    return StateLayout(TrainableModel.read(load(name)))


def write_blob(path: Path, blob: StateBlob, force: bool) -> WrittenState:
    """Writes a state; replaces what is no state only by `force`."""
    write_file(path, blob.pack(), is_state, force)
    return WrittenState(**vars(header(blob)), output=str(path))
