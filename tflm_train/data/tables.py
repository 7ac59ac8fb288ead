"""Sensor recordings in tables (CSV, Parquet), as windows of rows.

A window never crosses from one class or group to another, nor a row in which a value is missing.
Windows that share rows stay together when the data are divided: without groups a table is cut into
stretches of ten windows, and no window lies in two of them.
"""

from __future__ import annotations

import csv
import importlib.util
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.data.dataset import Part
from tflm_train.data.npz import reason
from tflm_train.data.overlaps import LONGEST_STRETCH
from tflm_train.errors import DataError, RuntimeFailure

CSV, PARQUET = ".csv", ".parquet"
SUFFIXES = frozenset({CSV, PARQUET})
OF_FILE = "file"
"""As a group: each file is one."""
_DELIMITERS = ",;\t"
_MOST_NAMED, _MOST_SAID = 20, 40
_MISSING = ("", "nan", "na", "null", "none")


@dataclass(frozen=True)
class TableOptions:
    """What of a table becomes a sample.

    Attributes:
        window: rows of a sample.
        columns: its columns, in the order in which the model takes them; empty for all but those
            named below.
        stride: rows from one sample to the next; None for `window`.
        label: the column that says the class.
        targets: columns of numbers that the model is to predict: their values in a window's last
            row.
        group: the column that says what rows belong together, or `OF_FILE`.
    """

    window: int
    columns: tuple[str, ...] = ()
    stride: int | None = None
    label: str | None = None
    targets: tuple[str, ...] = ()
    group: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("--window", self.window), ("--stride", self.stride)):
            if value is not None and value < 1:
                raise DataError(f"{name} {value} must be at least 1 row")
        if self.label is not None and self.targets:
            raise DataError("--label names classes, --target values: give one of them")

    @property
    def step(self) -> int:
        """Rows from one sample to the next."""
        return self.stride or self.window


def read_windows(
    paths: Sequence[Path],
    classes: Sequence[str] | None,
    options: TableOptions,
    most_bytes: int,
) -> tuple[Part, list[str]]:
    """Reads tables.

    Args:
        paths: the files.
        classes: the class of each, where no column says it.
        options: what becomes a sample.
        most_bytes: what the windows may take in memory.

    Returns:
        All windows, and what is to be said of them.

    Raises:
        DataError: a file is no table, lacks a column, or no window fits.
        RuntimeFailure: a library that is needed is not installed.
    """
    of_file = options.group == OF_FILE or (options.group is None and _has_enough(paths, classes))
    found: list[Part] = []
    missing = taken = groups = 0
    for index, path in enumerate(paths):
        table = _Table.read(path, options)
        missing += int(table.is_missing.sum())
        label = None if classes is None else classes[index]
        part = _windows(table, options, label, index if of_file else None, groups)
        if not len(part):
            continue
        assert isinstance(part.x, np.ndarray) and part.groups is not None
        taken += part.x.nbytes
        if taken > most_bytes:
            raise DataError(
                f"{path}: the windows take more than {most_bytes:,} bytes of memory; choose a "
                "larger --stride, or allow more (--max-data)"
            )
        if part.groups.dtype.kind == "i":
            groups = int(part.groups.max()) + 1
        found.append(part)
    if not found:
        raise DataError(
            f"{paths[0]}: no {options.window} rows in succession that are of one class and group "
            "and complete; choose a smaller --window"
        )
    notes = []
    if missing:
        notes.append(f"{missing} rows lack a value; no window lies over them")
    if options.group is None and of_file:
        notes.append("each file is a group: it is never divided (--group names a column instead)")
    elif options.group is None and options.step < options.window:
        notes.append(
            f"windows share rows, so stretches of {LONGEST_STRETCH} windows stay together (--group "
            "names a column that says more: a person, a device)"
        )
    return _joined(found), notes


@dataclass(frozen=True, eq=False)
class _Table:
    """The columns of a file that are used."""

    path: Path
    values: npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32]
    labels: npt.NDArray[np.str_] | None
    groups: npt.NDArray[np.str_] | None
    is_missing: npt.NDArray[np.bool_]

    @staticmethod
    def read(path: Path, options: TableOptions) -> _Table:
        names, get = _columns(path)
        words = [options.label, None if options.group == OF_FILE else options.group]
        used = [word for word in words if word is not None]
        for name in (*options.columns, *options.targets, *used):
            if name not in names:
                there = ", ".join(name[:_MOST_SAID] for name in names[:_MOST_NAMED])
                raise DataError(f"{path}: no column {name!r}; it has {there}")
        others = [n for n in names if n not in (*used, *options.targets)]
        columns = options.columns or tuple(others)
        values = np.stack([_numbers(get, path, name) for name in columns], axis=1)
        targets = np.zeros((len(values), 0), np.float32)
        if options.targets:
            targets = np.stack([_numbers(get, path, name) for name in options.targets], axis=1)
        label, group = (None if word is None else np.array(get(word), np.str_) for word in words)
        is_missing = np.isnan(np.concatenate([values, targets], axis=1)).any(axis=1)
        if label is not None:
            is_missing |= np.char.strip(label) == ""
        return _Table(path, values, targets, label, group, is_missing)

    def runs(self) -> Iterator[tuple[int, int]]:
        """Rows in succession that a window may lie over: begin and end."""
        count = len(self.values)
        is_border = np.zeros(count + 1, bool)
        is_border[[0, count]] = True
        for words in (self.labels, self.groups):
            if words is not None:
                is_border[1:count] |= words[1:] != words[:-1]
        is_border[:-1] |= self.is_missing
        is_border[1:] |= self.is_missing
        borders = np.flatnonzero(is_border)
        for begin, end in itertools.pairwise(borders):
            if not self.is_missing[begin]:
                yield int(begin), int(end)


