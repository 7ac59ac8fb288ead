"""Float operators amid int8 ones, as gradients see them."""

from __future__ import annotations

import numpy as np

from tflm_train.backward_ops.islands import differentiated
from tflm_train.graph import Op, Tensor


def int8(name: str) -> Tensor:
    return Tensor.make(name, np.int8, (4,))


def real(name: str) -> Tensor:
    return Tensor.make(name, np.float32, (4,))


def island() -> tuple[list[Op], Tensor, Tensor]:
    x, a, b, y = int8("x"), real("a"), real("b"), int8("y")
    return [Op("DEQUANTIZE", [x], [a]), Op("NEG", [a], [b]), Op("QUANTIZE", [b], [y])], x, y


def test_the_three_are_one_operator() -> None:
    ops, x, y = island()
    found = differentiated(ops)
    assert [index for index, _ in found] == [0, 1, 2]
    assert [op for _, op in found[:2]] == ops[:2]
    whole = found[2][1]
    assert whole.name == "NEG" and whole.inputs == [x] and whole.outputs == [y]
    assert ops[2].name == "QUANTIZE" and ops[1].inputs != [x], "the graph's own stay as they are"


def test_what_is_read_in_float_stays_float() -> None:
    ops, _, _ = island()
    ops.append(Op("ABS", [ops[1].output], [real("other")]))
    assert [op for _, op in differentiated(ops)] == ops


def test_a_float_constant_or_input_keeps_it_float() -> None:
    for made in (Tensor.constant("c", np.ones(4, np.float32)), real("input")):
        ops, _, _ = island()
        ops[1] = Op("ADD", [ops[0].output, made], ops[1].outputs)
        assert [op for _, op in differentiated(ops)] == ops


def test_int8_operators_stay() -> None:
    ops = [Op("ABS", [int8("x")], [int8("y")]), Op("QUANTIZE", [real("r")], [int8("z")])]
    assert [op for _, op in differentiated(ops)] == ops
