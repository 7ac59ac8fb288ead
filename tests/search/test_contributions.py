"""Contributions as a file."""

from __future__ import annotations

import pytest

from tflm_train.errors import DataError
from tflm_train.scheme.head import Head
from tflm_train.search.contributions import Contributions, Gain

SOME = Contributions(
    model="m",
    data="d",
    head=Head(classes=3, labels=("a", "b", "c")),
    metric="accuracy",
    base=0.5,
    noise=0.01,
    biases=((1, Gain(0.1, 0.02, 3, 0.1)), (2, Gain(0.15, 0.01, 3, 0.1))),
    weights={(7, 0.125): Gain(0.05, 0.02, 1, 0.1), (7, 1.0): Gain(0.2, 0.03, 3, 0.1)},
    base_rate=0.1,
    steps=100,
    stopped=1,
)


def test_text_and_back() -> None:
    assert Contributions.from_json(SOME.to_json()) == SOME


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 9000, '{"kind": "something else"}'])
def test_something_else_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"^c\.json: not what `tflm_train analyze -o` writes"):
        Contributions.from_json(text, "c.json")


def test_a_damaged_file_is_refused() -> None:
    text = SOME.to_json()
    assert '"mean": 0.05' in text and '"steps": 100' in text
    for damaged in (
        text[: len(text) // 2],
        text.replace('"mean"', '"mode"'),
        text.replace('"mean": 0.05', '"mean": "much"'),
        text.replace('"mean": 0.05', f'"mean": 1{"0" * 400}'),
        text.replace('"steps": 100', '"steps": [100]'),
    ):
        with pytest.raises(DataError):
            Contributions.from_json(damaged)
