"""The measurement of kernels' memory: how its rows are read and kept. Running it needs a TFLM."""

from __future__ import annotations

from benchmarks import kernel_memory

_PRINTED = """\
options 28
init 60
prepare 32
prepare 32
scratch 144
used 2240
file.cc:116 a condition was not true.
refused
init 16
used 948
done
"""


def test_rows() -> None:
    assert list(kernel_memory.parse(_PRINTED)) == [
        "options 28; init 60; prepare 32 + 32; scratch 144; arena 2240",
        "refused",
        "init 16; arena 948",
    ]


def test_other_builds_stay_and_cases_that_are_no_more_go() -> None:
    before = {"rows": {"a": {"one": "1", "two": "2"}, "gone": {"one": "1"}}}
    rows = kernel_memory.merge(before, "two", {"a": "3", "b": "4"})
    assert rows == {"a": {"one": "1", "two": "3"}, "b": {"two": "4"}}
