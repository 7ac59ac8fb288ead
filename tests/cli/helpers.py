"""What the tests of the command line share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEME = "version: 1\nupdate:\n  biases: {last: 3}\n  weights: [{layer: 10}]\n"


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on standard output."""
        assert self.out.count("\n") == 1 and self.out.endswith("\n")
        return json.loads(self.out)


Run = Callable[..., Outcome]


def assert_refused(outcome: Outcome, *words: str) -> None:
    """One line on standard error, nothing on standard output, no traceback."""
    assert outcome.status != 0
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1 and outcome.err.startswith("tflm_train")
    assert "internal error" not in outcome.err and "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err


def listing(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}
