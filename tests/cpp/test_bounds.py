"""Every guard of a fast path that the kernels name has cases within its bound and beyond it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import golden_bounds
from golden_inputs import Suite

from tools.mutate import read_list

_ROOT = Path(__file__).resolve().parents[2]
_TAG = re.compile(r"FAST-PATH-BOUND: (.*)$", re.MULTILINE)
_CASE = re.compile(r'^ *{"bound_(\w+)", ', re.MULTILINE)
_TEST = re.compile(r"^TEST\(Bounds, (\w+)\)", re.MULTILINE)


def tagged() -> dict[str, set[str]]:
    """The names of guards in the sources, and the files that they are in."""
    found: dict[str, set[str]] = {}
    for path in sorted((_ROOT / "tflm_kernels").rglob("*")):
        if path.suffix in (".h", ".cc"):
            for line in _TAG.findall(path.read_text()):
                for name in line.split():
                    found.setdefault(name, set()).add(path.relative_to(_ROOT).as_posix())
    return found


def listed() -> set[str]:
    """All cases that the table names."""
    return {case for bound in golden_bounds.BOUNDS.values() for side in bound for case in side}


def test_the_table_is_complete() -> None:
    assert set(tagged()) == set(golden_bounds.BOUNDS)
    assert all(bound.below and bound.above for bound in golden_bounds.BOUNDS.values())
    assert not any(set(bound.below) & set(bound.above) for bound in golden_bounds.BOUNDS.values())


def test_its_cases_are_those_that_run() -> None:
    tests = _TEST.findall((_ROOT / "tests" / "cpp" / "bounds_test.cc").read_text())
    assert listed() == {*golden_bounds.cases(), *tests}


def test_they_lie_in_the_tables_of_their_operators(tmp_path: Path) -> None:
    suites = {name: Suite(name, name) for name in golden_bounds.SUITES}
    golden_bounds.add_to(suites)
    for suite in suites.values():
        suite.write(tmp_path)
    text = "".join(path.read_text() for path in tmp_path.iterdir())
    assert Counter(_CASE.findall(text)) == Counter(golden_bounds.cases().keys())


def test_each_guard_is_loosened_by_a_mutation() -> None:
    files = tagged()
    loosened: dict[str, set[str]] = {}
    for mutation in read_list():
        if mutation.bound:
            loosened.setdefault(mutation.bound, set()).add(mutation.file)
    assert loosened == files
