"""Labels in the forms that people have them, as class indices or target values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tflm_train.errors import DataError

Array: TypeAlias = npt.NDArray[Any]
LabelArray: TypeAlias = npt.NDArray[np.int64]


def checked_targets(
    parts: Mapping[str, Array], class_names: tuple[str, ...]
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Brings the labels of all parts of a data set to one form.

    Integers, booleans and names become class indices, also where they stand in a column of their
    own ([n, 1]); everything else becomes float32 values.

    Args:
        parts: [n, ...] labels by what to call them in messages.
        class_names: the names that labels may be, in the order of their indices; where there are
            none and the labels are names, they are numbered in sorted order.

    Returns:
        The labels by the same keys, and the names of the classes.

    Raises:
        DataError: something cannot be a label; the message says how to convert it.
    """
    columns = {name: _column(values, name) for name, values in parts.items()}
    if any(values.dtype.kind in "US" for values in columns.values()):
        texts = {name: _texts(values, name) for name, values in columns.items()}
        class_names = class_names or _sorted_names(np.concatenate([*texts.values()]))
        return {n: _indices(t, class_names, n) for n, t in texts.items()}, class_names
    return {name: _numbers(values, name) for name, values in columns.items()}, class_names


def class_indices(values: Array) -> LabelArray | None:
    """The class of each sample, of targets that say nothing else; None where they say more.

    Args:
        values: [n] or [n, classes] targets as a data set holds them.
    """
    if values.dtype == np.int64 and values.ndim == 1:
        return values
    if values.ndim == 1 and np.array_equal(values, np.floor(values)) and values.min() >= 0:
        return values.astype(np.int64)
    if values.ndim == 2 and values.shape[1] > 1:
        is_one_hot = np.all((values == 0) | (values == 1)) and np.all(values.sum(axis=1) == 1)
        return values.argmax(axis=1).astype(np.int64) if is_one_hot else None
    return None


def _column(values: Array, name: str) -> Array:
    """Labels [n, 1] as [n]: a column of single values that are no real numbers."""
    if not values.ndim or not len(values):
        raise DataError(f"{name} is empty")
    is_column = values.ndim == 2 and values.shape[1] == 1 and values.dtype.kind in "iubUS"
    return values[:, 0] if is_column else values


def _texts(values: Array, name: str) -> Array:
    if values.dtype.kind not in "US" or values.ndim != 1:
        raise DataError(
            f"{name} is {values.dtype} of shape {list(values.shape)}, other labels are names; give "
            f"names [n] in every part"
        )
    if values.dtype.kind == "U":
        return values
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} holds bytes that are no text; {name}.astype(str)") from error


def _sorted_names(texts: Iterable[Any]) -> tuple[str, ...]:
    """The names in their order; numbers among themselves by value."""
    names = {str(text) for text in texts}
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _indices(texts: Array, class_names: tuple[str, ...], name: str) -> LabelArray:
    places = {text: index for index, text in enumerate(class_names)}
    found = np.array([places.get(str(text), -1) for text in texts], np.int64)
    wrong = np.flatnonzero(found < 0)
    if wrong.size:
        raise DataError(
            f"{name}[{wrong[0]}] is {str(texts[wrong[0]])!r}, which class_names does not have "
            f"({', '.join(class_names[:8])}{', ...' if len(class_names) > 8 else ''})"
        )
    return found


def _numbers(values: Array, name: str) -> Array:
    if values.dtype.kind in "iub" and values.ndim == 1:
        labels = values.astype(np.int64)
        wrong = np.flatnonzero(labels < 0)
        if wrong.size:
            raise DataError(
                f"{name}[{wrong[0]}] is {labels[wrong[0]]}, but classes are numbered from 0; of -1 "
                f"and 1 make ({name} > 0), of numbers to be predicted {name}.astype(float)"
            )
        return labels
    if values.dtype.kind not in "iufb":
        raise DataError(
            f"{name} is {values.dtype} of shape {list(values.shape)}; give class indices "
            f"({name}.astype(int)), names ({name}.astype(str)), one-hot rows, or the values that "
            f"the outputs should have ({name}.astype(float))"
        )
    checked: Array = values.astype(np.float32)
    bad = np.argwhere(~np.isfinite(checked))
    if bad.size:
        raise DataError(f"{name}[{bad[0][0]}] contains NaN or infinity; remove or repair it")
    return checked
