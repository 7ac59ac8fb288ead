"""The list of mutations fits the sources. `python tools/mutate.py` applies it."""

from __future__ import annotations

import pytest

from tests.requirements import ROOT
from tools import boards
from tools.mutate import HOST_KINDS, Mutation, read_list

_MACHINES = {machine.name for machine in boards.MACHINES}


def test_names_are_unique() -> None:
    names = [mutation.name for mutation in read_list()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("mutation", read_list(), ids=lambda mutation: mutation.name)
def test_each_changes_one_place(mutation: Mutation) -> None:
    text = (ROOT / mutation.file).read_text()
    assert mutation.mutated(text) != text


@pytest.mark.parametrize("mutation", read_list(), ids=lambda mutation: mutation.name)
def test_its_tests_exist(mutation: Mutation) -> None:
    assert mutation.tests
    for command in mutation.tests:
        kind, *arguments = command.split()
        assert arguments, command
        assert kind in ("pytest", *HOST_KINDS, *_MACHINES), command
        for argument in arguments:
            path = argument.split("::")[0] if kind == "pytest" else f"tests/cpp/{argument}.cc"
            assert argument.startswith("-") or (ROOT / path).exists(), command
