"""The kernels' measurement on the host: what is measured of which operator."""

from __future__ import annotations

from benchmarks import host_kernels, kernels
from tflm_train import ops


def test_kernels_and_naive_loops_are_measured() -> None:
    point = kernels.layer(4, 8, 12)
    none, bits = ops.MaskFields(), ops.MaskFields(int(ops.MaskKind.BITS), -128, 127)
    masked, plain, mask = host_kernels.measure(
        [
            kernels.conv_input_grad(point, bits),
            kernels.conv_input_grad(point, none),
            ops.ClampMask(64, -128, 127),
        ]
    )
    assert masked.naive_nanoseconds is None and mask.naive_nanoseconds is None
    assert plain.naive_nanoseconds is not None and plain.speedup is not None
    if host_kernels.has_callgrind():
        assert masked.instructions and plain.instructions and mask.instructions
        # The naive loop needs at least an instruction per multiply-accumulate.
        assert plain.naive_instructions and plain.naive_instructions > kernels.macs(point, False)
        assert masked.naive_instructions is None
