"""`search` with real fine-tunes ends the same: killed or not, by one process, several, or Ray."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.networks import FOLDER, NETWORKS
from tests.search.test_workers import ray_workers
from tflm_train.cli.main import execute, parse
from tflm_train.scheme import Scheme
from tflm_train.search.plan import Plan

NETWORK = "mobilenet_v1"
PLAN = Plan(steps=20, seeds=1, depth=1, final_steps=20, finalists=2, final_seeds=2)
"""A search makes it by how fast its machine is; from then on it lies beside the results."""
_POLL = 0.005
_LATE = 0.5
"""Seconds."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The field's digits, fewer of them."""
    digits = NETWORKS[NETWORK].dataset()
    assert isinstance(digits.x_train, np.ndarray) and isinstance(digits.x_test, np.ndarray)
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(
        path,
        x_train=digits.x_train[:120],
        y_train=digits.y_train[:120],
        x_test=digits.x_test[:40],
        y_test=digits.y_test[:40],
    )
    return path


def words(data: Path, folder: Path, workers: int = 1) -> list[str]:
    return [
        "search", str(FOLDER / f"{NETWORK}.tflite"), "--data", str(data), "--budget", "12KB",
        "--minutes", "1", "--workers", str(workers), "--cache", str(folder / "cache"),
        "-o", str(folder / "found.yaml"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a search that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tflm_train.cli.search.make_plan", lambda *_: PLAN)
        assert execute(parse(["tflm_train", *words(data, folder)])) == 0
    assert Scheme.load(folder / "found.yaml")
    yield folder


@pytest.fixture
def planned(whole: Path, tmp_path: Path) -> Path:
    """Where the same search has its plan, and no results."""
    (tmp_path / "cache").mkdir()
    for path in (whole / "cache").glob("*.search_plan"):
        shutil.copy(path, tmp_path / "cache")
    return tmp_path


def start(data: Path, folder: Path, *more: str, workers: int = 1) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tflm_train", *words(data, folder, workers), *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def results(folder: Path) -> int:
    return len(list((folder / "cache").glob("*.fine_tuned")))


def text(folder: Path) -> str:
    return (folder / "found.yaml").read_text(encoding="utf-8")


def test_killed_at_any_point(data: Path, whole: Path, planned: Path) -> None:
    """Three times, by turns with one process and with two workers; the last run ends the same."""
    rng = random.Random(14)
    count = results(whole)
    for point, workers in zip(sorted(rng.sample(range(count), 3)), (2, 1, 2), strict=True):
        process = start(data, planned, workers=workers)
        while results(planned) < point and process.poll() is None:
            time.sleep(_POLL)
        time.sleep(rng.uniform(0, _LATE))  # At whatever it is by then.
        process.send_signal(signal.SIGKILL)
        process.wait()
        (planned / "found.yaml").unlink(missing_ok=True)  # A busy machine kills late.
    assert 0 < results(planned) <= count
    assert start(data, planned, workers=2).wait() == 0
    assert text(planned) == text(whole)
    assert results(planned) == count


def test_ray_with_a_killed_worker(data: Path, whole: Path, planned: Path) -> None:
    process = start(data, planned, "--ray", "local", workers=2)
    killed: list[int] = []

    def kill_one() -> None:
        while process.poll() is None and not killed:
            if results(planned) > 2 and (at_work := ray_workers()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(at_work[0], signal.SIGKILL)
                    killed.append(at_work[0])
            time.sleep(_POLL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    assert process.wait() == 0
    killer.join()
    assert killed
    assert text(planned) == text(whole)
