"""The library of the kernels for this machine is built to be hard to misuse."""

from __future__ import annotations

import subprocess

import pytest

from tests import requirements
from tflm_train.runtime.host_library import LIBRARY

pytestmark = pytest.mark.interpreter


def _told(*command: str) -> str:
    requirements.programs(command[0])
    return subprocess.run(
        [*command, str(LIBRARY)], capture_output=True, text=True, check=True
    ).stdout


def test_all_is_bound_at_once_and_read_only_then() -> None:
    assert "BIND_NOW" in _told("readelf", "-d") and "GNU_RELRO" in _told("readelf", "-lW")


def test_the_stack_is_guarded() -> None:
    assert "__stack_chk_fail" in _told("nm", "-D", "--undefined-only")


def test_other_symbols_are_hidden() -> None:
    defined = [line.split()[-1] for line in _told("nm", "-D", "--defined-only").splitlines()]
    assert defined and all(name.startswith("TflmTrain") for name in defined)
