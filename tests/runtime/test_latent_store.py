"""The sampling of latents: its promises, and the C++ against its twin."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.latent_host import (
    BAD_STORAGE,
    EMPTY,
    FLASH,
    NOT_KEPT,
    OK,
    LatentStore,
    capacity,
)
from tflm_train.runtime.latent_store import Balance, CounterRandom, Replay, Reservoir


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


def test_classes_stay_as_frequent_as_they_come_where_domains_are_balanced() -> None:
    reservoir = Reservoir(200, seed=1, balance=Balance.DOMAINS)
    labels: dict[int, int] = {}
    for label in np.random.default_rng(0).permutation([0] * 900 + [1] * 100):
        index = reservoir.add(int(label), domain=5)
        if index is not None:
            labels[index] = int(label)
    assert list(reservoir.groups) == [(5, 0)] and len(labels) == 200
    assert abs(sum(labels.values()) - 20) < 5 * (200 * 0.1 * 0.9) ** 0.5
    replay = Replay(reservoir, seed=2)
    drawn = [labels[index] for _ in range(2000) if (index := replay.draw()) is not None]
    assert abs(np.mean(drawn) - np.mean(list(labels.values()))) < 0.04


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


@pytest.mark.interpreter
@pytest.mark.parametrize("flash", [None, FLASH], ids=["ram", "flash"])
@settings(deadline=None)
@given(
    records=st.integers(1, 20),
    seed=st.integers(0, 2**32 - 1),
    stream=st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 2)), max_size=120),
    restarts=st.sets(st.integers(0, 119), max_size=4),
    balance=st.sampled_from(Balance),
)
def test_the_firmware_decides_alike(
    flash: tuple[int, int, int] | None,
    records: int,
    seed: int,
    stream: list[tuple[int, int]],
    restarts: set[int],
    balance: Balance,
) -> None:
    groups = 7 * 3 if balance is Balance.CLASSES else 3
    twin = Reservoir(records, seed, balance)
    replay = Replay(twin, seed ^ 1)
    kept: dict[int, tuple[bytes, int, int]] = {}
    sizes = (16, records, groups)
    given = {"replay_seed": seed ^ 1, "flash": flash, "balance": balance}
    store = LatentStore(*sizes, seed=seed, **given)
    assert store.opened == EMPTY
    for number, (label, domain) in enumerate(stream):
        # The seed of the first time counts, once something is written.
        if flash is not None and number in restarts - {0}:
            assert store.checkpoint() == OK
            memory = store.memory
            store.close()
            store = LatentStore(*sizes, memory=memory, **given)
            replay = Replay(twin, seed ^ 1)
        sample = (number.to_bytes(16, "big"), label, domain)
        index = twin.add(label, domain)
        assert store.add(*sample) == (NOT_KEPT if index is None else OK)
        if index is not None:
            kept[index] = sample
        assert store.draw() == replay.draw()
    assert {i: store.read(i) for i in range(records) if store.read(i) is not None} == kept
    assert store.epoch() == list(replay.epoch())
    assert store.epoch() == list(replay.epoch())
    store.close()


@pytest.mark.interpreter
def test_what_a_flash_holds() -> None:
    for flash in ((64 * 1024, 4096, 8), (256 * 1024, 128 * 1024, 32), (32 * 4096, 4096, 256)):
        most = capacity(4 + 256, 12, flash)
        assert most > 0
        fits = LatentStore(256, most, 12, flash=flash)
        more = LatentStore(256, most + 1, 12, flash=flash)
        assert (fits.opened, more.opened) == (EMPTY, BAD_STORAGE)
        assert all(fits.add(bytes(256), n % 12) in (OK, NOT_KEPT) for n in range(3 * most))
        fits.close()
        more.close()