def _windows(
    table: _Table, options: TableOptions, label: str | None, file: int | None, first_group: int
) -> Part:
    """The windows of a table; their groups are numbers from `first_group`, or the file's."""
    starts: list[int] = []
    groups: list[Any] = []
    group = first_group
    for begin, end in table.runs():
        for start, stretch in _starts(begin, end, options):
            if table.groups is not None:
                groups.append(table.groups[start])
            else:
                groups.append(group + stretch if file is None else file)
            starts.append(start)
        if starts and table.groups is None and file is None:
            group = groups[-1] + 1
    size = options.window
    x = np.zeros((len(starts), size, table.values.shape[1]), np.float32)
    for place, start in enumerate(starts):
        x[place] = table.values[start : start + size]
    last = np.array(starts, np.int64) + size - 1
    if table.labels is not None:
        y: npt.NDArray[Any] = table.labels[last]
    elif label is not None and not options.targets:
        y = np.full(len(starts), label)
    else:
        y = table.targets[last]
    return Part(x, y, np.array(groups), (table.path,) * len(starts))


def _starts(begin: int, end: int, options: TableOptions) -> Iterator[tuple[int, int]]:
    """Where windows of a run begin, and the number of their stretch."""
    size, step = options.window, options.step
    # Windows that share no row may go separate ways.
    per_stretch = LONGEST_STRETCH if step < size else 1
    span = size + (per_stretch - 1) * step if step < size else step
    for stretch, start in enumerate(range(begin, end - size + 1, span)):
        for window in range(per_stretch):
            if start + window * step + size <= end:
                yield start + window * step, stretch


def _has_enough(paths: Sequence[Path], classes: Sequence[str] | None) -> bool:
    """Whether files can be groups: several for each class."""
    names = ["all"] * len(paths) if classes is None else list(classes)
    return min(names.count(name) for name in set(names)) >= 3


def _joined(parts: Sequence[Part]) -> Part:
    widths = {part.x.shape[2] for part in parts if isinstance(part.x, np.ndarray)}
    if len(widths) > 1:
        raise DataError(
            f"the tables have {' and '.join(map(str, sorted(widths)))} columns; name those to use "
            "with --columns"
        )
    return Part(
        np.concatenate([part.x for part in parts if isinstance(part.x, np.ndarray)]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.groups for part in parts if part.groups is not None]),
        tuple(file for part in parts for file in part.files or ()),
    )


def _columns(path: Path) -> tuple[list[str], Any]:
    """The names of a table's columns, and what gives the cells of one of them."""
    if not path.is_file():
        raise DataError(f"{path} is no regular file; remove it from the data")
    return _parquet(path) if path.suffix.lower() == PARQUET else _csv(path)


def _csv(path: Path) -> tuple[list[str], Any]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            header = stream.readline()
            delimiter = max(_DELIMITERS, key=header.count)
            stream.seek(0)
            rows = list(csv.reader(stream, delimiter=delimiter))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a readable table ({reason(error)})") from error
    rows = [row for row in rows if row]
    if len(rows) < 2:
        raise DataError(f"{path}: a table has a line of column names, and a line for each row")
    names = [" ".join(name.split()) for name in rows[0]]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            raise DataError(
                f"{path}, row {number}: {len(row)} cells, and {len(names)} column names"
            )

    def get(name: str) -> list[str]:
        column = names.index(name)
        return [row[column] for row in rows[1:]]

    return names, get


def _parquet(path: Path) -> tuple[list[str], Any]:
    if importlib.util.find_spec("pyarrow") is None:
        raise RuntimeFailure("Parquet needs pyarrow; pip install 'tflm_train[parquet]'")
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable table ({reason(error)})") from error

    def get(name: str) -> list[Any]:
        return ["" if cell is None else cell for cell in table.column(name).to_pylist()]

    return list(table.column_names), get


def _numbers(get: Any, path: Path, name: str) -> npt.NDArray[np.float32]:
    """A column of numbers; NaN where one is missing."""
    cells = get(name)
    try:
        return np.array(cells, np.float32)
    except (ValueError, TypeError):
        pass
    found = np.full(len(cells), np.nan, np.float32)
    for row, cell in enumerate(cells):
        text = str(cell).strip()
        if text.lower() in _MISSING:
            continue
        try:
            found[row] = float(text)
        except ValueError:
            raise DataError(
                f"{path}, row {row + 2}: {name} is {text[:_MOST_SAID]!r}, which is no number; name "
                "the columns of numbers with --columns, the class's with --label"
            ) from None
    return found
