"""The sampling of latents: its promises, and the C++ against its twin."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tflm_train.runtime.latent_store import CounterRandom, Replay, Reservoir


def test_the_generator_is_what_its_page_says() -> None:
    random = CounterRandom(seed=7)
    drawn = [random.below(2**32 - 1) for _ in range(4)]
    again = [CounterRandom(7, draws).below(2**32 - 1) for draws in range(4)]
    assert drawn == again and len(set(drawn)) == 4
    counts = Counter(CounterRandom(3, draws).below(10) for draws in range(20_000))
    assert all(abs(counts[value] - 2000) < 5 * 2000**0.5 for value in range(10))


def test_every_sample_of_a_group_is_kept_alike() -> None:
    """The promise of a reservoir: early and late samples have the same chance."""
    stream, capacity, rounds = 60, 12, 2000
    kept = np.zeros(stream)
    for seed in range(rounds):
        reservoir = Reservoir(capacity, seed)
        records = {}
        for number in range(stream):
            index = reservoir.add(label=number % 2)
            if index is not None:
                records[index] = number
        for number in records.values():
            kept[number] += 1
    expected = rounds * capacity / stream
    assert abs(kept - expected).max() < 5 * expected**0.5


def test_rare_groups_keep_all_and_the_others_share_alike() -> None:
    reservoir = Reservoir(40, seed=1)
    rng = np.random.default_rng(0)
    for label in rng.permutation([0] * 1000 + [1] * 200 + [2] * 5 + [3] * 90):
        reservoir.add(int(label))
    sizes = [len(group.records) for group in reservoir.groups.values()]
    assert sizes[2] == 5
    assert sum(sizes) == 40 and max(sizes) - min(s for s in sizes if s > 5) <= 1
    assert [group.seen for group in reservoir.groups.values()] == [1000, 200, 5, 90]


samples = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), max_size=200)


@given(st.integers(1, 24), st.integers(0, 2**32 - 1), samples)
def test_whatever_comes(capacity: int, seed: int, stream: list[tuple[int, int]]) -> None:
    reservoir = Reservoir(capacity, seed)
    for label, domain in stream:
        before = len(reservoir)
        index = reservoir.add(label, domain)
        if before < capacity:
            assert index == before
        if index is not None:
            assert reservoir.key(index) == (domain, label)
    assert len(reservoir) == min(capacity, len(stream))
    counts = Counter((domain, label) for label, domain in stream)
    assert {key: group.seen for key, group in reservoir.groups.items()} == counts
    assert list(reservoir.groups) == sorted(counts)
    replay = Replay(reservoir, seed)
    assert sorted(replay.epoch()) == list(range(len(reservoir)))
    drawn = replay.draw()
    assert drawn is None if not stream else reservoir.key(drawn or 0) is not None
