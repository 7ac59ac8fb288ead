"""What a model forgets when it adapts to new data, and how much of it replayed latents bring back.

    python -m benchmarks.forgetting [--only 0120 0173 phone_to_watch shoulder_left_arm] [--seeds 2]
        [--choose] [--json] [--save FILE]

A model trains on the field data of one group (a meter, a person), from the factory's weights, once
without and once with replay: after each new sample, stored ones of the factory's training data are
learned again. The store is that of the firmware in its Python twin: class-balancing reservoir
sampling of one pass through the factory's data, as many records as its size holds. Every step runs
in the TFLM interpreter, on latents. Accuracy on the group's own field test data and on the
factory's test data, in percent; means over groups weighted by their test samples, then over seeds
of order and sampling. "Brought back" is the share of the accuracy lost on the factory's test data.

The settings of each story are those of its grid with the largest sum of the two accuracies with 64
KB of replay, on a held-out part of the training data (`--choose` shows the grid): the last 30 % of
the factory's and of each group's samples. Test data choose nothing.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.cached_latents import KEPT
from benchmarks.report import Column, add_report_options, publish, show
from benchmarks.story_models import STORIES, factory_model, story
from tflm_train import Interpreter, Model, Scheme, load, rewrite
from tflm_train.learning.frozen_once import FrozenOnce
from tflm_train.runtime.latent_store import Replay, Reservoir
from tflm_train.runtime.training import learning_rate_at, model_inputs
from tflm_train.scheme import Loss, WeightUpdate

Array = npt.NDArray[Any]
SIZES_KB = (4, 16, 64, 256)
GOAL_KB = 64
GOAL = 2 / 3
RECORD_HEADER = 8
"""Bytes of a record in RAM beside its latent: domain and sizes, label."""
_HELD_OUT = 0.3
_SMOOTHED = Loss(label_smoothing=0.1)
_READER = Scheme(loss=_SMOOTHED)
_ACTIVITY = Scheme(biases_last=2, weights=(WeightUpdate(1), WeightUpdate(2)), loss=_SMOOTHED)


@dataclass(frozen=True)
class Settings:
    """How a story trains.

    Attributes:
        rate: of the first step, decaying linearly to 0.
        epochs: through the new samples.
        replayed: stored samples after each new one.
    """

    rate: float
    epochs: int
    replayed: int


@dataclass(frozen=True)
class Story:
    """Data, model, scheme, and the settings that `--choose` found."""

    name: str
    data: str
    model_file: str | None
    scheme: Scheme
    settings: Settings

    def model(self) -> Model:
        """The factory's model."""
        return load(STORIES / self.model_file) if self.model_file else factory_model(self.data)


CASES = (
    Story("0120", "meter_digits", "dig-class100-0120_s2_q.tflite", _READER, Settings(3e-3, 20, 4)),
    Story("0173", "meter_digits", "dig-class100-0173-s2-q.tflite", _READER, Settings(1e-3, 20, 1)),
    Story("phone_to_watch", "phone_to_watch", None, _ACTIVITY, Settings(1e-2, 20, 2)),
    Story("shoulder_left_arm", "shoulder_left_arm", None, _ACTIVITY, Settings(1e-2, 20, 4)),
)
GRID = tuple(
    Settings(*choice) for choice in itertools.product((1e-3, 3e-3, 1e-2), (20,), (1, 2, 4))
)


@dataclass(frozen=True)
class Samples:
    """Latents with labels, and the group that each belongs to."""

    x: Array
    y: Array
    group: Array

    def where(self, chosen: Array) -> Samples:
        """Some of them."""
        return Samples(self.x[chosen], self.y[chosen], self.group[chosen])


class Workshop:
    """A story's model with its data as latents.

    Args:
        case: the story.
    """

    def __init__(self, case: Story) -> None:
        data = story(case.data)
        whole = Interpreter(Model(rewrite(case.model(), case.scheme).model_bytes, case.name))
        once = FrozenOnce(whole, KEPT)
        parts = ("factory", "factory_test", "field_train", "field_test")
        given = [data[f"x_{part}"] for part in parts]
        floats = [x.astype(np.float32) for x in given]  # Pictures are fed as they are: 0 to 255.
        latents = once.inputs(*(model_inputs(whole, x, "x") for x in floats))
        groups = ("factory_group", "factory_group_test", "field_group_train", "field_group_test")
        self.factory, self.factory_test, self.field, self.field_test = (
            Samples(np.asarray(x), data[f"y_{part}"].astype(np.int64), data[group])
            for x, part, group in zip(latents, parts, groups, strict=True)
        )
        self.latent_bytes = int(self.factory.x[0].nbytes)
        self._tail = once.tail
        self._factory_state = once.tail.state()

    def records(self, size_kb: int) -> int:
        """How many latents a store of that size holds."""
        return size_kb * 1024 // (self.latent_bytes + RECORD_HEADER)

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
        kept, replay = self._store(old, size_kb, seed)
        total = settings.epochs * len(new.y)
        steps = itertools.count()
        for epoch in range(settings.epochs):
            for i in np.random.default_rng([seed, epoch]).permutation(len(new.y)):
                rate = learning_rate_at("linear", settings.rate, next(steps), total)
                self._tail.train_step(new.x[i], int(new.y[i]), rate)
                for _ in range(settings.replayed if kept else 0):
                    index = replay.draw()
                    assert index is not None
                    j = kept[index]
                    self._tail.train_step(old.x[j], int(old.y[j]), rate)

    def accuracy(self, samples: Samples) -> float:
        """In percent."""
        answers = [int(np.argmax(self._tail.infer(x))) for x in samples.x]
        return 100 * float(np.mean(np.array(answers) == samples.y))

    def _store(self, old: Samples, size_kb: int, seed: int) -> tuple[dict[int, int], Replay]:
        """Which of the old samples each record of a store holds, and its replay."""
        reservoir = Reservoir(max(1, self.records(size_kb)), seed)
        kept: dict[int, int] = {}
        order = np.random.default_rng([seed, 1 << 20]).permutation(len(old.y)) if size_kb else []
        for j in order:
            index = reservoir.add(int(old.y[j]))
            if index is not None:
                kept[index] = int(j)
        return kept, Replay(reservoir, seed)


