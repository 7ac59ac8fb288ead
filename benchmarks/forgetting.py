"""What a model forgets when it adapts to new data, and how much of it replayed latents bring back.

    python -m benchmarks.forgetting [--only 0120 0173 phone_to_watch shoulder_left_arm] [--seeds 2]
        [--choose] [--json] [--save FILE]

A model trains on the field data of one group (a meter, a person), from the factory's weights, once
without and once with replay: after each new sample, stored ones of the factory's training data are
learned again. The target of a stored sample is its label, or what the factory's model answered
("dark experience replay": Buzzega et al., NeurIPS 2020); a record then holds a latent and the
probability of each class in 255ths. The store is that of the firmware in its Python twin:
class-balancing reservoir sampling of one pass through the factory's data, as many records as its
size holds. In the target of a new sample too a share may be what the model answered before it began
to adapt ("learning without forgetting": Li and Hoiem, ECCV 2016), which takes no memory. Every step
runs in the TFLM interpreter, on latents. Accuracy on the group's own field test data and on the
factory's test data, in percent; means over groups weighted by their test samples, then over seeds
of order and sampling. "Brought back" is the share of the accuracy lost on the factory's test data.

Settings are chosen on held-out training data (`--choose` shows the grid): 30 % of each group's new
samples (of movement whole recordings, and where a class has one only its end: windows overlap), and
of the factory's the last 30 % of its meters or persons. The rate is the one with the largest
accuracy on the new data without replay, as somebody without old data would choose it. With 64 KB of
replay it stays; of the settings that bring two thirds back, those with the largest accuracy on the
new data. Test data choose nothing.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.cached_latents import KEPT
from benchmarks.held_out import Samples, held_out, held_out_groups, held_out_recordings
from benchmarks.report import Column, add_report_options, publish, show
from benchmarks.story_models import STORIES, factory_model, recordings, story
from tflm_train import Interpreter, Model, Scheme, load, rewrite
from tflm_train.learning.frozen_once import FrozenOnce
from tflm_train.runtime.latent_store import Replay, Reservoir
from tflm_train.runtime.training import learning_rate_at, model_inputs
from tflm_train.scheme import Loss, WeightUpdate

Array = npt.NDArray[Any]
SIZES_KB = (4, 16, 64, 256)
GOAL_KB = 64
GOAL = 2 / 3
RECORD_HEADER = 4
LABEL_BYTES = 4
"""Bytes of a record in RAM beside its latent: the domain; a label."""
_SMOOTHING = 0.1  # of the new samples' labels
_LOSS = Loss(target="probabilities")
_READER = Scheme(loss=_LOSS)
_ACTIVITY = Scheme(biases_last=2, weights=(WeightUpdate(1), WeightUpdate(2)), loss=_LOSS)


@dataclass(frozen=True)
class Settings:
    """How a story trains.

    Attributes:
        rate: of the first step, decaying linearly to 0.
        replayed: stored samples after each new one.
        answers: whether stored samples have the factory model's answers as targets, not labels.
        old_answer: share of the factory model's answer in a new sample's target.
    """

    rate: float
    replayed: int
    answers: bool = False
    old_answer: float = 0.0


@dataclass(frozen=True)
class Story:
    """Data, model, scheme, and the settings that `--choose` found without and with replay."""

    name: str
    data: str
    model_file: str | None
    scheme: Scheme
    alone: Settings
    replayed: Settings

    def model(self) -> Model:
        """The factory's model."""
        return load(STORIES / self.model_file) if self.model_file else factory_model(self.data)


