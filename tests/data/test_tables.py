"""Tables of sensor values: which rows become a sample, and which part it goes to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from tflm_train.data import Dataset, Reading, load_dataset
from tflm_train.data.tables import TableOptions
from tflm_train.errors import DataError


def save(path: Path, rows: Iterable[Sequence[Any]], names: str = "t,ax,ay,what,who") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [names, *(",".join(str(cell) for cell in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(count: int, what: str = "walk", who: str = "ann", first: int = 0) -> list[list[Any]]:
    return [[t, t + 0.5, -t, what, who] for t in range(first, first + count)]


def read(path: Path, window: int = 4, **options: Any) -> Dataset:
    options = {"columns": ("ax", "ay"), "label": "what"} | options
    return load_dataset(path, Reading(table=TableOptions(window, **options)))


def starts(data: Dataset) -> list[int]:
    """The row that each window begins at, over all parts."""
    found = [part.x[:, 0, 0] - 0.5 for _, part in data.parts()]  # type: ignore[call-overload]
    return sorted(np.concatenate(found).astype(int).tolist())


class TestWindows:
    def test_one_after_the_other(self, tmp_path: Path) -> None:
        data = read(save(tmp_path / "d.csv", rows(22) + rows(13, "run", first=22)))
        assert data.class_names == ("run", "walk")
        assert starts(data) == [0, 4, 8, 12, 16, 22, 26, 30]
        assert isinstance(data.x_train, np.ndarray) and data.x_train.shape[1:] == (4, 2)
        for _, part in data.parts():
            for x, y in zip(part.x, part.y, strict=True):  # type: ignore[arg-type]
                first = int(x[0, 0])
                assert x.tolist() == [[t + 0.5, -t] for t in range(first, first + 4)]
                assert data.class_names[y] == ("walk" if first < 22 else "run")

    def test_overlapping_ones_stay_on_one_side(self, tmp_path: Path) -> None:
        path = save(tmp_path / "d.csv", rows(400) + rows(400, "run", first=400))
        data = read(path, stride=1)
        assert "stretches of 10 windows stay together" in data.notes[0]
        train, test = (
            {t for x in part.x for t in x[:, 0].tolist()}  # type: ignore[union-attr]
            for part in (data.train, data.test)
        )
        assert not train & test
        assert len(data.y_test) / (len(data.y_train) + len(data.y_test)) == pytest.approx(
            0.2, abs=0.03
        )

    def test_a_missing_value_is_a_border(self, tmp_path: Path) -> None:
        table = rows(20) + rows(20, "run", first=20)
        table[6][1] = ""
        table[30][3] = ""
        data = read(save(tmp_path / "d.csv", table))
        assert starts(data) == [0, 7, 11, 15, 20, 24, 31, 35]
        assert data.notes[0] == "2 rows lack a value; no window lies over them"

    def test_groups_by_a_column(self, tmp_path: Path) -> None:
        table = []
        for who in ("ann", "bob", "cy", "di"):
            for what in ("walk", "run"):
                table += rows(12, what, who, len(table))
        data = read(save(tmp_path / "d.csv", table), group="who")
        assert data.group_train is not None and data.group_test is not None
        assert len(set(data.group_test)) == 1 and len(set(data.group_train)) == 3

    def test_values_to_predict(self, tmp_path: Path) -> None:
        path = save(tmp_path / "d.csv", rows(40))
        data = read(path, columns=("ax",), label=None, targets=("ay", "t"))
        assert data.y_train.dtype == np.float32 and data.y_train.shape[1:] == (2,)
        first = data.x_train[:, 0, 0] - 0.5  # type: ignore[call-overload]
        np.testing.assert_array_equal(data.y_train, np.stack([-first - 3, first + 3], axis=1))

    def test_nothing_to_learn(self, tmp_path: Path) -> None:
        data = read(save(tmp_path / "d.csv", rows(40)), label=None)
        assert data.y_train.shape[1:] == (0,)

    def test_all_columns_but_those_named(self, tmp_path: Path) -> None:
        path = save(tmp_path / "d.csv", rows(40) + rows(40, who="bob"))
        data = read(path, columns=(), group="who")
        assert isinstance(data.x_train, np.ndarray) and data.x_train.shape[2] == 3

    @pytest.mark.parametrize("delimiter", [";", "\t"])
    def test_other_delimiters(self, tmp_path: Path, delimiter: str) -> None:
        path = save(tmp_path / "d.csv", rows(16))
        path.write_text("\ufeff" + path.read_text().replace(",", delimiter))
        assert starts(read(path)) == [0, 4, 8, 12]

    def test_parquet(self, tmp_path: Path) -> None:
        csv = save(tmp_path / "d.csv", rows(16) + rows(16, "run", first=16))
        t = list(range(32))
        columns = {
            "ax": [x + 0.5 for x in t],
            "ay": [-x for x in t],
            "what": ["walk"] * 16 + ["run"] * 16,
        }
        parquet.write_table(pyarrow.table(columns), tmp_path / "d.parquet")
        one, other = read(csv), read(tmp_path / "d.parquet")
        np.testing.assert_array_equal(one.x_train, other.x_train)  # type: ignore[arg-type]
        assert one.y_train.tolist() == other.y_train.tolist()


class TestFolders:
    def test_by_class(self, tmp_path: Path) -> None:
        for what in ("walk", "run"):
            for i in range(5):
                save(tmp_path / what / f"{i}.csv", rows(16, what, first=100 * i))
        data = read(tmp_path, label=None)
        assert data.class_names == ("run", "walk") and "each file is a group" in data.notes[0]
        assert not set(data.files_train) & set(data.files_test)  # type: ignore[arg-type]
        assert np.bincount(data.y_test).tolist() == [4, 4]

    def test_parts_by_name(self, tmp_path: Path) -> None:
        for part, count in (("train", 40), ("test", 8), ("val", 12)):
            save(tmp_path / f"{part}.csv", rows(count))
        data = read(tmp_path)
        assert [(name, len(part)) for name, part in data.parts()] == [
            ("train", 10), ("val", 3), ("test", 2),
        ]  # fmt: skip

    def test_parts_by_folder(self, tmp_path: Path) -> None:
        for part in ("train", "test"):
            for what in ("walk", "run"):
                save(tmp_path / part / what / "0.csv", rows(16, what))
        data = read(tmp_path, label=None)
        assert data.class_names == ("run", "walk")
        assert data.y_test.tolist() == [0] * 4 + [1] * 4

    def test_recordings_side_by_side(self, tmp_path: Path) -> None:
        for i in range(5):
            save(
                tmp_path / f"{i}.csv", rows(16, first=100 * i) + rows(16, "run", first=100 * i + 20)
            )
        data = read(tmp_path)
        assert len({*data.files_test}) == 1 and len(data.y_test) == 8  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": 0}, "--window 0 must be at least 1 row"),
        ({"stride": 0}, "--stride 0 must be at least 1 row"),
        ({"targets": ("ax",)}, "give one of them"),
        ({"columns": ("az",)}, r"d\.csv: no column 'az'; it has t, ax, ay, what, who"),
        ({"columns": ("ax", "who")}, "row 2: who is 'ann', which is no number; name the columns"),
        ({"window": 50}, "no 50 rows in succession that are of one class"),
        ({"label": "ax"}, "no 4 rows in succession that are of one class"),
        ({"group": "who"}, "all samples are of group ann"),
    ],
)
def test_refuses(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(save(tmp_path / "d.csv", rows(40)), **options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a table has a line of column names, and a line for each row"),
        ("ax,ay,what\n1,2\n", "row 2: 2 cells, and 3 column names"),
        ("ax,ay,what\n1,\xff,b\n", "not a readable table"),
    ],
)
def test_what_is_no_table(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "d.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=words):
        read(tmp_path / "d.csv")
    (tmp_path / "d.parquet").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="not a readable table"):
        read(tmp_path / "d.parquet")


def test_without_a_window(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"d\.csv: say with --window how many rows are a sample"):
        load_dataset(save(tmp_path / "d.csv", rows(40)))
