"""Tasks in several processes of this machine, each with an interpreter of its own.

Workers are spawned, not forked, so that each loads TFLM for itself. A worker that dies, or is
killed, costs the task that it was at; another one takes its place and does that again.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection
from typing import Any

from tflm_train.errors import RuntimeFailure
from tflm_train.learning.frozen_once import OnLatent
from tflm_train.learning.latent_cache import LatentCache
from tflm_train.model import Model
from tflm_train.scheme import Scheme
from tflm_train.search.fine_tune import FineTune, FineTuned, FineTuner
from tflm_train.search.split_data import SplitData
from tflm_train.search.workers import OnDone

_MOST_DEATHS = 3
"""Workers that a task may cost; whatever takes more kills them itself."""
_Connection = Any
"""A `multiprocessing.connection.Connection`, which is generic for the type checker alone."""


@dataclass
class Processes:
    """Runs tasks in spawned processes.

    Attributes:
      tuner: What they run.
      count: How many there are at most.
    """

    tuner: FineTuner
    count: int
    _workers: list[_Worker] = field(default_factory=list)

    @property
    def pids(self) -> list[int]:
        """The numbers of the processes that run."""
        return [worker.pid for worker in self._workers]

    def run(self, tasks: Sequence[FineTune], on_done: OnDone) -> list[FineTuned]:
        """See `Workers`."""
        try:
            return self._run(tasks, on_done)
        except BaseException:
            self.close()  # Those that are at a task would answer too late.
            raise

    def _run(self, tasks: Sequence[FineTune], on_done: OnDone) -> list[FineTuned]:
        results: dict[int, FineTuned] = {}
        deaths = [0] * len(tasks)
        waiting = list(range(len(tasks)))
        while len(results) < len(tasks):
            self._hand_out(tasks, waiting)
            for worker in self._that_answer():
                index = worker.index
                answer = worker.answer()
                if answer is None:
                    self._workers.remove(worker)
                    worker.end()
                    deaths[index] += 1
                    _check_deaths(deaths[index], tasks[index])
                    waiting.insert(0, index)
                    continue
                if isinstance(answer, BaseException):
                    raise answer
                results[index] = answer
                on_done(tasks[index], answer)
        return [results[index] for index in range(len(tasks))]

    def prepare(self, schemes: Iterable[Scheme], on_latent: OnLatent) -> None:
        """See `Workers`."""
        self.tuner.fill_cache(schemes, on_latent)

    def close(self) -> None:
        """See `Workers`."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _hand_out(self, tasks: Sequence[FineTune], waiting: list[int]) -> None:
        """Gives each worker without a task one, and starts workers as long as some are wanted."""
        idle = [worker for worker in self._workers if worker.index < 0]
        while len(self._workers) < self.count and len(idle) < len(waiting):
            idle.append(_Worker.start(self.tuner))
            self._workers.append(idle[-1])
        for worker in idle:
            if not waiting:
                return
            held = [tasks[each.index].scheme for each in self._workers if each.index >= 0]
            worker.take(tasks, waiting, held)

    def _that_answer(self) -> list[_Worker]:
        busy = {worker.pipe: worker for worker in self._workers if worker.index >= 0}
        return [busy[pipe] for pipe in connection.wait(list(busy))]


def _check_deaths(count: int, task: FineTune) -> None:
    if count == _MOST_DEATHS:
        raise RuntimeFailure(
            f"{count} processes died, one after the other, at {task.scheme}; is there enough "
            "memory for that many workers?"
        )


@dataclass
class _Worker:
    """A process.

    Attributes:
      process: It.
      pipe: To it.
      index: Of the task that it is at; below 0 where there is none.
      scheme: Of its last task, whose model it has ready.
    """

    process: Any
    pipe: _Connection
    index: int = -1
    scheme: Any = None

    @classmethod
    def start(cls, tuner: FineTuner) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()  # So that its end is noticed.
        worker = cls(process, ours)
        with contextlib.suppress(OSError):  # Whether it died is seen when it does not answer.
            ours.send((tuner.model.source, tuner.model.name, tuner.data, tuner.cache))
        return worker

    @property
    def pid(self) -> int:
        return int(self.process.pid)

    def take(self, tasks: Sequence[FineTune], waiting: list[int], held: list[Any]) -> None:
        """Takes the waiting task that it is best prepared for: others may hold other schemes."""

        def cost(index: int) -> int:
            scheme = tasks[index].scheme
            return 0 if scheme == self.scheme else 1 if scheme not in held else 2

        self.index = min(waiting, key=cost)
        self.scheme = tasks[self.index].scheme
        waiting.remove(self.index)
        with contextlib.suppress(OSError):
            self.pipe.send(tasks[self.index])

    def answer(self) -> FineTuned | BaseException | None:
        """What it sent; None where it died."""
        self.index = -1
        try:
            found: FineTuned | BaseException = self.pipe.recv()
        except (EOFError, OSError):
            return None
        return found

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()  # It holds nothing that has to be put in order.
        self.process.join()
        self.process.close()


def _serve(pipe: _Connection) -> None:
    """The life of a worker: until the other end is closed, or its process has ended."""
    # Ctrl-C reaches all processes of a terminal; the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        source, name, data, cache = pipe.recv()
        tuner = _tuner(source, name, data, cache)
        while True:
            task = pipe.recv()
            try:
                answer: FineTuned | Exception = tuner.run(task)
            except Exception as error:
                answer = error
            pipe.send(answer)
    except (EOFError, OSError):
        os._exit(0)


def _tuner(source: bytes, name: str, data: SplitData, cache: LatentCache | None) -> FineTuner:
    return FineTuner(Model(source, name), data, cache)