CASES = (
    Story(
        "0120",
        "meter_digits",
        "dig-class100-0120_s2_q.tflite",
        _READER,
        Settings(3e-2, 0),
        Settings(3e-2, 8, True, 0.3),
    ),
    Story(
        "0173",
        "meter_digits",
        "dig-class100-0173-s2-q.tflite",
        _READER,
        Settings(1e-2, 0),
        Settings(1e-2, 4, True, 0.3),
    ),
    Story(
        "phone_to_watch",
        "phone_to_watch",
        None,
        _ACTIVITY,
        Settings(1e-2, 0),
        Settings(1e-2, 1),
    ),
    Story(
        "shoulder_left_arm",
        "shoulder_left_arm",
        None,
        _ACTIVITY,
        Settings(3e-2, 0),
        Settings(3e-2, 2, True),
    ),
)
EPOCHS = 20
RATES = (3e-3, 1e-2, 3e-2)
REPLAYED = (1, 2, 4, 8)
TARGETS = ((False, 0.0), (True, 0.0), (True, 0.3))


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
        self.recordings = recordings(data["x_field_train"]) if is_movement else []
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
        kept, replay = self._store(old, self.records(size_kb, settings), seed)
        stored = old.target if settings.answers else self._smoothed(old.y)
        targets = new.target
        if settings.old_answer:
            answers = np.stack([self._probabilities(x) for x in new.x])
            targets = targets + np.float32(settings.old_answer) * (answers - targets)
        total = EPOCHS * len(new.y)
        steps = itertools.count()
        for epoch in range(EPOCHS):
            for i in np.random.default_rng([seed, epoch]).permutation(len(new.y)):
                rate = learning_rate_at("linear", settings.rate, next(steps), total)
                self._tail.train_step(new.x[i], targets[i], rate)
                for _ in range(settings.replayed if kept else 0):
                    index = replay.draw()
                    assert index is not None
                    j = kept[index]
                    self._tail.train_step(old.x[j], stored[j], rate)

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

    def _store(self, old: Samples, records: int, seed: int) -> tuple[dict[int, int], Replay]:
        """Which of the old samples each record of a store holds, and its replay."""
        reservoir = Reservoir(max(1, records), seed)
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
        settings = case.replayed if size_kb else case.alone
        found = run(shop, parts, settings, size_kb, seeds)
        lost = lost or base["old"] - found["old"]
        back = (found["old"] - base["old"] + lost) / lost if size_kb and lost > 0 else None
        records = min(shop.records(size_kb, settings), len(parts.old.y))
        row = {"story": case.name, "store_kb": size_kb, "records": records, **found}
        rows.append({**row, "brought_back": back})
        print(row, file=sys.stderr, flush=True)
    return rows


def choose(case: Story, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The grid of a story on held-out training data: without and with replay, the chosen first."""
    shop = Workshop(case)
    old, old_test = held_out_groups(shop.factory)
    if shop.recordings:
        new, new_test = held_out_recordings(shop.field, shop.recordings)
    else:
        new, new_test = held_out(shop.field)
    parts = Parts(old, old_test, new, new_test)
    base = before(shop, parts)["old"]

    def row_of(settings: Settings) -> dict[str, Any]:
        found = run(shop, parts, settings, GOAL_KB if settings.replayed else 0, seeds)
        row = {"story": case.name, **vars(settings), **found, "brought_back": None}
        print(row, file=sys.stderr, flush=True)
        return row

    alone = [row_of(Settings(rate, 0)) for rate in RATES]
    alone.sort(key=lambda row: (-row["new"], -row["old"]))
    rate, lost = alone[0]["rate"], base - alone[0]["old"]
    replayed = [row_of(Settings(rate, n, *one)) for n, one in itertools.product(REPLAYED, TARGETS)]
    for row in replayed:
        row["brought_back"] = (row["old"] - alone[0]["old"]) / lost
    return [*alone, *sorted(replayed, key=preference)]


def preference(row: dict[str, Any]) -> tuple[bool, float, float]:
    """Sorts settings with replay, the chosen one first."""
    return row["brought_back"] < GOAL, -row["new"], -row["old"]


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
        keys = [key for key in rows[0] if key not in ("new", "old", "brought_back")]
        shown = [Column(key.replace("_", " "), key) for key in keys]
        shown += [Column("new, %", "new", "{:.1f}"), Column("old, %", "old", "{:.1f}")]
        shown.append(Column("brought back", "brought_back", "{:.0%}"))
        show("Forgetting", shown, rows)
    return 0 if arguments.choose or all(map(passes, tables)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
