"""docs/JSON.md says what the commands print; tests/ops/test_generated.py holds it current."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.cli.helpers import Run
from tflm_train.cli.command import Command, Group
from tflm_train.cli.commands import COMMANDS
from tools.generate.json_page import json_page


def test_every_command_has_its_section() -> None:
    for entry in COMMANDS:
        if isinstance(entry, Group):
            for command in entry.commands:
                assert f"## `tflm_train {entry.name} {command.name}`\n" in json_page()
        else:
            assert f"## `tflm_train {entry.name}`\n" in json_page()


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_results_are_frozen_records(entry: Command | Group) -> None:
    for command in entry.commands if isinstance(entry, Group) else (entry,):
        assert dataclasses.is_dataclass(command.result)
        assert command.result.__dataclass_params__.frozen


def test_what_is_printed_is_on_the_page(run: Run, folder: Path) -> None:
    _, _, section = json_page().partition("## `tflm_train inspect`\n")
    section, _, _ = section.partition("\n## ")
    documented = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
    printed = run("inspect", folder / "digits.tflite", "--json").json
    assert list(printed) == documented
