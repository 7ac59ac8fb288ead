"""Records and the plain values made from them."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass

import pytest

from tflm_train.records import plain, sometimes


class Colour(enum.StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    class_: str
    note: str | None = sometimes()


@dataclass(frozen=True)
class Outer:
    inner: Inner
    many: tuple[Inner, ...]
    by_name: dict[str, Inner]
    nothing: str | None = None


def test_plain() -> None:
    first, second = Inner("a"), Inner("b", "seen")
    found = plain(Outer(first, (first, second), {Colour.RED: second}))
    assert found == {
        "inner": {"class": "a"},
        "many": [{"class": "a"}, {"class": "b", "note": "seen"}],
        "by_name": {"red": {"class": "b", "note": "seen"}},
        "nothing": None,
    }
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("value", [3, 0.5, True, None, "text"])
def test_single_values_stay(value: object) -> None:
    assert plain(value) is value


def test_enumerations_are_words() -> None:
    assert type(plain(Colour.RED)) is str
