"""What is odd about data is said, in one sentence each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.test_data import flat, save_picture
from tflm_train.data import Dataset, load_dataset
from tflm_train.data.oddities import oddities


def dataset(labels: list[int] | None = None, **changes: Any) -> Dataset:
    """Nothing is odd about it."""
    labels = [0, 1, 2] * 8 if labels is None else labels
    rng = np.random.default_rng(0)
    x, x_test = (rng.normal(size=(n, 4, 3)).astype(np.float32) for n in (len(labels), 6))
    fields = {"x_train": x, "y_train": np.array(labels), "x_test": x_test, "y_test": [0, 1, 2] * 2}
    fields["y_test"] = np.array(fields["y_test"])
    return Dataset(**(fields | changes))


def only(data: Dataset, classes: int = 3) -> str:
    (sentence,) = oddities(data, classes)
    assert "\n" not in sentence
    return sentence


def test_nothing() -> None:
    assert oddities(dataset(), 3) == []
    values = np.zeros((24, 1), np.float32)
    assert oddities(dataset(y_train=values, y_test=values[:6])) == []


def test_classes_without_a_sample() -> None:
    assert only(dataset(), 5).startswith("no training sample is of class 3, 4: the model unlearns")
    names = ("ant", "bee", "cat", "dog")
    assert only(dataset(class_names=names)).startswith("no training sample is of class dog:")


def test_a_single_label() -> None:
    assert only(dataset([1] * 12)).startswith("all 12 training samples are of class 1:")


def test_imbalance() -> None:
    said = only(dataset([0] * 30 + [1] * 25 + [2] * 5))
    assert said.startswith("class 2 has 5 of 60 training samples, class 0 30:")
    assert "class_weights: [0.667, 0.8, 4]" in said


def test_the_same_samples_in_two_parts() -> None:
    data = dataset()
    assert isinstance(data.x_train, np.ndarray) and isinstance(data.x_test, np.ndarray)
    x_test = data.x_test.copy()
    x_test[2:4] = data.x_train[[7, 9]]
    said = only(dataset(x_test=x_test))
    assert said.startswith(
        "2 of 6 test samples are in train too (the first: x_test[2] is x_train[7]):"
    )


def test_the_same_pictures_in_two_parts(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("a", "b"):
            for i in range(2):
                value = 10 * i + ord(name) if (part, name, i) != ("test", "b", 1) else 7
                save_picture(tmp_path / part / name / f"{i}.png", flat(value, 4, 4))
    said = only(load_dataset(tmp_path), 2)
    assert said.startswith("3 of 4 test samples are in train too") and "a/0.png" in said


def test_a_group_in_two_parts() -> None:
    groups = np.array(["ann", "bob"] * 12)
    said = only(dataset(group_train=groups, group_test=np.array(["bob"] * 6)))
    assert said.startswith("group bob is in train and in test:")


def test_constant_inputs() -> None:
    data = dataset()
    assert isinstance(data.x_train, np.ndarray)
    x = data.x_train.copy()
    x[3] = 0.0
    assert only(dataset(x_train=x)).startswith("1 of 24 training samples have the same value every")
    x = data.x_train.copy()
    x[..., 1] = 0.5
    assert only(dataset(x_train=x)).startswith("channel 1 (of 3) never changes:")


@pytest.mark.parametrize("labels", [[0, 1, 2] * 8, [0] * 5 + [1] * 25 + [2] * 10])
def test_what_is_not_odd(labels: list[int]) -> None:
    assert oddities(dataset(labels), 3) == []


@pytest.mark.parametrize("label", [1 << 40, 1 << 62])
def test_a_label_that_is_no_class_takes_no_memory(label: int) -> None:
    assert oddities(dataset([0, 1, label] * 8), 3) == []
