"""One fine-tune: a scheme, a rate, so many steps, scored on samples that did not train.

It is a pure function of inputs that are named by their content, so that its result can be computed
anywhere, kept on disk, and computed again if it is lost.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.data.dataset import TRAIN, VAL
from tflm_train.learning.frozen_once import FrozenOnce, OnLatent, fill_cache
from tflm_train.learning.latent_cache import LatentCache
from tflm_train.learning.rates import choose_rate
from tflm_train.model import Model
from tflm_train.rewriter.rewrite import rewrite
from tflm_train.runtime.host_library import LIBRARY
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import Metric, metric_for
from tflm_train.runtime.model_data import part_for
from tflm_train.runtime.schedule import DEFAULT_SCHEDULE, learning_rate_at
from tflm_train.runtime.training import Inputs, answers_of
from tflm_train.scheme import Scheme
from tflm_train.search.split_data import SplitData
from tflm_train.trained.merge import merge
from tflm_train.version import VERSION

_FORMAT = 2
"""Of the results; another one makes no use of results of this one."""
_KEPT = 2
"""Schemes whose models stay loaded: the next seed or rate finds them ready."""
_LAST_SHARE = 4
"""The loss is the mean over the last one in so many steps."""


def model_digest(model: Model) -> str:
    """Names a factory model by its content."""
    return hashlib.sha256(model.source).hexdigest()


@dataclass(frozen=True)
class FineTune:
    """A task.

    Attributes:
      model: Names the factory model (`model_digest`).
      data: Names the data as they are split (`SplitData.digest`).
      scheme: What trains.
      rate: The largest learning rate of the run (`DEFAULT_SCHEDULE`); None: chosen on the training
        samples (`learning.choose_rate`).
      steps: Training steps, one sample each.
      seed: Of the samples' order.
    """

    model: str
    data: str
    scheme: Scheme
    rate: float | None
    steps: int
    seed: int

    @property
    def key(self) -> str:
        """Names the task, and with it its result."""
        return self._key

    @functools.cached_property
    def _key(self) -> str:
        settings = dataclasses.asdict(self)
        settings["versions"] = [_FORMAT, *_versions()]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


@functools.cache
def _versions() -> tuple[str, ...]:
    """What else the bits of a result may depend on; other kernels may give others."""
    kernels = hashlib.sha256(LIBRARY.read_bytes()).hexdigest()
    return VERSION, importlib.metadata.version("tflite-micro"), kernels


@dataclass(frozen=True)
class FineTuned:
    """The result of a task.

    Attributes:
      key: The task's.
      rate: The largest learning rate of the run.
      score: Mean over the samples that choose: the share of right answers, or minus the mean
        squared error. More is better.
      scores: The same of each of these samples.
      error: Mean over these samples of how wrong the answers are (`Metric.error`), lower is better:
        it tells schemes apart that are right equally often.
      loss: Mean over the last quarter of the steps, each before its update: of samples that
        did not train yet, as long as there are no more steps than samples.
      metric: `accuracy` or `mean_squared_error`.
      seconds: How long it took.
    """

    key: str
    rate: float
    score: float
    scores: tuple[float, ...]
    error: float
    loss: float
    metric: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> FineTuned:
        """The result that `to_json` wrote.

        Raises:
          TypeError, KeyError: It did not.
        """
        return FineTuned(**(values | {"scores": tuple(values["scores"])}))


@dataclass
class FineTuner:
    """Runs tasks of one model on one set of data; models stay loaded for the next seed or rate.

    Attributes:
      model: The factory model.
      data: The data.
      cache: Where latents are kept.
    """

    model: Model
    data: SplitData
    cache: LatentCache | None = None

    def __post_init__(self) -> None:
        self._digest = model_digest(self.model)
        self._ready: OrderedDict[str, _Ready] = OrderedDict()

    def run(self, task: FineTune) -> FineTuned:
        """The task's result.

        Raises:
          SchemeError, UnsupportedError: The model cannot be rewritten so.
          DataError: The data do not fit the model.
          ValueError: The task is about another model or other data.
        """
        if (task.model, task.data) != (self._digest, self.data.digest):
            raise ValueError("the task is about another model or other data")
        started = time.perf_counter()
        ready = self._prepare(task.scheme)
        rate = task.rate
        if rate is None:
            interpreter = ready.interpreter
            interpreter.reset()
            chosen = choose_rate(interpreter, ready.x, ready.y, steps=task.steps, seed=task.seed)
            rate = chosen.rate
        losses = _train(ready, task, rate, task.steps)
        answers = answers_of(ready.interpreter, ready.x_select, ready.y_select)
        found = answers.scores if ready.metric.is_accuracy else -answers.scores
        return FineTuned(
            task.key,
            rate,
            float(found.mean()),
            tuple(found.tolist()),
            float(answers.errors.mean()),
            _last_loss(losses),
            ready.metric.name,
            time.perf_counter() - started,
        )

    def trained(self, task: FineTune) -> Model:
        """The inference model that a task with a rate ends with; see `run` for errors."""
        ready = self._prepare(task.scheme)
        _train(ready, task, task.rate or 0.0, task.steps)
        whole = rewrite(self.model, task.scheme).model_bytes
        return Model(merge(whole, ready.interpreter.state()), self.model.name)

    def fill_cache(self, schemes: Iterable[Scheme], on_latent: OnLatent | None = None) -> None:
        """Computes at once what frozen layers give under several schemes, for runs to come.

        Args:
          schemes: One for each place where a frozen part ends.
          on_latent: Told of the progress.
        """
        if self.cache is None:
            return
        wholes = [_rewritten(self.model, scheme) for scheme in schemes]
        if wholes:
            x, x_select = (part_for(wholes[0], self.data.dataset, p)[0] for p in (TRAIN, VAL))
            fill_cache(wholes, self.cache, x, x_select, on_latent=on_latent)

    def _prepare(self, scheme: Scheme) -> _Ready:
        name = repr(scheme)
        if name in self._ready:
            self._ready.move_to_end(name)
            return self._ready[name]
        while len(self._ready) >= _KEPT:
            self._ready.popitem(last=False)
        self._ready[name] = _prepared(self.model, self.data, scheme, self.cache)
        return self._ready[name]


def fine_tune(
    model: Model, data: SplitData, task: FineTune, cache: LatentCache | None = None
) -> FineTuned:
    """Runs one task; see `FineTuner.run`."""
    return FineTuner(model, data, cache).run(task)


@dataclass(frozen=True)
class _Ready:
    """A scheme's model and what it takes for each sample."""

    interpreter: Interpreter
    metric: Metric
    x: Inputs
    y: npt.NDArray[Any]
    x_select: Inputs
    y_select: npt.NDArray[Any]


