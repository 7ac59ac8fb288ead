"""Splits: seeded, stratified, groups whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflm_train.data import Dataset
from tflm_train.data.split import choose, sampled, with_validation
from tflm_train.errors import DataError


def dataset(labels: list[int], groups: list[int] | None = None) -> Dataset:
    """Samples that are their own number."""
    x = np.arange(len(labels), dtype=np.float32)[:, np.newaxis]
    y = np.array(labels)
    return Dataset(x, y, x, y, group_train=None if groups is None else np.array(groups))


class TestValidation:
    def test_each_class_gives_its_share(self) -> None:
        data = with_validation(dataset([0] * 40 + [1] * 20 + [2] * 2), 0.2)
        assert data.val is not None
        assert np.bincount(data.val.y).tolist() == [8, 4, 1]
        assert np.bincount(data.y_train).tolist() == [32, 16, 1]
        assert len(data.y_test) == 62
        seen = {*np.ravel(data.x_train).tolist(), *np.ravel(data.val.x).tolist()}  # type: ignore[arg-type]
        assert len(seen) == 62

    def test_it_is_seeded(self) -> None:
        whole = dataset([0, 1] * 30)
        parts = [with_validation(whole, 0.2, seed).x_train for seed in (0, 0, 1)]
        assert np.array_equal(parts[0], parts[1]) and not np.array_equal(parts[0], parts[2])

    def test_what_is_there_stays(self) -> None:
        whole = dataset([0, 1] * 10)
        given_val = whole.with_parts(val=whole.train)
        assert with_validation(given_val) is given_val
        assert with_validation(whole, 0.0) is whole
        few = dataset([0, 1] * 4)
        assert with_validation(few) is few
        one = dataset([0, 1] * 10, [7] * 20)
        assert with_validation(one) is one
        with pytest.raises(DataError, match="a share of 1 for validation"):
            with_validation(whole, 1.0)

    def test_groups_stay_whole(self) -> None:
        groups = np.repeat(np.arange(12), 10).tolist()
        data = with_validation(dataset([0, 1] * 60, groups), 0.25)
        assert data.val is not None and data.val.groups is not None
        assert data.group_train is not None
        assert not set(data.val.groups) & set(data.group_train)
        assert len(data.val) == 30

    def test_groups_that_are_larger_than_the_share(self) -> None:
        data = with_validation(dataset([0, 1] * 10, [0] * 8 + [1] * 12), 0.1)
        assert data.val is not None and len(data.val) == 8


@given(st.lists(st.integers(0, 3), min_size=2, max_size=60), st.floats(0.01, 0.99))
def test_a_class_keeps_a_sample(labels: list[int], share: float) -> None:
    part = dataset(labels).train
    chosen = choose(part, share, np.random.default_rng(0))
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        taken = int(np.count_nonzero(part.y[chosen] == label))
        assert taken == (0 if count == 1 else min(max(1, round(share * count)), count - 1))


class TestSampled:
    def test_sorted_data_give_every_class(self) -> None:
        data = sampled(dataset([0] * 50 + [1] * 50 + [2] * 100), 20)
        assert np.bincount(data.y_train).tolist() == [5, 5, 10]
        assert np.bincount(data.y_test).tolist() == [5, 5, 10]
        assert np.all(np.diff(np.ravel(data.x_train)) > 0)  # type: ignore[arg-type]

    @given(st.integers(1, 40))
    def test_shares_are_right_to_one(self, limit: int) -> None:
        labels = [0] * 9 + [1] * 21 + [2] * 10
        found = np.bincount(sampled(dataset(labels), limit).y_train, minlength=3)
        wanted = limit * np.bincount(labels) / len(labels)
        assert found.sum() == limit and np.all(np.abs(found - wanted) <= 1.0)

    def test_values_are_of_one_kind(self) -> None:
        x = np.arange(10, dtype=np.float32)[:, np.newaxis]
        data = sampled(Dataset(x, 0.5 + x, x, x), 4)
        assert len(data.y_train) == 4 and np.array_equal(data.y_train, 0.5 + data.x_train)  # type: ignore[operator]

    def test_refuses(self) -> None:
        whole = dataset([0, 1])
        assert sampled(whole, None) is whole
        with pytest.raises(DataError, match="limit 0 must be at least 1"):
            sampled(whole, 0)
