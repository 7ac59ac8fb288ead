"""A model of a story that adapts to new data, with old samples learned again from a store."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.cached_latents import KEPT
from benchmarks.held_out import Samples
from benchmarks.story_models import STORIES, factory_model, story
from tflm_train import Interpreter, Model, Scheme, load
from tflm_train.data.overlaps import recordings_of
from tflm_train.learning.frozen_once import FrozenOnce
from tflm_train.rewriter import rewrite
from tflm_train.runtime.latent_store import Balance, Replay, Reservoir
from tflm_train.runtime.model_data import model_inputs
from tflm_train.runtime.schedule import learning_rate_at

Array = npt.NDArray[Any]
RECORD_HEADER = 4
LABEL_BYTES = 4
"""Bytes of a record in RAM beside its latent: the domain; a label."""
_SMOOTHING = 0.1  # of the new samples' labels


@dataclass(frozen=True)
class Settings:
    """How a story trains.

    Attributes:
        rate: of the first step, decaying linearly to 0.
        epochs: over the new samples.
        replayed: stored samples for each new one; 1/2: one after every second.
        balance: what has equal shares of the store and of the replay.
        answers: whether stored samples have the factory model's answers as targets, not labels.
        old_answer: share of the factory model's answer in a new sample's target.
        fading: whether replay falls with the rate, to none at the last step.
    """

    rate: float
    epochs: int
    replayed: float = 0
    balance: Balance = Balance.CLASSES
    answers: bool = False
    old_answer: float = 0.0
    fading: bool = False


@dataclass(frozen=True)
class Story:
    """Data, model, scheme, and the settings that `--choose` found without and with replay."""

    name: str
    data: str
    model_file: str | None
    scheme: Scheme
    alone: Settings
    replayed: Settings

    def model(self, without: int | None = None) -> Model:
        """The factory's model.

        Args:
            without: made without the groups of the factory's data that are held out in this fold,
                where it is ours to make.
        """
        if self.model_file:
            return load(STORIES / self.model_file)
        return factory_model(self.data, without)


class Workshop:
    """A story's model with its data as latents.

    Args:
        case: the story.
        without: of which model, see `Story.model`.
    """

    def __init__(self, case: Story, without: int | None = None) -> None:
        data = story(case.data)
        model = case.model(without)
        whole = Interpreter(Model(rewrite(model, case.scheme).model_bytes, case.name))
        once = FrozenOnce(whole, KEPT)
        parts = ("factory", "factory_test", "field_train", "field_test")
        given = [data[f"x_{part}"] for part in parts]
        floats = [x.astype(np.float32) for x in given]  # Pictures are fed as they are: 0 to 255.
        latents = once.inputs(*(model_inputs(whole, x, "x") for x in floats))
        groups = ("factory_group", "factory_group_test", "field_group_train", "field_group_test")
        self._tail = once.tail
        self._factory_state = once.tail.state()
        self.factory, self.factory_test, self.field, self.field_test = (
            Samples(np.asarray(x), y, self._smoothed(y), data[group])
            for x, y, group in zip(
                latents, (data[f"y_{part}"].astype(np.int64) for part in parts), groups, strict=True
            )
        )
        answers = np.stack([self._probabilities(x) for x in self.factory.x])
        stored = np.rint(255 * answers).astype(np.uint8)
        target = stored / stored.sum(axis=1, keepdims=True, dtype=np.float32)
        self.factory = replace(self.factory, target=target)
        is_movement = data["x_field_train"].shape[2] == 1
        self.recordings = recordings_of(data["x_field_train"]) if is_movement else []
        self._answer_bytes = int(stored[0].nbytes)

    def records(self, size_kb: int, settings: Settings) -> int:
        """How many latents a store of that size holds."""
        target = self._answer_bytes if settings.answers else LABEL_BYTES
        return int(size_kb * 1024 // (RECORD_HEADER + self.factory.x[0].nbytes + target))

    def forget(self) -> None:
        """Back to the factory's weights."""
        self._tail.load_state(self._factory_state)

    def adapt(
        self, new: Samples, old: Samples, settings: Settings, size_kb: int, seed: int
    ) -> None:
        """Trains from the factory's weights.

        Args:
            new: field samples.
            old: factory samples that the store is offered, in an order of the seed.
            settings: how.
            size_kb: of the store; 0: without replay.
            seed: of orders and sampling.
        """
        self.forget()
        kept, replay = self._store(old, size_kb, settings, seed)
        stored = old.target if settings.answers else self._smoothed(old.y)
        targets = new.target
        if settings.old_answer:
            answers = np.stack([self._probabilities(x) for x in new.x])
            targets = targets + np.float32(settings.old_answer) * (answers - targets)
        total = settings.epochs * len(new.y)
        steps = itertools.count()
        due = 0.0
        for epoch in range(settings.epochs):
            for i in np.random.default_rng([seed, epoch]).permutation(len(new.y)):
                step = next(steps)
                rate = learning_rate_at("linear", settings.rate, step, total)
                self._tail.train_step(new.x[i], targets[i], rate)
                if kept:
                    due += settings.replayed * (1 - step / total if settings.fading else 1)
                for _ in range(int(due)):
                    index = replay.draw()
                    assert index is not None
                    j = kept[index]
                    self._tail.train_step(old.x[j], stored[j], rate)
                due %= 1

    def accuracy(self, samples: Samples) -> float:
        """In percent."""
        answers = [int(np.argmax(self._tail.infer(x))) for x in samples.x]
        return 100 * float(np.mean(np.array(answers) == samples.y))

    def _smoothed(self, y: Array) -> Array:
        """Labels as probabilities of all classes, smoothed."""
        classes = self._tail.output().size
        target = np.full((len(y), classes), _SMOOTHING / classes, np.float32)
        target[np.arange(len(y)), y] += 1 - _SMOOTHING
        return target

    def _probabilities(self, x: Array) -> Array:
        """What the model as it stands answers."""
        output = self._tail.model.graph.outputs[0]
        answer = np.asarray(self._tail.infer(x), np.float32).reshape(-1)
        if output.type_name == "INT8":
            answer = (answer - output.zero_point) * output.scale
        odds = np.exp(answer - answer.max())
        return (odds / odds.sum()).astype(np.float32)

    def _store(
        self, old: Samples, size_kb: int, settings: Settings, seed: int
    ) -> tuple[dict[int, int], Replay]:
        """Which of the old samples each record of a store holds, and its replay."""
        records = self.records(size_kb, settings)
        reservoir = Reservoir(max(1, records), seed, settings.balance)
        kept: dict[int, int] = {}
        order = np.random.default_rng([seed, 1 << 20]).permutation(len(old.y)) if records else []
        for j in order:
            index = reservoir.add(int(old.y[j]))
            if index is not None:
                kept[index] = int(j)
        return kept, Replay(reservoir, seed)


