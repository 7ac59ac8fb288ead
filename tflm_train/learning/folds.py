"""Splits of the samples to train on: what judges a run did not take part in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_MOST_HELD_OUT, _ENOUGH_HELD_OUT, _MOST_FOLDS = 256, 200, 4


@dataclass(frozen=True)
class Fold:
    """One split.

    Attributes:
      train: Indices of the samples that train.
      held_out: Of those that judge.
    """

    train: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]


def folds_of(y: Array, seed: int, groups: Array | None = None) -> list[Fold]:
    """Splits of a data set: one of a large one, several of a small one.

    Where targets are class indices, every part has each class's share; samples of a group stay
    together.

    Args:
      y: [n, ...] targets.
      seed: Of the split.
      groups: [n] what each sample comes from; None: nothing is known.
    """
    count = len(y)
    of_groups = [] if groups is None else _folds_of_groups(y, seed, groups)
    if of_groups:
        return of_groups
    order = np.random.default_rng([seed, count]).permutation(count)
    if count < 2:
        return [Fold(order, order)]
    if y.ndim == 1 and y.dtype.kind in "iu":
        place = np.zeros(count)
        for label in np.unique(y):
            of_class = order[y[order] == label]
            place[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
        order = order[np.argsort(place[order], kind="stable")]
    held = max(1, min(_MOST_HELD_OUT, count // 4))
    folds = min(_MOST_FOLDS, -(-_ENOUGH_HELD_OUT // held), count // held)
    starts = range(0, folds * held, held)
    return [
        Fold(np.concatenate([order[:start], order[start + held :]]), order[start : start + held])
        for start in starts
    ]


def _folds_of_groups(y: Array, seed: int, groups: Array) -> list[Fold]:
    """Folds of whole groups, as even in size and classes as these allow.

    Returns:
      Those that leave at least half of the samples to train on, the most first; none where the
      groups allow no such fold.
    """
    count = len(y)
    names, places = np.unique(groups, return_inverse=True)
    is_labelled = y.ndim == 1 and y.dtype.kind in "iu"
    kinds = np.unique(y, return_inverse=True)[1] if is_labelled else np.zeros(count, np.int64)
    counts = np.zeros((len(names), int(kinds.max(initial=0)) + 1))
    np.add.at(counts, (places, kinds), 1)
    have = np.zeros((min(_MOST_FOLDS, len(names)), counts.shape[1]))
    fold_of = np.zeros(len(names), np.int64)
    order = np.random.default_rng([seed, count]).permutation(len(names))
    # The largest first: small ones even out what these leave.
    for name in order[np.argsort(-counts[order].sum(axis=1), kind="stable")]:
        # Of the sums of squares the one that grows least; where several do, the smallest fold.
        fold_of[name] = np.lexsort((have.sum(axis=1), have @ counts[name]))[0]
        have[fold_of[name]] += counts[name]
    held = [np.flatnonzero(fold_of[places] == fold) for fold in range(len(have))]
    held = sorted((one for one in held if 0 < len(one) <= count // 2), key=len)
    # Any first part of what is held out shall be a fair sample of it.
    rng = np.random.default_rng([seed, count, 1])
    everything = np.arange(count)
    folds = [
        Fold(np.setdiff1d(everything, one), rng.permutation(one)[:_MOST_HELD_OUT]) for one in held
    ]
    judges = np.cumsum([len(fold.held_out) for fold in folds])
    return folds[: int(np.searchsorted(judges, _ENOUGH_HELD_OUT)) + 1]
