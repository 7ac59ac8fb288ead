"""Lifetimes in an order of ops, against their definition."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tflm_train.graph import Op, Tensor
from tflm_train.graph.liveness import BEFORE, Liveness


def tensor(name: str, size: int = 1) -> Tensor:
    return Tensor.make(name, np.int8, (size,))


def test_a_chain() -> None:
    x, y, z, constant, unused = (tensor(name) for name in ("x", "y", "z", "constant", "unused"))
    ops = [Op("A", [x, constant], [y]), Op("B", [y, None], [z]), Op("C", [y], [])]
    liveness = Liveness(ops, [x], [z])
    assert liveness.end == 3
    assert [liveness.first(t) for t in (x, y, z)] == [BEFORE, 0, 1]
    assert [liveness.last(t) for t in (x, y, z)] == [0, 2, 3]
    assert (liveness.first(constant), liveness.last(constant)) == (None, 0)
    assert (liveness.first(unused), liveness.last(unused)) == (None, None)
    assert [liveness.is_needed(y, time) for time in (0, 2, 3)] == [True, True, False]
    assert liveness.is_needed(z, 3) and not liveness.is_needed(unused, 0)


def test_an_output_that_nothing_reads_lives_while_its_op_runs() -> None:
    y = tensor("y")
    liveness = Liveness([Op("A", [], [y]), Op("B", [], [])])
    assert (liveness.first(y), liveness.last(y)) == (0, 0)


def test_an_input_that_is_an_output_lives_throughout() -> None:
    x = tensor("x")
    liveness = Liveness([Op("A", [x], [])], [x], [x])
    assert (liveness.first(x), liveness.last(x)) == (BEFORE, 1)


@pytest.mark.parametrize("seed", range(20))
def test_crossing_bytes_are_those_of_the_definition(seed: int) -> None:
    rng = random.Random(seed)
    tensors = [tensor(f"t{i}", rng.randint(0, 50)) for i in range(12)]
    inputs, outputs = rng.sample(tensors, 2), rng.sample(tensors, 2)
    ops = [
        Op("OP", list(rng.choices(tensors, k=2)), list(rng.choices(tensors, k=1)))
        for _ in range(rng.randint(1, 8))
    ]
    liveness = Liveness(ops, inputs, outputs)
    crossings = liveness.crossing_bytes(lambda t: t.nbytes)
    assert len(crossings) == len(ops) + 1
    for time, found in enumerate(crossings):
        before = [*inputs, *(t for op in ops[:time] for t in op.outputs)]
        written = {id(t) for op in ops for t in op.outputs} | {id(t) for t in inputs}
        later = [*outputs, *(t for op in ops[time:] for t in (*op.inputs, *op.outputs) if t)]
        alive = [
            t
            for t in tensors
            if any(t is u for u in later) and (any(t is u for u in before) or id(t) not in written)
        ]
        assert found == sum(t.nbytes for t in alive)
