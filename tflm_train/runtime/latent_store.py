"""Which samples a store of fixed size keeps, and in which order they are learned again.

The twin of `tflm_kernels/state/reservoir.cc` and `replay.cc`, decision for decision: what a
simulation on the host keeps and replays, the firmware keeps and replays too.

A store is filled by **class-balancing reservoir sampling** (Chrysakis and Moens, "Online Continual
Learning from Imbalanced Data", ICML 2020). A group is what is balanced: a class in a domain. While
there is room, every sample is kept. Then, of `c` the new sample's group, `m` how many records it
has and `n` how many samples of it came so far, this one included:

* A group is *full* from the moment when no group has more records, for good (but for a group that
  has no record left). If `c` is not full, the sample takes the place of a random record of the
  largest groups.
* If `c` is full, the sample takes the place of a random record of its own with probability `m / n`.

So each group's records are a uniform sample of all that came of it, and rare groups keep all.
Where classes shall stay as frequent as they come, a group is a domain: of a single one the sampling
then is that of an ordinary reservoir (Vitter's algorithm R).

Random numbers are those of a counter: number `k` of seed `s` is `Hash(Hash(k) + s)`, with the hash
of docs/NUMERICS.md (lowbias32). One in `[0, n)` is its product with `n`, divided by 2^32.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field

_WORD = 0xFFFFFFFF
_MOST_SEEN = 0x7FFFFFFF  # where counting stops: in C++ the bit above says that the group is full


def _hash32(x: int) -> int:
    x ^= x >> 16
    x = x * 0x7FEB352D & _WORD
    x ^= x >> 15
    x = x * 0x846CA68B & _WORD
    return x ^ x >> 16


@dataclass
class CounterRandom:
    """Random numbers that depend only on a seed and on how many were drawn before.

    Attributes:
      seed: uint32.
      draws: How many were drawn, modulo 2^32.
    """

    seed: int
    draws: int = 0

    def below(self, limit: int) -> int:
        """Draws a number in `[0, limit)`, 1 <= limit < 2^32."""
        bits = _hash32((_hash32(self.draws) + self.seed) & _WORD)
        self.draws = (self.draws + 1) & _WORD
        return bits * limit >> 32


class Balance(enum.Enum):
    """What has equal shares of the records and of what is drawn; values are LatentBalance's."""

    CLASSES = 0
    """Each class of each domain."""
    DOMAINS = 1
    """Each domain, whose classes stay as frequent as they come."""


@dataclass
class Group:
    """What the sampling knows of a class in a domain, or of a domain.

    Attributes:
      records: Indices of its records.
      seen: Samples of it that came.
      full: Whether no group had more records at some time since the store became full.
    """

    records: list[int] = field(default_factory=list)
    seen: int = 0
    full: bool = False


class Reservoir:
    """Decides which samples a store keeps; what a record holds is the caller's.

    Attributes:
      capacity: Number of records, at least 1.
      groups: By (domain, label), in ascending order of these; where domains are balanced the
        label is 0.
    """

    def __init__(self, capacity: int, seed: int = 0, balance: Balance = Balance.CLASSES):
        """Makes an empty one; `seed` is a uint32."""
        self.capacity = capacity
        self._balance = balance
        self.groups: dict[tuple[int, int], Group] = {}
        self._random = CounterRandom(seed)
        self._keys: list[tuple[int, int] | None] = [None] * capacity

    def __len__(self) -> int:
        """How many records there are."""
        return sum(len(group.records) for group in self.groups.values())

    @property
    def draws(self) -> int:
        """Random numbers drawn so far."""
        return self._random.draws

    def key(self, index: int) -> tuple[int, int] | None:
        """The group of a record; None where there is none."""
        return self._keys[index]

    def add(self, label: int, domain: int = 0) -> int | None:
        """Decides on a new sample.

        Args:
          label: Its class, int32; 0 for all samples of a regression.
          domain: Where it comes from, uint16.

        Returns:
          The index of the record that it becomes, replacing what is there; None: it is not kept.
        """
        key = (domain, label if self._balance is Balance.CLASSES else 0)
        if key not in self.groups:
            self.groups = dict(sorted([*self.groups.items(), (key, Group())]))
        group = self.groups[key]
        group.seen = min(group.seen + 1, _MOST_SEEN)
        index = self._place(group)
        if index is not None:
            self._put(index, key)
        return index

    def _place(self, group: Group) -> int | None:
        if None in self._keys:
            return self._keys.index(None)
        if group.full and group.records:
            if self._random.below(group.seen) >= len(group.records):
                return None
            candidates = group.records
        else:
            most = max(len(other.records) for other in self.groups.values())
            largest = (g.records for g in self.groups.values() if len(g.records) == most)
            candidates = sorted(index for records in largest for index in records)
        return candidates[self._random.below(len(candidates))]

    def _put(self, index: int, key: tuple[int, int]) -> None:
        old = self._keys[index]
        if old is not None:
            self.groups[old].records.remove(index)
        self._keys[index] = key
        records = self.groups[key].records
        records.append(index)
        records.sort()
        if None in self._keys:
            return
        most = max(len(group.records) for group in self.groups.values())
        for group in self.groups.values():
            group.full |= len(group.records) == most


class Replay:
    """Draws stored samples to learn again.

    Between new samples, `draw` gives a random record of a random group, each group alike: a rare
    class that is balanced is not rare in the replay. While idle, `epoch` goes through all records.
    """

    def __init__(self, reservoir: Reservoir, seed: int = 0):
        """Draws from a reservoir by random numbers of its own; `seed` is a uint32."""
        self._reservoir = reservoir
        self._random = CounterRandom(seed)

    def draw(self) -> int | None:
        """The index of a record; None when there is none."""
        groups = [g.records for g in self._reservoir.groups.values() if g.records]
        if not groups:
            return None
        records = groups[self._random.below(len(groups))]
        return records[self._random.below(len(records))]

    def epoch(self) -> Iterator[int]:
        """The indices of all records, shuffled (Fisher and Yates, in Durstenfeld's form)."""
        count = self._reservoir.capacity
        order = [index for index in range(count) if self._reservoir.key(index) is not None]
        for last in range(len(order) - 1, 0, -1):
            other = self._random.below(last + 1)
            order[last], order[other] = order[other], order[last]
        yield from order
