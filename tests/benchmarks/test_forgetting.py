"""The benchmark of forgetting: what is held out, and when its goal is reached."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.forgetting import GOAL_KB, margin, passes
from benchmarks.held_out import (
    Samples,
    folds_of,
    held_out,
    held_out_ends,
    held_out_groups,
    held_out_recordings,
)
from benchmarks.story_models import recordings


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
    chains = recordings(windows[order])
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
