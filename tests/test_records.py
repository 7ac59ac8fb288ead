"""Records and the plain values made from them."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass

import pytest

from tflm_train.records import from_plain, parse_json, plain, sometimes


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


@dataclass(frozen=True)
class Measured:
    name: str
    value: float
    parts: tuple[int, ...] = ()
    limit: int | None = None
    is_rough: bool = False


def test_the_way_back() -> None:
    for record in (Measured("a", 0.5), Measured("b", 1.0, (1, 2), 3, True)):
        assert from_plain(Measured, json.loads(json.dumps(plain(record)))) == record
    assert from_plain(tuple[Measured, ...], [{"name": "c", "value": 2}]) == (Measured("c", 2.0),)


@pytest.mark.parametrize(
    "change",
    [
        {"name": 3},
        {"value": "1"},
        {"value": True},
        {"value": 10**400},
        {"parts": 1},
        {"parts": [1.5]},
        {"limit": "3"},
        {"is_rough": 1},
        {"other": 1},
        {"other": None},
    ],
    ids=str,
)
def test_what_is_of_another_kind_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        from_plain(Measured, {"name": "a", "value": 0.5, **change})


def test_json_that_is_too_deep() -> None:
    assert parse_json('{"a": [1]}') == {"a": [1]}
    for text in ("[" * 100_000, '{"a":' * 100_000, b"\xff"):
        with pytest.raises(ValueError):
            parse_json(text)
