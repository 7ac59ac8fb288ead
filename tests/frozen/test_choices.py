"""What searches find is what they found: see tests/frozen/choices.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frozen import choices
from tflm_train.scheme.library import library_names

COMMITTED = choices.committed()


def test_the_file_has_all() -> None:
    assert list(COMMITTED["streams"]) == list(choices.STREAMED)
    assert list(COMMITTED["schedules"]) == list(choices.schemes())
    assert list(COMMITTED["shared_streams"]) == list(choices.SHARED_STREAMED)
    assert list(COMMITTED["shared_schedules"]) == list(library_names())


@pytest.mark.parametrize("name", choices.STREAMED)
def test_streams(name: str) -> None:
    assert choices.stream_choice(choices.STREAMED[name]()) == COMMITTED["streams"][name]


@pytest.mark.parametrize("name", choices.SHARED_STREAMED)
def test_streams_of_real_models(shared: Path, name: str) -> None:
    found = choices.stream_choice(choices.shared_model(name))
    assert found == COMMITTED["shared_streams"][name]


@pytest.mark.parametrize("name", COMMITTED["schedules"])
def test_schedules(name: str) -> None:
    found = choices.scheduled(*choices.schemes()[name])
    assert found == COMMITTED["schedules"][name]
    assert found["planned"] <= found["planned_naively"]


@pytest.mark.parametrize("name", library_names())
def test_schedules_of_real_models(shared: Path, name: str) -> None:
    found = choices.scheduled(*choices.library_scheme(name))
    assert found == COMMITTED["shared_schedules"][name]
    assert found["planned"] <= found["planned_naively"]
