"""One process, several, and Ray give the same; a killed worker costs its task only."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.networks import NETWORKS, load_network
from tflm_train.errors import RuntimeFailure, SchemeError
from tflm_train.learning.latent_cache import LatentCache
from tflm_train.scheme import Scheme, WeightUpdate
from tflm_train.search.fine_tune import FineTune, FineTuned, FineTuner, model_digest
from tflm_train.search.processes import Processes, _Worker
from tflm_train.search.ray_workers import LOCAL, RayWorkers
from tflm_train.search.split_data import split_data
from tflm_train.search.workers import InProcess

STEPS = 30


def make_tuner(folder: Path) -> FineTuner:
    model = load_network("ds_cnn")
    return FineTuner(model, split_data(NETWORKS["ds_cnn"].dataset(), model), LatentCache(folder))


def make_tasks(tuner: FineTuner, count: int = 3) -> list[FineTune]:
    model, data = model_digest(tuner.model), tuner.data.digest
    schemes = [Scheme(biases_last=k) for k in range(count)]
    return [
        FineTune(model, data, scheme, 0.01, STEPS, seed) for scheme in schemes for seed in (0, 1)
    ]


def untimed(results: list[FineTuned]) -> list[FineTuned]:
    return [dataclasses.replace(result, seconds=0.0) for result in results]


def test_processes(tmp_path: Path) -> None:
    tuner = make_tuner(tmp_path)
    tasks = make_tasks(tuner)
    expected = untimed(InProcess(tuner).run(tasks, lambda *_: None))
    assert len({result.loss for result in expected}) == len(tasks)
    workers = Processes(tuner, 2)
    killed: list[int] = []
    told: list[str] = []

    def on_done(task: FineTune, result: FineTuned) -> None:
        told.append(result.key)
        assert result.key == task.key
        if not killed:
            killed.extend(workers.pids)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    refused = dataclasses.replace(tasks[0], scheme=Scheme(weights=(WeightUpdate(99),)))
    try:
        assert untimed(workers.run(tasks, on_done)) == expected
        assert not set(killed) & set(workers.pids)
        with pytest.raises(SchemeError, match="layer 99 does not exist"):
            workers.run([refused], on_done)
    finally:
        workers.close()
    assert sorted(told) == sorted(task.key for task in tasks)
    assert workers.pids == []


def test_a_task_that_kills_its_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuner = make_tuner(tmp_path)
    workers = Processes(tuner, 1)

    class Mortal(_Worker):
        def take(self, *arguments: Any) -> None:
            super().take(*arguments)
            self.process.kill()

    monkeypatch.setattr("tflm_train.search.processes._Worker", Mortal)
    with pytest.raises(RuntimeFailure, match="3 processes died, one after the other, at Scheme"):
        workers.run(make_tasks(tuner, 1), lambda *_: None)
    assert workers.pids == []


def test_without_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RuntimeFailure, match=r"^--ray needs Ray: pip install 'tflm_train\[ray\]'$"):
        RayWorkers(make_tuner(tmp_path), LOCAL).run([], lambda *_: None)


def test_ray(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tuner = make_tuner(tmp_path)
    tasks = make_tasks(tuner)
    expected = untimed(InProcess(tuner).run(tasks, lambda *_: None))
    refused = dataclasses.replace(tasks[0], scheme=Scheme(weights=(WeightUpdate(99),)))
    workers = RayWorkers(tuner, LOCAL, 2)
    killed: list[int] = []

    def on_done(task: FineTune, result: FineTuned) -> None:
        assert result.key == task.key
        running = [] if killed else ray_workers()  # none where both are between two tasks
        if running:
            killed.append(max(running))
            os.kill(killed[0], signal.SIGKILL)

    try:
        assert untimed(workers.run(tasks, on_done)) == expected
        assert killed[0] not in ray_workers()
        with pytest.raises(SchemeError, match="layer 99 does not exist"):
            workers.run([refused], on_done)
    finally:
        workers.close()
    assert not ray_workers()
    assert capfd.readouterr().out == ""  # What Ray has to say of it does not go among results.


def ray_workers() -> list[int]:
    """Numbers of the processes that run tasks of ours."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(b"ray::_run"):
                found.append(int(path.parent.name))
    return found
