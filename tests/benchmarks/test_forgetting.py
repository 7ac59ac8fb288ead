"""The benchmark of forgetting: what is held out, and when its goal is reached."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.adapting import Run, mean, paired_errors
from benchmarks.forgetting import GOAL_KB, margin, passes
from benchmarks.held_out import (
    Samples,
    folds_of,
    held_out,
    held_out_ends,
    held_out_groups,
    held_out_parts,
    held_out_recordings,
)
from tflm_train.data.overlaps import recordings_of


def test_each_sample_is_held_out_once() -> None:
    group = np.array([1, 2] * 10)
    samples = Samples(np.arange(20), np.arange(20) % 3, np.zeros((20, 3)), group)
    folds = [held_out(samples, fold, 3) for fold in range(3)]
    assert sorted(np.concatenate([rest.x for _, rest in folds])) == list(range(20))
    for first, rest in folds:
        assert sorted([*first.x, *rest.x]) == list(range(20))
        assert {int((rest.group == g).sum()) for g in (1, 2)} <= {3, 4}


def test_recordings_do_not_overlap() -> None:
    track = np.random.default_rng(0).normal(size=(3, 100, 2))
    windows = np.stack([one[i : i + 20] for one in track for i in range(0, 80, 5)])
    order = np.random.default_rng(1).permutation(len(windows))
    chains = recordings_of(windows[order])
    assert sorted(sorted(order[chain]) for chain in chains) == [
        list(range(i, i + 16)) for i in (0, 16, 32)
    ]
    assert all(list(order[chain]) == sorted(order[chain]) for chain in chains)
    y = np.array([0, 1, 1])[order // 16]
    samples = Samples(order, y, np.zeros((48, 2)), np.zeros(48))
    first, rest = held_out_recordings(samples, chains)
    assert set(first.x[first.y == 0]) == set(range(8))
    assert set(rest.x[rest.y == 0]) == set(range(11, 16))
    whole = set(range(16, 32)), set(range(32, 48))
    assert {frozenset(part.x[part.y == 1]) for part in (first, rest)} == set(map(frozenset, whole))
    ends, beginnings = held_out_ends(samples, chains)
    assert [set(part.x) for part in ends] == [set(first.x), set(rest.x)]
    assert set(beginnings[0].x[beginnings[0].y == 0]) == set(range(8, 16))
    assert set(beginnings[1].x[beginnings[1].y == 0]) == set(range(5))
    assert set(beginnings[1].x[beginnings[1].y == 1]) == set(first.x[first.y == 1])


def test_recordings_go_on_where_windows_were_left_out() -> None:
    track = np.random.default_rng(0).normal(size=(2, 100, 2))
    starts = [i for i in range(0, 80, 5) if i not in (20, 50, 55)]
    windows = np.stack([one[i : i + 20] for one in track for i in starts])
    order = np.random.default_rng(1).permutation(len(windows))
    chains = recordings_of(windows[order])
    assert sorted(list(order[chain]) for chain in chains) == [
        list(range(i, i + len(starts))) for i in (0, len(starts))
    ]


def test_another_recording_is_held_out() -> None:
    lengths = {0: 6, 1: 5, 2: 1}
    chain_of = np.repeat([*lengths], [*lengths.values()])
    y = np.array([0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 1, 1])
    samples = Samples(np.arange(12), y, np.zeros((12, 3)), np.zeros(12, int))
    chains = [[int(i) for i in np.flatnonzero(chain_of == c)] for c in (2, 1, 0)]
    (first, rest), (other, other_rest) = held_out_parts(samples, chains)
    assert set(first.x) == set(range(6, 12)) and set(other.x) == {*range(6), 11}
    assert set(rest.x) == set(range(4)), "there is nothing to learn class 2 from"
    assert set(other_rest.x) == set(range(6, 11))
    single = Samples(samples.x, chain_of, samples.target, samples.group)
    ends = held_out_ends(single, chains)
    found = held_out_parts(single, chains)
    assert [set(part.x) for pair in found for part in pair] == [
        set(part.x) for pair in ends for part in pair
    ]


def test_standard_errors_of_paired_differences() -> None:
    def runs(rows: list[tuple[int, int, int, float]]) -> list[Run]:
        return [Run(group, seed, weight, new, 0.0) for group, seed, weight, new in rows]

    cells = [(1, 0, 10), (2, 0, 10), (1, 1, 10), (2, 1, 10)]
    without = runs([(*cell, 50.0) for cell in cells])
    # Groups differ by 4, seeds by 2: of two values the error is half their distance.
    found = runs([(*cell, 50.0 + change) for cell, change in zip(cells, (0, 4, 2, 6), strict=True)])
    errors = paired_errors(found, without)
    assert errors == pytest.approx({"seed_error": 1.0, "group_error": 2.0})
    assert mean(found)["new"] == pytest.approx(53.0)
    assert paired_errors(found[:1], without[:1]) == {"seed_error": None, "group_error": None}
    heavy = runs([(1, 0, 30, 50.0), (2, 0, 10, 54.0)])
    level = runs([(1, 0, 30, 50.0), (2, 0, 10, 50.0)])
    assert mean(heavy)["new"] == pytest.approx(51.0)
    # 3/4 and 1/4 of the weight are 1 and 3 away from the mean of 1.
    assert paired_errors(heavy, level)["group_error"] == pytest.approx(np.sqrt(2 * 2 * 0.75**2))


def test_the_goal() -> None:
    def rows(new: float, back: float | None) -> list[dict[str, float | None]]:
        return [
            {"store_kb": 0, "new": 80.0, "brought_back": None},
            {"store_kb": GOAL_KB, "new": new, "brought_back": back},
        ]

    assert passes(rows(79.0, 0.67)) and passes(rows(81.0, None))
    assert not passes(rows(78.9, 0.67)) and not passes(rows(80.0, 0.66))


def test_each_group_is_held_out_once() -> None:
    for groups in (2, 3, 8):
        group = np.array([*range(groups)] * 4)[::-1]
        samples = Samples(np.arange(len(group)), group, np.zeros((len(group), 1)), group)
        folds = [held_out_groups(samples, fold) for fold in range(folds_of(group))]
        assert len(folds) == min(3, groups)
        assert sorted(g for _, rest in folds for g in set(rest.group)) == list(range(groups))
        for first, rest in folds:
            assert set(first.group) == set(group) - set(rest.group) != set()


def test_the_nearer_limit_counts() -> None:
    without = {"new": 90.0, "old": 70.0}
    least = 90.0  # of the old data: two thirds of what was lost
    for new, old, expected in [(90.0, 95.0, 1.0), (93.0, 91.0, 1.0), (88.0, 99.0, -1.0)]:
        assert margin({"new": new, "old": old}, without, 100.0) == pytest.approx(expected)
    assert margin({"new": 99.0, "old": least}, without, 100.0) == pytest.approx(0.0)
