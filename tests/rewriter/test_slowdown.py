"""A limit of the forward layers' time, on each core."""

from __future__ import annotations

import pytest

from tests.networks import load_network
from tflm_train.cost.cores import Core
from tflm_train.ops.builtin import KernelSet
from tflm_train.rewriter import RewriteResult, rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.scheme import Scheme


def rewritten(name: str, core: Core, max_slowdown: float) -> RewriteResult:
    return rewrite(
        load_network(name),
        Scheme(biases_last=2),
        core.kernels,
        stream=Streaming.AUTO,
        forward=Forward.AUTO,
        max_slowdown=max_slowdown,
        core=core,
    )


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet"])
def test_the_limit_holds(name: str) -> None:
    for core in (Core.M4, Core.M55):
        free, never_slower = (rewritten(name, core, limit) for limit in (10.0, 1.0))
        assert never_slower.slowdown <= 1.0
        assert free.memory.total_bytes <= never_slower.memory.total_bytes
        assert never_slower.memory.total_bytes <= never_slower.memory_unstreamed.total_bytes
    # CMSIS-NN's vector kernels are faster than ours on these layers.
    assert rewritten(name, Core.M4, 10.0).slowdown < 1.0 < rewritten(name, Core.M55, 10.0).slowdown


def test_cores_and_kernels() -> None:
    assert [core.kernels for core in (Core.M0PLUS, Core.M7, Core.M55)] == [
        KernelSet.CMSIS_NN_BASIC, KernelSet.CMSIS_NN, KernelSet.CMSIS_NN_HELIUM,
    ]  # fmt: skip
    for core in Core:
        assert Core.of(core.kernels).kernels is core.kernels
