"""Checkpoints that are damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tflm_train.errors import DataError
from tflm_train.runtime.checkpoint import Checkpoint, RunOptions, is_checkpoint
from tflm_train.runtime.training_record import EpochRecord, WeightSteps

SOME = Checkpoint(
    RunOptions("data", 2, "linear", 1, 3, "best"), 0.1, 0.5, (EpochRecord(0.5, 0.5, 0.1),),
    np.ones(4, np.float32), WeightSteps(1, 2, 3), b"state", b"best",
)  # fmt: skip


def _changed(path: Path, about: str) -> Path:
    """A file with something else in it about the run."""
    text = np.frombuffer(about.encode(), np.uint8)
    states = {name: np.zeros(5, np.uint8) for name in ("state", "best_state")}
    np.savez(path, checkpoint=text, losses=SOME.losses, **states)  # type: ignore[arg-type]
    return path


@pytest.fixture
def about(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "whole.npz"
    path.write_bytes(SOME.to_bytes())
    assert Checkpoint.load(path).to_bytes() == SOME.to_bytes()
    with np.load(path) as arrays:
        found: dict[str, Any] = json.loads(arrays["checkpoint"].tobytes())
    return found


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 10**400},
        {"learning_rate": "0.1"},
        {"options": [1]},
        {"epochs": [{"loss": "x"}]},
        {"epochs": 3},
        {"weight_steps": {"steps": 1, "limited": 1, "vanished": None}},
    ],
    ids=str,
)
def test_another_kind_of_value(tmp_path: Path, about: dict[str, Any], change: Any) -> None:
    path = _changed(tmp_path / "c.npz", json.dumps(about | change))
    with pytest.raises(DataError, match=r"damaged checkpoint; leave out --resume$"):
        Checkpoint.load(path)


def test_too_deep(tmp_path: Path) -> None:
    path = _changed(tmp_path / "c.npz", "[" * 50_000)
    with pytest.raises(DataError, match="damaged checkpoint"):
        Checkpoint.load(path)


def test_an_archive_of_another_version_is_no_checkpoint() -> None:
    data = SOME.to_bytes()
    assert is_checkpoint(data)
    changed = bytearray(data)
    changed[data.index(b"PK\x01\x02") + 6] = 88  # of the first member: what can read it
    assert not is_checkpoint(bytes(changed))
