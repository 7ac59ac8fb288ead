"""Struct layouts: the sizes that compilers give TFLM's structs."""

from __future__ import annotations

import pytest

from tflm_train.ops.target import CORTEX_M, HOST, Struct, align


@pytest.mark.parametrize(
    ("struct", "cortex_m", "host"),
    [
        (("b",), 1, 1),
        (("ib",), 8, 8),
        (("bd",), 16, 16),
        (("id",), 16, 16),
        ((("di",), "i"), 24, 24),  # the tail of a nested struct is not used
        (("dii",), 16, 16),
        (("PPe",), 12, 24),  # TfLiteEvalTensor
        ((("PPPPPPi",), "P"), 32, 64),  # NodeAndRegistration
        ((("eP",), ("fi",), "PPPeeb"), 32, 64),  # TfLiteTensor
        (("eebbe",), 5, 16),  # TfLiteFullyConnectedParams: short enums on Arm
        (("hhhihi",), 20, 20),
        (("q", "b"), 16, 16),
    ],
)
def test_sizes(struct: Struct, cortex_m: int, host: int) -> None:
    assert CORTEX_M.size_of(*struct) == cortex_m
    assert HOST.size_of(*struct) == host


def test_alignments() -> None:
    assert CORTEX_M.align_of("b") == 1
    assert CORTEX_M.align_of("bP") == 4
    assert HOST.align_of("bP") == 8
    assert CORTEX_M.align_of("b", ("d",)) == 8


def test_align() -> None:
    assert [align(size, 16) for size in (0, 1, 16, 17)] == [0, 16, 16, 32]
