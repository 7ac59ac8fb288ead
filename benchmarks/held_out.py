"""Samples of groups, and parts of them that settings are chosen on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_HELD_OUT = 0.3  # of a group's recordings
_FOLDS = 3
_OVERLAPPING = 3  # windows before another one that share some of its samples


@dataclass(frozen=True)
class Samples:
    """Latents with labels and targets, and the group that each belongs to."""

    x: Array
    y: Array
    target: Array
    group: Array

    def where(self, chosen: Array) -> Samples:
        """Some of them."""
        return Samples(self.x[chosen], self.y[chosen], self.target[chosen], self.group[chosen])


def held_out(samples: Samples, fold: int, folds: int) -> tuple[Samples, Samples]:
    """All but every n-th of each group's samples, and these; each is held out in one fold."""
    rest = np.zeros(len(samples.y), bool)
    for group in np.unique(samples.group):
        rest[np.flatnonzero(samples.group == group)[fold::folds]] = True
    return samples.where(~rest), samples.where(rest)


def held_out_ends(samples: Samples, chains: Sequence[list[int]]) -> list[tuple[Samples, Samples]]:
    """`held_out_recordings`, and the same with time running backwards: first ones are held out."""
    backwards = [chain[::-1] for chain in reversed(chains)]
    return [held_out_recordings(samples, one) for one in (chains, backwards)]


def held_out_parts(samples: Samples, chains: Sequence[list[int]]) -> list[tuple[Samples, Samples]]:
    """What is held out of movement in each fold: as the test data, what came at another time.

    Where a recording holds several classes, another recording is another time: the longest two of
    each group are held out in turn. Where there is one for each class, its end or beginning is.
    """
    if all(len(set(samples.y[chain])) == 1 for chain in chains):
        return held_out_ends(samples, chains)
    return [_held_out_recording(samples, chains, rank) for rank in range(2)]


def _held_out_recording(
    samples: Samples, chains: Sequence[list[int]], rank: int
) -> tuple[Samples, Samples]:
    """All but the longest, or second longest, recording of each group, and what is of its classes
    in that one."""
    first: list[int] = []
    rest: list[int] = []
    for group in np.unique(samples.group):
        own = [chain for chain in chains if samples.group[chain[0]] == group]
        own.sort(key=lambda chain: -len(chain))
        known = [i for chain in own if chain is not own[rank] for i in chain]
        first += known
        rest += [i for i in own[rank] if samples.y[i] in samples.y[known]]
    return samples.where(np.array(first)), samples.where(np.array(rest))


def held_out_recordings(samples: Samples, chains: Sequence[list[int]]) -> tuple[Samples, Samples]:
    """Of each class of each group the last recordings, or the end of the only one.

    Args:
        samples: windows that overlap within a recording.
        chains: of each recording its windows, in order of time.

    Returns:
        The first part and the rest; windows that overlap with the rest are in neither.
    """
    by_class: dict[tuple[int, int], list[list[int]]] = {}
    for chain in chains:
        key = int(samples.group[chain[0]]), int(samples.y[chain[0]])
        by_class.setdefault(key, []).append(chain)
    first: list[int] = []
    rest: list[int] = []
    for same in by_class.values():
        if len(same) == 1:
            kept = round((1 - _HELD_OUT) * len(same[0]))
            first += same[0][: max(0, kept - _OVERLAPPING)]
            rest += same[0][kept:]
        else:
            last = max(1, round(_HELD_OUT * len(same)))
            first += [i for chain in same[:-last] for i in chain]
            rest += [i for chain in same[-last:] for i in chain]
    return samples.where(np.array(first)), samples.where(np.array(rest))


def held_out_groups(samples: Samples, fold: int) -> tuple[Samples, Samples]:
    """The samples of all groups but some, and of these; see `is_of_fold`."""
    rest = is_of_fold(samples.group, fold)
    return samples.where(~rest), samples.where(rest)


def folds_of(group: Array) -> int:
    """In how many folds each of the groups is held out once."""
    return min(_FOLDS, len(np.unique(group)))


def is_of_fold(group: Array, fold: int) -> npt.NDArray[np.bool_]:
    """Which samples belong to the groups that are held out in a fold, of the group of each."""
    return np.isin(group, np.unique(group)[fold::_FOLDS])
