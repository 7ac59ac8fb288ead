"""Finds windows of one recording that share rows, so that a split does not tell them apart.

Who cuts a recording into windows that overlap, and then takes some of them at random to judge what
the others teach, judges by rows that were trained on: everything looks right, also what is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]

LONGEST_STRETCH = 10
"""Windows in succession that stay together; the next ones may go another way."""
_STRETCHES_OF_A_CLASS = 4
_SHORTEST_STRETCH = 2
_FEWEST_ROWS = 8
_LEAST_OVERLAP = 0.25
"""Of a window's rows; what shares fewer is as good as apart."""
_LEAST_DIFFERENT = 0.5
"""Of the shared rows: silence is like other silence."""
_MOST_TRIED = 8
_BATCH = 64


def stretches_of(x: Array, kinds: Integers) -> tuple[Integers, int] | None:
    """Groups samples that are overlapping windows: stretches of a recording.

    Args:
        x: [n, rows, ...] samples; the rows of each follow each other in time.
        kinds: [n] the class of each: every class gets several stretches where it has enough
            samples.

    Returns:
        [n] the number of each sample's stretch, and how many samples share rows with others; None
        where none do.
    """
    recordings = recordings_of(x)
    if len(recordings) == len(x):
        return None
    fewest = int(np.unique(kinds, return_counts=True)[1].min())
    longest = max(_SHORTEST_STRETCH, min(LONGEST_STRETCH, fewest // _STRETCHES_OF_A_CLASS))
    stretch, count = np.zeros(len(x), np.int64), 0
    for members in recordings:
        for piece in np.array_split(members, -(-len(members) // longest)):
            stretch[piece], count = count, count + 1
    return stretch, sum(len(members) for members in recordings if len(members) > 1)


def recordings_of(x: Array) -> list[list[int]]:
    """Which samples are overlapping windows of one recording.

    Args:
        x: [n, rows, ...] samples; the rows of each follow each other in time.

    Returns:
        Indices of the samples of each recording, in order of time; a sample that shares rows with
        none, or a picture, is a recording of its own.
    """
    if x.dtype == np.uint8 or x.ndim < 2 or len(x) < 2 or x.shape[1] < _FEWEST_ROWS:
        return [[index] for index in range(len(x))]
    first, time = _places(*_predecessors(_row_digests(x)))
    found = (np.flatnonzero(first == name) for name in np.unique(first))
    return [members[np.argsort(time[members], kind="stable")].tolist() for members in found]


def _row_digests(x: Array) -> npt.NDArray[np.uint64]:
    """[n, rows] a number for each row that hardly any other row has."""
    rows = np.ascontiguousarray(x).reshape(*x.shape[:2], -1)
    size = rows.shape[2] * rows.itemsize
    weights = np.random.default_rng(size).integers(1, 2**63, size, np.uint64)
    found = np.zeros(x.shape[:2], np.uint64)
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        found[start : start + _BATCH] = some.view(np.uint8).astype(np.uint64) @ weights
    return found


def _predecessors(rows: npt.NDArray[np.uint64]) -> tuple[Integers, Integers]:
    """Of each sample one that it begins in, as late as there is one, or an equal one before it.

    Args:
        rows: [n, rows] digests.

    Returns:
        [n] the index of that sample, or -1, and by how many rows it begins earlier.
    """
    count, length = rows.shape
    followed, shift = np.full(count, -1), np.zeros(count, np.int64)
    # Three rows in succession are a key: a single one may be found in many places.
    begins = 1 + min(length - 3, int((1.0 - _LEAST_OVERLAP) * length))
    first, second, third = (rows[:, k : k + begins] for k in range(3))
    keys = first + np.uint64(3) * second + np.uint64(9) * third
    sample, row = np.nonzero(np.isin(keys, keys[:, 0]))
    order = np.lexsort((sample, row, keys[sample, row]))
    ordered = keys[sample, row][order]
    bounds = (np.searchsorted(ordered, keys[:, 0], side) for side in ("left", "right"))
    for index, (lowest, highest) in enumerate(zip(*bounds, strict=True)):
        tried = 0
        for place in order[lowest:highest]:
            other, start = int(sample[place]), int(row[place])
            if other == index or (start == 0 and other > index):
                continue
            if tried == _MOST_TRIED:
                break
            tried += 1
            shared = rows[index, : length - start]
            is_different = len(np.unique(shared)) >= _LEAST_DIFFERENT * len(shared)
            if is_different and np.array_equal(rows[other, start:], shared):
                followed[index], shift[index] = other, start
                break
    return followed, shift


def _places(followed: Integers, shift: Integers) -> tuple[Integers, Integers]:
    """Of each sample the first one of its recording, and how many rows later it begins."""
    first, time = np.full(len(followed), -1), np.zeros(len(followed), np.int64)
    for index in range(len(followed)):
        path = [index]
        while first[path[-1]] < 0 and followed[path[-1]] >= 0 and followed[path[-1]] not in path:
            path.append(int(followed[path[-1]]))
        if first[path[-1]] < 0:  # It follows none, or what is periodic follows itself.
            first[path[-1]] = path[-1]
        for later, earlier in zip(path[-2::-1], path[:0:-1], strict=True):
            first[later], time[later] = first[earlier], time[earlier] + shift[later]
    return first, time
