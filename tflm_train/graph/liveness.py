"""When each tensor of a graph lives, in one order of its ops."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

from tflm_train.graph.graph import Op, Tensor

BEFORE = -1
"""The time before the first op, when inputs are written."""


class Liveness:
    """First and last use of every tensor in an order of ops.

    Op `i` runs at time `i`. Inputs are written `BEFORE` the first op; outputs are needed until
    `end`, after the last one. A tensor lives from its first write to its last use.
    """

    def __init__(
        self, ops: Sequence[Op], inputs: Iterable[Tensor] = (), outputs: Iterable[Tensor] = ()
    ) -> None:
        """Walks the ops once.

        Args:
          ops: In execution order.
          inputs: Written before the first op.
          outputs: Needed after the last one.
        """
        self.end = len(ops)
        self._tensors: dict[int, Tensor] = {}
        self._first: dict[int, int] = {}
        self._last: dict[int, int] = {}
        for tensor in inputs:
            self._write(tensor, BEFORE)
        for time, op in enumerate(ops):
            for tensor in op.outputs:
                self._write(tensor, time)
            for read in op.inputs:
                if read is not None:
                    self._use(read, time)
        for tensor in outputs:
            self._use(tensor, self.end)

    def _write(self, tensor: Tensor, time: int) -> None:
        self._first.setdefault(id(tensor), time)
        self._use(tensor, time)

    def _use(self, tensor: Tensor, time: int) -> None:
        self._tensors[id(tensor)] = tensor
        self._last[id(tensor)] = time

    def first(self, tensor: Tensor) -> int | None:
        """When a tensor is first written; None for what no op and no input writes."""
        return self._first.get(id(tensor))

    def last(self, tensor: Tensor) -> int | None:
        """When a tensor is last read or written; `end` for an output, None where it is not used."""
        return self._last.get(id(tensor))

    def is_needed(self, tensor: Tensor, time: int) -> bool:
        """Whether a tensor is read or written at `time` or later."""
        return self._last.get(id(tensor), BEFORE) >= time

    def crossing_bytes(self, size: Callable[[Tensor], int]) -> list[int]:
        """Bytes that live across the start of each op.

        Args:
          size: Bytes that a tensor counts for; 0 for what lies elsewhere.

        Returns:
          By time from 0 to `end`: the sum over what is written before it and needed then or later.
          While an op runs, this and its outputs are alive.
        """
        changes = [0] * (self.end + 2)
        for key, tensor in self._tensors.items():
            counted = size(tensor)
            # What nothing writes is there from the start.
            changes[self._first.get(key, BEFORE) + 1] += counted
            changes[self._last[key] + 1] -= counted
        return list(itertools.accumulate(changes[: self.end + 1]))
