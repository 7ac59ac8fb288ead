"""Overlapping windows are found, and stay together when samples are set aside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm_train.data import load_dataset
from tflm_train.data.overlaps import LONGEST_STRETCH, stretches_of
from tflm_train.data.split import with_validation

Windows = npt.NDArray[np.float32]


def windows(rng: np.random.Generator, count: int, length: int, hop: int) -> Windows:
    """Windows of one recording: [count, length, 3]."""
    rows = rng.normal(size=((count - 1) * hop + length, 3)).astype(np.float32)
    return np.stack([rows[i * hop : i * hop + length] for i in range(count)])


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(2, 30), min_size=1, max_size=4),
    hop=st.integers(1, 12),
    is_flat=st.booleans(),
    seed=st.integers(0, 99),
)
def test_stretches_follow_each_other(
    lengths: list[int], hop: int, is_flat: bool, seed: int
) -> None:
    """However they are shuffled, a stretch has windows of one recording in succession."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([windows(rng, count, 16, hop) for count in lengths])
    recording = np.repeat(np.arange(len(lengths)), lengths)
    place = np.concatenate([np.arange(count) for count in lengths])
    order = rng.permutation(len(x))
    shuffled = x[order].reshape(len(x), -1) if is_flat else x[order]
    found = stretches_of(shuffled, np.zeros(len(x), np.int64))
    assert found is not None
    stretches, overlapping = found
    assert overlapping == len(x)
    for stretch in np.unique(stretches):
        members = order[stretches == stretch]
        assert len(members) <= LONGEST_STRETCH
        assert len(set(recording[members])) == 1
        assert sorted(place[members]) == list(range(min(place[members]), max(place[members]) + 1))


def test_a_missing_window_does_not_end_a_recording() -> None:
    x = windows(np.random.default_rng(0), 8, 16, 4)[[0, 1, 3, 4, 6, 7]]
    found = stretches_of(x, np.zeros(6, np.int64))
    assert found is not None and found[1] == 6
    assert len(np.unique(found[0])) == 3  # Of two each: the shortest there are.


def test_every_class_gets_several_stretches() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([windows(rng, 24, 16, 4), windows(rng, 60, 16, 4)])
    kinds = np.repeat([0, 1], [24, 60])
    found = stretches_of(x, kinds)
    assert found is not None
    assert len(np.unique(found[0][kinds == 0])) == 4


@pytest.mark.parametrize(
    "x",
    [
        np.random.default_rng(0).normal(size=(20, 16, 3)),
        np.zeros((20, 16, 3)),  # Silence is like other silence.
        np.tile(np.arange(4.0), (20, 4))[:, :, np.newaxis],
        np.concatenate([np.random.default_rng(0).normal(size=(20, 8, 3)), np.zeros((20, 8, 3))], 1),
        np.stack([np.arange(i, i + 16, dtype=np.uint8)[:, np.newaxis] for i in range(20)]),
        np.arange(20.0),
        np.stack([np.arange(i, i + 5.0) for i in range(20)]),
        np.zeros((1, 16, 3)),
        np.stack([np.arange(i, i + 16.0) for i in range(0, 400, 13)]),
    ],
    ids=[
        "apart",
        "silence",
        "periodic",
        "blank ends",
        "pictures",
        "scalars",
        "short",
        "one",
        "few",
    ],
)
def test_what_does_not_overlap_has_no_stretches(x: npt.NDArray[np.float64]) -> None:
    assert stretches_of(x, np.zeros(len(x), np.int64)) is None


def test_equal_samples_stay_together() -> None:
    x = np.random.default_rng(0).normal(size=(10, 16, 3))
    x[7] = x[2]
    found = stretches_of(x, np.zeros(10, np.int64))
    assert found is not None and found[1] == 2
    assert found[0][7] == found[0][2]
    assert len(np.unique(found[0])) == 9


@pytest.mark.parametrize("is_grouped", [False, True])
def test_a_file_of_windows(tmp_path: Path, is_grouped: bool) -> None:
    """What is set aside shares rows with what trains at the ends of a stretch only."""
    rng = np.random.default_rng(0)
    x = np.concatenate([windows(rng, 60, 32, 8) for _ in range(2)])
    y = np.repeat([0, 1], 60)
    groups = {"group_train": np.arange(120)} if is_grouped else {}
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x[:4] + 1, y_test=y[:4], **groups)
    dataset = load_dataset(tmp_path / "data.npz")
    assert dataset.group_train is not None
    assert (len(np.unique(dataset.group_train)) == 120) == is_grouped
    assert [note for note in dataset.notes if "share rows" in note] == (
        [] if is_grouped else [dataset.notes[-1]]
    )
    val = with_validation(dataset).val
    assert val is not None and isinstance(val.x, np.ndarray)
    indices = [int(np.flatnonzero((x == sample).all((1, 2)))[0]) for sample in val.x]
    gaps = np.diff(np.sort(indices))
    assert is_grouped or np.sum(gaps > 1) < len(indices) / 4