def held_out(samples: Samples) -> tuple[Samples, Samples]:
    """The first part of each group's samples, and the rest."""
    first = np.zeros(len(samples.y), bool)
    for group in np.unique(samples.group):
        places = np.flatnonzero(samples.group == group)
        first[places[: round((1 - _HELD_OUT) * len(places))]] = True
    return samples.where(first), samples.where(~first)


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


def run(
    shop: Workshop, parts: Parts, settings: Settings, size_kb: int, seeds: Sequence[int]
) -> dict[str, float]:
    """Adapts to every group with every seed.

    Returns:
        `new`: accuracy on the group's test samples; `old`: on the factory's; both in percent.
    """
    rows, weights = [], []
    for seed in seeds:
        for new, new_test in parts.groups():
            shop.adapt(new, parts.old, settings, size_kb, seed)
            rows.append((shop.accuracy(new_test), shop.accuracy(parts.old_test)))
            weights.append(len(new_test.y))
    new_mean, old_mean = np.average(rows, axis=0, weights=weights)
    return {"new": float(new_mean), "old": float(old_mean)}


def before(shop: Workshop, parts: Parts) -> dict[str, float]:
    """The factory's model."""
    shop.forget()
    return {"new": shop.accuracy(parts.new_test), "old": shop.accuracy(parts.old_test)}


def measure(case: Story, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The table of a story.

    Returns:
        Rows: `story`, `store_kb` (None: before training, 0: without replay), `records`, `new`,
        `old`, `brought_back` (share).
    """
    shop = Workshop(case)
    parts = Parts(shop.factory, shop.factory_test, shop.field, shop.field_test)
    base = before(shop, parts)
    rows: list[dict[str, Any]] = [
        {"story": case.name, "store_kb": None, "records": None, **base, "brought_back": None}
    ]
    lost = 0.0
    for size_kb in (0, *SIZES_KB):
        found = run(shop, parts, case.settings, size_kb, seeds)
        lost = lost or base["old"] - found["old"]
        back = (found["old"] - base["old"] + lost) / lost if size_kb and lost > 0 else None
        records = min(shop.records(size_kb), len(parts.old.y))
        row = {"story": case.name, "store_kb": size_kb, "records": records, **found}
        rows.append({**row, "brought_back": back})
        print(row, file=sys.stderr, flush=True)
    return rows


def choose(case: Story, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The grid of a story on held-out training data, best first."""
    shop = Workshop(case)
    (old, old_test), (new, new_test) = held_out(shop.factory), held_out(shop.field)
    parts = Parts(old, old_test, new, new_test)
    rows = []
    for settings in GRID:
        found = run(shop, parts, settings, GOAL_KB, seeds)
        row = {"story": case.name, **vars(settings), **found, "sum": found["new"] + found["old"]}
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    return sorted(rows, key=lambda row: -row["sum"])


def passes(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether replay from the goal's store is worth it in a story."""
    by_size = {row["store_kb"]: row for row in rows}
    with_replay, without = by_size[GOAL_KB], by_size[0]
    back = with_replay["brought_back"]
    return (back is None or back >= GOAL) and with_replay["new"] >= without["new"]


def main() -> int:
    """The command line; exit status 1 where a story misses the goal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [case.name for case in CASES]
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, help="leave the rest out"
    )
    parser.add_argument("--seeds", type=int, default=2, help="how many (default: 2)")
    parser.add_argument("--choose", action="store_true", help="show the grid of settings instead")
    add_report_options(parser)
    arguments = parser.parse_args()
    cases = [case for case in CASES if case.name in arguments.only]
    work = choose if arguments.choose else measure
    tables = [work(case, range(arguments.seeds)) for case in cases]
    rows = [row for table in tables for row in table]
    publish("forgetting", {"rows": rows}, arguments)
    if not arguments.json:
        keys = [key for key in rows[0] if key not in ("new", "old", "brought_back", "sum")]
        shown = [Column(key.replace("_", " "), key) for key in keys]
        shown += [Column("new, %", "new", "{:.1f}"), Column("old, %", "old", "{:.1f}")]
        last = ("sum", "{:.1f}") if arguments.choose else ("brought_back", "{:.0%}")
        show("Forgetting", [*shown, Column(last[0].replace("_", " "), *last)], rows)
    return 0 if arguments.choose or all(map(passes, tables)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
