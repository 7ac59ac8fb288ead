"""Labels in all the forms that people have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.loss_models import loss_model
from tests.runtime.test_metrics import interpreter_of
from tflm_train.data import Dataset
from tflm_train.data.labels import class_indices
from tflm_train.errors import DataError
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.model_data import part_for
from tflm_train.scheme import Loss

X = np.zeros((4, 6), np.float32)
CLASSES = np.array([0, 2, 1, 2])


def dataset(y: npt.ArrayLike, names: tuple[str, ...] = ()) -> Dataset:
    values = np.asarray(y)
    return Dataset(X, values, X, values, names)


@pytest.mark.parametrize(
    "y",
    [
        CLASSES.astype(np.uint8),
        CLASSES[:, np.newaxis],
        np.array(["a", "c", "b", "c"]),
        np.array([[b"a"], [b"c"], [b"b"], [b"c"]]),
        np.array(["1", "10", "2", "10"]),
    ],
    ids=["uint8", "column", "names", "bytes", "numbers as names"],
)
def test_class_indices(y: npt.NDArray[Any]) -> None:
    found = dataset(y)
    assert found.y_train.dtype == np.int64 and found.y_train.tolist() == CLASSES.tolist()
    if y.dtype.kind in "US":
        assert len(found.class_names) == 3


def test_booleans() -> None:
    found = dataset(np.array([[True], [False], [True], [True]])).y_train
    assert found.dtype == np.int64 and found.tolist() == [1, 0, 1, 1]


def test_names_by_a_given_list() -> None:
    found = dataset(["up", "down", "up", "up"], ("up", "down"))
    assert found.y_train.tolist() == [0, 1, 0, 0] and found.class_names == ("up", "down")
    with pytest.raises(DataError, match=r"y_train\[1\] is 'left', which class_names does not have"):
        dataset(["up", "left", "up", "up"], ("up", "down"))


def test_all_parts_number_names_alike() -> None:
    train, test = np.array(["b", "c", "b", "c"]), np.array(["a", "c", "a", "a"])
    found = Dataset(X, train, X, test, x_val=X, y_val=test)
    assert found.class_names == ("a", "b", "c")
    assert found.y_train.tolist() == [1, 2, 1, 2]
    assert found.y_val is not None and found.y_val.tolist() == [0, 2, 0, 0]


def test_what_says_more_than_a_class() -> None:
    assert class_indices(np.eye(3, dtype=np.float32)) is not None
    assert class_indices(np.array([[1, 1, 0], [0, 0, 1]], np.float32)) is None
    assert class_indices(np.array([0.5, 1.0], np.float32)) is None
    assert class_indices(np.array([[3.0], [1.0]], np.float32)) is None


class TestOfAModel:
    """What becomes of labels when the model is known."""

    def targets(self, name: str, loss: Loss | None, y: npt.ArrayLike) -> npt.NDArray[Any]:
        interpreter = Interpreter(loss_model(name)) if loss is None else interpreter_of(name, loss)
        x = np.zeros((4, *interpreter.model.graph.inputs[0].shape[1:]), np.float32)
        values = np.asarray(y)
        return part_for(interpreter, Dataset(x, values, x, values), "train")[1]

    @pytest.mark.parametrize(
        "y", [CLASSES, np.eye(3)[CLASSES], np.eye(3, dtype=bool)[CLASSES], CLASSES.astype(float)]
    )
    def test_one_class_is_right(self, y: npt.NDArray[Any]) -> None:
        found = self.targets("regression", Loss(), y)
        assert found.dtype == np.int64 and found.tolist() == CLASSES.tolist()

    def test_several_labels_stay_values(self) -> None:
        y = np.eye(4)
        found = self.targets("tagger", Loss("sigmoid_cross_entropy"), y)
        assert found.dtype == np.float32 and found.tolist() == y.tolist()

    def test_probabilities(self) -> None:
        y = np.full((4, 3), 1 / 3)
        words = r"y_train has shape \[4, 3\] and is neither .*y_train\.argmax\(axis=1\)"
        with pytest.raises(DataError, match=words):
            self.targets("regression", Loss(), y)
        assert self.targets("regression", Loss(target="probabilities"), y).shape == (4, 3)

    def test_values_of_a_regression_stay_values(self) -> None:
        y = np.array([[0.0, 1.0, 0.0]] * 4)
        assert self.targets("regression", Loss("mean_squared_error"), y).dtype == np.float32

    def test_a_model_as_it_came(self) -> None:
        assert self.targets("tagger", None, np.eye(4)).shape == (4, 4)


def test_samples_one_by_one() -> None:
    def pairs(count: int) -> Any:
        for index in range(count):
            yield np.full((2, 3), index, np.float64), "even" if index % 2 == 0 else "odd"

    found = Dataset.of_samples(pairs(5), pairs(2), val=pairs(3))
    assert found.x_train.shape == (5, 2, 3) and found.x_train.dtype == np.float32  # type: ignore[union-attr]
    assert found.y_train.tolist() == [0, 1, 0, 1, 0] and found.class_names == ("even", "odd")
    assert found.val is not None and len(found.val) == 3
    with pytest.raises(DataError, match=r"test: sample 1 has shape \[3\], the first one \[2\]"):
        Dataset.of_samples(pairs(1), [(np.zeros(2), 0), (np.zeros(3), 0)])
    with pytest.raises(DataError, match="train has no samples"):
        Dataset.of_samples([], pairs(2))
