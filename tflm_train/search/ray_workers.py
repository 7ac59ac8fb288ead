"""Tasks on a Ray cluster, or on a Ray that is started here for them.

A task is a pure function of what its names stand for, so Ray may run it anywhere and again: a
worker that is killed costs the task that it was at.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tflm_train.errors import RuntimeFailure, TflmTrainError
from tflm_train.learning.frozen_once import OnLatent
from tflm_train.model import Model
from tflm_train.scheme import Scheme
from tflm_train.search.fine_tune import FineTune, FineTuned, FineTuner
from tflm_train.search.workers import OnDone

LOCAL = "local"
"""Instead of an address: a Ray of one's own, on this machine."""
_RETRIES = 3


@dataclass
class RayWorkers:
    """Runs tasks on a cluster, one on each CPU of it.

    Attributes:
      tuner: What the tasks are about; it is sent once to each process that asks for it.
      address: `host:port` of the cluster's head, `auto`, or `LOCAL`.
      count: How many processes a local one may have; None: one for each core.
    """

    tuner: FineTuner
    address: str
    count: int | None = None
    _ray: Any = None
    _sent: Any = None
    _function: Any = field(default=None)

    def run(self, tasks: Sequence[FineTune], on_done: OnDone) -> list[FineTuned]:
        """See `Workers`."""
        # Ray says on standard output which worker died.
        with contextlib.redirect_stdout(sys.stderr):
            self._start()
            return self._run(tasks, on_done)

    def _run(self, tasks: Sequence[FineTune], on_done: OnDone) -> list[FineTuned]:
        waiting = {self._function.remote([self._sent], task): i for i, task in enumerate(tasks)}
        results: dict[int, FineTuned] = {}
        try:
            while waiting:
                for reference in self._ray.wait(list(waiting), num_returns=1)[0]:
                    index = waiting.pop(reference)
                    results[index] = self._result(reference, tasks[index])
                    on_done(tasks[index], results[index])
        finally:
            for reference in waiting:
                self._ray.cancel(reference, force=True)
        return [results[index] for index in range(len(tasks))]

    def prepare(self, schemes: Iterable[Scheme], on_latent: OnLatent) -> None:
        """See `Workers`; elsewhere the processes have folders of their own, and fill them."""
        if self.address == LOCAL:
            self.tuner.fill_cache(schemes, on_latent)

    def close(self) -> None:
        """See `Workers`."""
        if self._ray is not None:
            self._ray.shutdown()
            self._ray = self._sent = self._function = None

    def _start(self) -> None:
        if self._ray is not None:
            return
        ray = _ray()
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address == LOCAL:
            options |= {"num_cpus": self.count, "include_dashboard": False}
        else:
            options["address"] = self.address
        try:
            ray.init(**options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise RuntimeFailure(f"--ray {self.address}: {error}") from error
        self._ray = ray
        tuner = self.tuner
        self._sent = ray.put((tuner.model.source, tuner.model.name, tuner.data, tuner.cache))
        self._function = ray.remote(num_cpus=1, max_retries=_RETRIES)(_run)

    def _result(self, reference: Any, task: FineTune) -> FineTuned:
        try:
            found: FineTuned = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, TflmTrainError):
                raise error.cause from error
            raise
        except self._ray.exceptions.RayError as error:
            raise RuntimeFailure(f"--ray {self.address}: {task.scheme} failed: {error}") from error
        return found


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise RuntimeFailure("--ray needs Ray: pip install 'tflm_train[ray]'") from error
    return ray


@functools.lru_cache(maxsize=1)
def _tuner_of(model: str, data: str, holder: _Sent) -> FineTuner:
    """The process's tuner for a model and data, whose names stand for their content."""
    source, name, split, cache = holder.fetch()
    return FineTuner(Model(source, name), split, cache)


@dataclass(frozen=True)
class _Sent:
    """A reference that is fetched when it is needed; any is as good as another one."""

    reference: Any = field(hash=False, compare=False)

    def fetch(self) -> Any:
        return _ray().get(self.reference)


def _run(sent: list[Any], task: FineTune) -> FineTuned:
    """One task, in a process of the cluster; what is in a list is not fetched for each of them."""
    return _tuner_of(task.model, task.data, _Sent(sent[0])).run(task)
