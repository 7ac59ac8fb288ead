"""Instruction counts against their baseline: what passes and what does not."""

from __future__ import annotations

import json

from benchmarks import kernels

BASELINE = {"a": {"m4": 1000, "m7": 500}, "b": {"m4": 10_000, "m7": 9000}}


def test_growth_of_more_than_two_percent_fails() -> None:
    counted = {"a": {"m4": 1020, "m7": 511}, "b": {"m4": 10_201, "m7": 1}}
    fine, lines = kernels.compare(counted, BASELINE, ["m4", "m7"])
    assert fine == 2
    assert lines == [
        "a on m7: 511 instructions, baseline 500 (+2.2%)",
        "b on m4: 10201 instructions, baseline 10000 (+2.0%)",
    ]


def test_a_case_that_one_side_lacks_fails() -> None:
    counted = {"a": {"m4": 1000}, "c": {"m4": 1, "m7": 1}}
    fine, lines = kernels.compare(counted, BASELINE, ["m4", "m7"])
    assert fine == 1
    assert lines == [
        "a on m7: missing in the benchmark",
        "b on m4: missing in the benchmark",
        "b on m7: missing in the benchmark",
        "c on m4: missing in the baseline",
        "c on m7: missing in the baseline",
    ]


def test_other_cores_are_left_alone() -> None:
    assert kernels.compare({"a": {"m4": 1}, "b": {"m4": 1}}, BASELINE, ["m4"]) == (2, [])


def test_a_count_above_what_is_asked_for_fails() -> None:
    case = next(case for case in kernels.cases() if case.limits)
    limit = case.limits["m7"]
    counted = {case.name: {"m4": case.macs, "m7": int(limit * case.macs) + 1, "m55": 0}}
    (line,) = kernels.above_limits(counted, [case], ["m7", "m55"])
    assert line.startswith(f"{case.name} on m7: ")
    assert f"at most {limit:.2f} allowed" in line


def test_for_size_is_held_to_the_other_level() -> None:
    case = next(case for case in kernels.cases() if case.level_free)
    counted = {case.name: {"m4": 1000, "m4 -Os": 1101, "m7": 1000, "m7 -Os": 1099}}
    (line,) = kernels.above_the_other_level(counted, [case], ["m4", "m4 -Os", "m7", "m7 -Os"])
    assert line.startswith(f"{case.name} on m4 -Os: 1101 instructions, with -O3 1000")
    assert kernels.above_the_other_level(counted, [case], ["m4 -Os"]) == []


def test_the_committed_baseline_is_within_what_is_asked_for() -> None:
    counted = json.loads(kernels.BASELINE.read_text())["instructions"]
    cases = list(kernels.cases())
    assert kernels.above_limits(counted, cases, kernels.CORES) == []
    assert kernels.above_the_other_level(counted, cases, kernels.CORES) == []


def test_the_committed_baseline_has_every_case_on_every_core() -> None:
    counted = json.loads(kernels.BASELINE.read_text())["instructions"]
    assert list(counted) == [case.name for case in kernels.cases()]
    assert all(list(by_core) == kernels.CORES for by_core in counted.values())