def _prepared(model: Model, data: SplitData, scheme: Scheme, cache: LatentCache | None) -> _Ready:
    whole = _rewritten(model, scheme)
    (x, y), (x_select, y_select) = (part_for(whole, data.dataset, p) for p in (TRAIN, VAL))
    once = FrozenOnce(whole, cache)
    latents, latents_select = once.inputs(x, x_select)
    return _Ready(once.tail, metric_for(once.tail, y), latents, y, latents_select, y_select)


def _rewritten(model: Model, scheme: Scheme) -> Interpreter:
    return Interpreter(Model(rewrite(model, scheme).model_bytes, model.name))


def _last_loss(losses: npt.NDArray[np.float32]) -> float:
    return float(losses[-max(1, len(losses) // _LAST_SHARE) :].mean())


def _train(ready: _Ready, task: FineTune, largest: float, steps: int) -> npt.NDArray[np.float32]:
    """Trains from the factory state; the loss of each step before its update.

    Args:
      ready: The model and the samples.
      task: What it is for; its seed gives the order.
      largest: Learning rate.
      steps: How many there are.
    """
    interpreter, count = ready.interpreter, len(ready.y)
    interpreter.reset()
    losses = np.zeros(steps, np.float32)
    order = np.zeros(0, np.int64)
    for step in range(steps):
        if step % count == 0:
            order = np.random.default_rng([task.seed, step // count]).permutation(count)
        index = order[step % count]
        rate = learning_rate_at(DEFAULT_SCHEDULE, largest, step, steps)
        target = None if interpreter.learns_its_input else ready.y[index]
        losses[step] = interpreter.train_step(ready.x[index], target, rate)
    return losses
