"""Seeded, stratified choices of samples: each class in its share, what belongs together whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.data.dataset import Dataset, Part
from tflm_train.data.labels import class_indices
from tflm_train.errors import DataError

Indices = npt.NDArray[np.int64]

VALIDATION_SHARE = 0.15
"""Of the training samples, where no part of the data is for validation."""
_FEWEST = 10
"""With fewer training samples none are taken away."""


def with_validation(dataset: Dataset, share: float = VALIDATION_SHARE, seed: int = 0) -> Dataset:
    """Sees that a data set has a part that chooses among epochs.

    Args:
        dataset: what to divide; it stays as it is where it has such a part.
        share: of the training samples, to be taken from them; 0 for none.
        seed: of the choice.

    Returns:
        A data set with a validation part; without one where `share` is 0, or where there are too
        few samples, or only one group, to take some from.

    Raises:
        DataError: the share is none.
    """
    if not 0.0 <= share < 1.0:
        raise DataError(f"a share of {share:g} for validation; give at least 0 and less than 1")
    train = dataset.train
    if dataset.val is not None or not share or len(train) < _FEWEST:
        return dataset
    if train.groups is not None and len(np.unique(train.groups)) < 2:
        return dataset
    chosen = choose(train, share, np.random.default_rng(seed))
    rest = others(chosen, len(train))
    return dataset.with_parts(train=train.take(rest), val=train.take(np.sort(chosen)))


def sampled(dataset: Dataset, limit: int | None, seed: int = 0) -> Dataset:
    """At most so many samples of each part, every class in its share.

    Args:
        dataset: what to choose from.
        limit: how many; None for all.
        seed: of the choice.

    Raises:
        DataError: the limit is less than 1.
    """
    if limit is None:
        return dataset
    if limit < 1:
        raise DataError(f"limit {limit} must be at least 1")
    return dataset.with_parts(
        **{n: part.take(_sampled(part, limit, seed)) for n, part in dataset.parts()}
    )


def choose(part: Part, share: float, rng: np.random.Generator) -> Indices:
    """The indices of a share of the samples, class by class.

    Without groups each class gives its share, rounded, at least one and not its last; with groups
    whole ones are taken as long as they bring the classes closer to that.

    Args:
        part: what to choose from.
        share: in (0, 1).
        rng: makes the choice.

    Raises:
        DataError: all samples are of one group.
    """
    kinds = kinds_of(part)
    if part.groups is not None:
        return _whole_groups(kinds, part.groups, share, rng)
    chosen = []
    for kind in np.unique(kinds):
        members = rng.permutation(np.flatnonzero(kinds == kind))
        count = min(max(1, round(share * len(members))), len(members) - 1)
        chosen.append(members[:count])
    return np.concatenate(chosen)


def others(chosen: Indices, count: int) -> Indices:
    """The indices that were not chosen."""
    return np.setdiff1d(np.arange(count), chosen)


def kinds_of(part: Part) -> npt.NDArray[np.int64]:
    """[n] the class of each sample; all alike where targets are values."""
    if not part.y.size:
        return np.zeros(len(part), np.int64)
    # Values that happen to be whole are none: a regression has hundreds of them.
    labels = class_indices(part.y) if part.y.dtype == np.int64 or part.y.ndim > 1 else None
    return np.zeros(len(part), np.int64) if labels is None else labels


def _sampled(part: Part, limit: int, seed: int) -> Indices:
    count = len(part)
    if limit >= count:
        return np.arange(count)
    kinds = kinds_of(part)
    rng = np.random.default_rng([seed, count])
    order = rng.permutation(count)
    # A sample's place within its class, as a share, with a little chance between classes: any
    # number of first ones has each class in its share.
    place = np.zeros(count)
    for kind in np.unique(kinds):
        members = order[kinds[order] == kind]
        place[members] = (np.arange(len(members)) + rng.uniform()) / len(members)
    return np.sort(np.argsort(place, kind="stable")[:limit])


def _whole_groups(
    kinds: npt.NDArray[np.int64],
    groups: npt.NDArray[Any],
    share: float,
    rng: np.random.Generator,
) -> Indices:
    names, places = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise DataError(
            f"all samples are of group {names[0]}; a split needs at least two groups, or none"
        )
    counts = np.zeros((len(names), int(kinds.max()) + 1))
    np.add.at(counts, (places, kinds), 1)
    wanted = share * counts.sum(axis=0)
    chosen: list[int] = []
    have = np.zeros(counts.shape[1])
    for group in rng.permutation(len(names)):
        more = have + counts[group]
        if np.abs(more - wanted).sum() < np.abs(have - wanted).sum():
            chosen.append(int(group))
            have = more
    if not chosen:  # Every group is larger than twice the share.
        chosen = [int(np.abs(counts - wanted).sum(axis=1).argmin())]
    return np.flatnonzero(np.isin(places, chosen))