@dataclass(frozen=True)
class Parts:
    """What is trained on and measured: test data, or held-out training data."""

    old: Samples
    old_test: Samples
    new: Samples
    new_test: Samples

    def groups(self) -> Iterator[tuple[Samples, Samples]]:
        """Training and test samples of each group."""
        for group in np.unique(self.new.group):
            yield (
                self.new.where(self.new.group == group),
                self.new_test.where(self.new_test.group == group),
            )


Fold = tuple[Workshop, Parts]


@dataclass(frozen=True)
class Run:
    """A model adapted once.

    Attributes:
        group: to what.
        weight: how many test samples that has.
        new: accuracy on them, in percent.
        old: accuracy on the factory's test data.
    """

    group: int
    seed: int
    weight: int
    new: float
    old: float


def run(folds: Sequence[Fold], settings: Settings, size_kb: int, seeds: Sequence[int]) -> list[Run]:
    """Adapts to every group with every seed, in every fold of the data."""
    runs = []
    for seed, (shop, parts) in itertools.product(seeds, folds):
        for new, new_test in parts.groups():
            shop.adapt(new, parts.old, settings, size_kb, seed)
            accuracies = shop.accuracy(new_test), shop.accuracy(parts.old_test)
            runs.append(Run(int(new.group[0]), seed, len(new_test.y), *accuracies))
    return runs


def mean(runs: Sequence[Run]) -> dict[str, float]:
    """`new` and `old`: the accuracies, weighted by test samples."""
    weights = [one.weight for one in runs]
    rows = [(one.new, one.old) for one in runs]
    new_mean, old_mean = np.average(rows, axis=0, weights=weights)
    return {"new": float(new_mean), "old": float(old_mean)}


def paired_errors(runs: Sequence[Run], without: Sequence[Run]) -> dict[str, float | None]:
    """Standard errors of the mean difference in `new` between two lists of equal groups and seeds.

    Returns:
        `seed_error`: how far other seeds move it. `group_error`: how far other groups (persons,
        meters) of the same kind would, seeds included. None where there is one only.
    """
    changes = np.array([one.new - other.new for one, other in zip(runs, without, strict=True)])
    weights = np.array([one.weight for one in runs], float)
    errors: dict[str, float | None] = {}
    for key in ("seed", "group"):
        of = np.array([getattr(one, key) for one in runs])
        kinds = np.unique(of)
        if len(kinds) == 1:
            errors[f"{key}_error"] = None
            continue
        means = np.array([np.average(changes[of == k], weights=weights[of == k]) for k in kinds])
        share = np.array([weights[of == k].sum() for k in kinds]) / weights.sum()
        spread = share * (means - share @ means)
        errors[f"{key}_error"] = float(np.sqrt(spread @ spread * len(kinds) / (len(kinds) - 1)))
    return errors


def before(folds: Sequence[Fold]) -> dict[str, float]:
    """The factory's model."""
    runs = []
    for shop, parts in folds:
        shop.forget()
        accuracies = shop.accuracy(parts.new_test), shop.accuracy(parts.old_test)
        runs.append(Run(0, 0, len(parts.new_test.y), *accuracies))
    return mean(runs)
