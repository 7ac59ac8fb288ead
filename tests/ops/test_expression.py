"""Expressions over fields: their code, and the arithmetic that the kernels' Prepare repeats."""

import numpy as np
import pytest

from tflm_train.ops.expression import LARGEST, Code, Scope, evaluate

SCOPE = Scope(
    words={"a": 0, "b": 1, "axis[1].size": 2},
    inputs={"bias": 3},
    numbers={"MaskKind.BITS": 2, "FAR": 1 << 30},
    terms={"both": "a * b", "half": "(both + 1) // 2"},
)


def value(text: str, *words: int, present: tuple[bool, ...] = ()) -> int:
    return evaluate(SCOPE.compile(text), words, present)


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("a * b * (axis[1].size - 1)", (2, 3, 5), 24),
        ("half", (5, 3), 8),
        ("(a + 7) // 8", (17,), 3),
        ("1 << a", (4,), 16),
        ("a << b", (3, 40), LARGEST),
        ("-a", (5,), -5),
        ("-128", (), -128),
        ("FAR", (), 1 << 30),
        ("a // b", (5, 0), LARGEST),
        ("a == MaskKind.BITS", (2,), 1),
        ("a != MaskKind.BITS", (2,), 0),
        ("a < b", (1, 2), 1),
        ("a <= b", (2, 2), 1),
        ("a > b", (2, 2), 0),
        ("a >= b", (2, 2), 1),
        ("not a", (0,), 1),
        ("a > 0 and b > 0", (1, 0), 0),
        ("a > 0 or b > 0", (1, 0), 1),
        ("b if a else 7", (0, 5), 7),
        ("b if a else 7", (1, 5), 5),
        ("min(a, b, 3)", (4, 5), 3),
        ("max(a, b, 3)", (4, 5), 5),
    ],
)
def test_values(text: str, words: tuple[int, ...], expected: int) -> None:
    assert value(text, *words) == expected


def test_arithmetic_saturates() -> None:
    assert value("a * b - 1", 1 << 20, 1 << 20) == LARGEST - 1
    assert value("a * b", -(1 << 20), 1 << 20) == -LARGEST
    assert value("a + 1", LARGEST) == LARGEST


def test_an_input_is_there_or_not() -> None:
    assert value("has(bias)", present=(True, True, True, True)) == 1
    assert value("has(bias)", present=(True, True, True, False)) == 0
    assert value("has(bias)", present=(True, True)) == 0


def test_code_is_short() -> None:
    code = SCOPE.compile("a * b * 1000")
    assert code == bytes([0, 1, Code.MULTIPLY, Code.WORD, *(1000).to_bytes(4, "little"),
                          Code.MULTIPLY, Code.END])  # fmt: skip


@pytest.mark.parametrize("text", ["c", "a ** b", "a < b < 3", "f(a)", "a +", "True", "1.5", "'a'"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no expression"):
        SCOPE.compile(text)


def test_large_numbers_are_exact() -> None:
    for number in (127, 128, -128, -129, LARGEST, -LARGEST):
        assert evaluate(Scope({}, numbers={"N": number}).compile("N"), ()) == number
    assert value("a - b", int(np.int32(-5)), 3) == -8
