"""What the commands about saved states share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tflm_train.cli import tables
from tflm_train.files import is_state, read_state, write_file
from tflm_train.runtime.state import StateBlob

MODEL_HELP = "the rewritten .tflite file that the state belongs to"


def load_blob(name: str) -> StateBlob:
    """Reads a saved state.

    Raises:
      DataError: The file cannot be read, or holds no state.
    """
    return StateBlob.parse(read_state(Path(name)), name)


def write_blob(path: Path, blob: StateBlob, arguments: argparse.Namespace) -> dict[str, Any]:
    """Writes a state and describes it; --force is the arguments'."""
    write_file(path, blob.pack(), is_state, arguments.force)
    return {"output": str(path), **header(blob)}


def header(blob: StateBlob) -> dict[str, Any]:
    """What a state says of itself."""
    return {
        "fingerprint": f"{blob.fingerprint:016x}",
        "step": blob.step,
        "seed": blob.seed,
        "bytes": len(blob.pack()),
    }


def show_with_variables(summary: dict[str, Any]) -> None:
    """Prints values line by line and, where there is one, the table of variables."""
    tables.show_mapping({k: v for k, v in summary.items() if k != "variables"})
    tables.show_records("variables", summary.get("variables", []))
