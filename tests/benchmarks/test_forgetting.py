"""The benchmark of forgetting: what is held out, and when its goal is reached."""

from __future__ import annotations

import numpy as np

from benchmarks.forgetting import GOAL_KB, Samples, held_out, held_out_groups, passes, ranked


def test_each_group_holds_some_of_its_samples_out() -> None:
    group = np.array([1, 2] * 10)
    samples = Samples(np.arange(20), np.arange(20) % 3, np.zeros((20, 3)), group)
    first, rest = held_out(samples)
    assert sorted([*first.x, *rest.x]) == list(range(20))
    for part, count in ((first, 7), (rest, 3)):
        assert [int((part.group == g).sum()) for g in (1, 2)] == [count, count]
    assert max(first.x) < min(rest.x)


def test_the_goal() -> None:
    def rows(new: float, back: float | None) -> list[dict[str, float | None]]:
        return [
            {"store_kb": 0, "new": 80.0, "brought_back": None},
            {"store_kb": GOAL_KB, "new": new, "brought_back": back},
        ]

    assert passes(rows(80.0, 0.67)) and passes(rows(81.0, None))
    assert not passes(rows(79.9, 0.67)) and not passes(rows(80.0, 0.66))


def test_whole_groups_are_held_out() -> None:
    group = np.array([3, 1, 2] * 4)
    samples = Samples(np.arange(12), np.zeros(12), np.zeros((12, 1)), group)
    first, rest = held_out_groups(samples)
    assert (set(first.group), set(rest.group)) == ({1, 2}, {3})


def test_replay_may_not_make_the_new_data_worse() -> None:
    rows = [
        {"replayed": 0, "rate": 1, "new": 80.0, "old": 60.0},
        {"replayed": 0, "rate": 2, "new": 81.0, "old": 50.0},
        {"replayed": 2, "rate": 1, "new": 79.9, "old": 90.0},
        {"replayed": 2, "rate": 2, "new": 80.0, "old": 70.0},
        {"replayed": 4, "rate": 2, "new": 85.0, "old": 65.0},
    ]
    chosen = ranked(rows)
    assert [row["old"] for row in chosen] == [70.0, 65.0, 90.0, 50.0, 60.0]
