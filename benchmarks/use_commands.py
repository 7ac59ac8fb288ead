"""Commands of `tflm_train`, as a user types them, and what they answer in JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def run_command(folder: Path, command: str) -> Any:
    """Runs a command in a folder.

    Args:
        folder: where its files are.
        command: what comes after `tflm_train`; `--json` is added.

    Returns:
        what it prints.

    Raises:
        RuntimeError: it refused; with its message.
    """
    words = [sys.executable, "-m", "tflm_train", *command.split(), "--json"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"tflm_train {command}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])
