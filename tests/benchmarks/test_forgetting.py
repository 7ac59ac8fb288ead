"""The benchmark of forgetting: what is held out, and when its goal is reached."""

from __future__ import annotations

import numpy as np

from benchmarks.forgetting import GOAL_KB, passes, preference
from benchmarks.held_out import (
    Samples,
    held_out,
    held_out_ends,
    held_out_groups,
    held_out_recordings,
)
from benchmarks.story_models import recordings


def test_each_group_holds_some_of_its_samples_out() -> None:
    group = np.array([1, 2] * 10)
    samples = Samples(np.arange(20), np.arange(20) % 3, np.zeros((20, 3)), group)
    first, rest = held_out(samples)
    assert sorted([*first.x, *rest.x]) == list(range(20))
    for part, count in ((first, 7), (rest, 3)):
        assert [int((part.group == g).sum()) for g in (1, 2)] == [count, count]
    assert max(first.x) < min(rest.x)


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


def test_whole_groups_are_held_out() -> None:
    group = np.array([3, 1, 2] * 4)
    samples = Samples(np.arange(12), np.zeros(12), np.zeros((12, 1)), group)
    first, rest = held_out_groups(samples)
    assert (set(first.group), set(rest.group)) == ({1, 2}, {3})


def test_what_brings_enough_back_is_chosen_by_the_new_data() -> None:
    rows = [
        {"brought_back": 0.5, "new": 97.0, "old": 80.0},
        {"brought_back": 0.9, "new": 90.0, "old": 95.0},
        {"brought_back": 0.7, "new": 91.0, "old": 85.0},
        {"brought_back": 0.8, "new": 91.0, "old": 90.0},
    ]
    assert [row["brought_back"] for row in sorted(rows, key=preference)] == [0.8, 0.7, 0.9, 0.5]
