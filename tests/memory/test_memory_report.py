"""The memory model against the interpreter's own account of its arena, on this host."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import pytest

import tflm_train as tt
from tests.memory.host import ALIGNMENT, host_target
from tests.models import CONVERTED, OPERATORS, TRAINABLE
from tests.networks import NETWORKS, load_network
from tests.steps import full_scheme, weights_of
from tflm_train.memory import KernelSet, memory_report
from tflm_train.memory.planner import BufferKind
from tflm_train.model import Model
from tflm_train.model.offline_plan import write_offsets
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.report import RewriteFlash
from tflm_train.runtime.host_library import captured_stderr
from tflm_train.scheme import Head, Scheme, WeightUpdate


def allocated(model: Model) -> dict[str, int]:
    """Bytes of the whole arena and of its planned part ("head"), as TFLM reports them."""
    interpreter = tt.Interpreter(model)
    with captured_stderr() as lines:
        interpreter._interpreter.print_allocations()
    found = re.findall(r"Arena allocation (total|head) (\d+) bytes", "\n".join(lines))
    return {name: int(size) for name, size in found}


def assert_predicted(model: Model) -> None:
    target = host_target()
    # Where the arena ends is the allocator's whim.
    reports = [
        memory_report(model, KernelSet.REFERENCE, target=target, misalignment=k)
        for k in range(ALIGNMENT)
    ]
    plan = reports[0].plan
    actual = allocated(model)
    assert plan.bytes == actual["head"]
    assert actual["total"] in {report.total_bytes for report in reports}
    for i, a in enumerate(plan.buffers):
        for b in plan.buffers[:i]:
            if a.first <= b.last and b.first <= a.last:
                # A STREAM writes its output over its input.
                shared = a.is_pinned and b.is_pinned and (a.last == b.first or b.last == a.first)
                assert shared or a.end <= b.offset or b.end <= a.offset
    assert len(plan.live_bytes()) == len(plan.heights()) == len(model.graph.ops) + 1
    assert max(plan.live_bytes()) <= plan.bytes
    peak = {k for b in plan.live_at(plan.peak_time()) for k in range(b.offset, b.end)}
    assert len(peak) == reports[0].peak_bytes == max(plan.live_bytes())


@pytest.mark.parametrize("name", CONVERTED)
def test_originals(converted: Callable[[str], Model], name: str) -> None:
    assert_predicted(converted(name))


@pytest.mark.parametrize(
    "scheme",
    [
        Scheme(),
        Scheme(biases_last=2),
        Scheme(weights=weights_of(0), head=Head(classes=40), residual_bits=0),
        Scheme(weights=(WeightUpdate(1, ratio=0.5),), residual_bits=4),
        None,
    ],
    ids=["head", "biases", "first_layer", "half_a_layer", "full"],
)
@pytest.mark.parametrize("name", TRAINABLE)
def test_rewritten(converted: Callable[[str], Model], name: str, scheme: Scheme | None) -> None:
    model = converted(name)
    chosen = full_scheme(model) if scheme is None else scheme
    assert_predicted(Model(rewrite(model, chosen).model_bytes))


@pytest.mark.parametrize("name", OPERATORS)
def test_the_other_operators(converted: Callable[[str], Model], name: str) -> None:
    model = converted(name)
    assert_predicted(model)
    assert_predicted(Model(rewrite(model, full_scheme(model)).model_bytes))


@pytest.mark.interpreter
def test_digits(digits: Model) -> None:
    assert_predicted(digits)
    assert_predicted(Model(rewrite(digits, full_scheme(digits)).model_bytes))


@pytest.mark.interpreter
def test_variables_that_the_model_itself_places(digits: Model) -> None:
    """Vela plans them with everything else."""
    model = Model(rewrite(digits, full_scheme(digits)).model_bytes)
    at = memory_report(model).plan.bytes
    offsets = {}
    for tensor in model.graph.tensors:
        if tensor.is_variable and "residual" in tensor.name:
            offsets[id(tensor)] = at
            at += -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT
    write_offsets(model, offsets)
    assert_predicted(Model(model.to_bytes()))


@pytest.mark.interpreter
@pytest.mark.parametrize(
    "name",
    [
        *NETWORKS, "kws_ref_model", "mcunet-5fps.nopad", "pretrainedResnet_quant",
        "trained_lstm_int8", "keyword_scrambled_8bit",
    ],
)  # fmt: skip
def test_real_models(name: str) -> None:
    assert_predicted(load_network(name))


@pytest.mark.interpreter
@pytest.mark.parametrize("residual_bits", [8, 4, 0])
@pytest.mark.parametrize("name", NETWORKS)
def test_rewritten_networks(name: str, residual_bits: int) -> None:
    scheme = dataclasses.replace(NETWORKS[name].scheme, residual_bits=residual_bits)
    assert_predicted(Model(rewrite(load_network(name), scheme).model_bytes))


@pytest.mark.interpreter
@pytest.mark.parametrize("name", ["kws_ref_model", "mcunet-5fps.nopad", "pretrainedResnet_quant"])
def test_rewritten_real_models(name: str) -> None:
    model = load_network(name)
    scheme = Scheme(biases_last=6, weights=weights_of(4))
    assert_predicted(Model(rewrite(model, scheme).model_bytes))


def test_buffers_of_no_tensor_are_scratch(digits: Model) -> None:
    plan = memory_report(Model(rewrite(digits, full_scheme(digits)).model_bytes)).plan
    scratch = [b for b in plan.buffers if b.kind is BufferKind.SCRATCH]
    assert scratch
    assert scratch == [b for b in plan.buffers if b.tensor is None]


def test_the_rewrite_report_adds_up(digits: Model) -> None:
    result = rewrite(digits, full_scheme(digits))
    arena = result.report.arena
    assert arena.total_bytes == sum(arena.parts().values()) <= arena.minimum_bytes
    assert arena == memory_report(Model(result.model_bytes)).arena()
    assert result.report.arena_before == memory_report(digits).arena()
    flash = result.flash
    assert flash.model_bytes == len(result.model_bytes) and flash.kernel_bytes > 0
    assert result.report.flash == RewriteFlash(
        len(digits.source), flash.model_bytes, flash.kernel_bytes, flash.total_bytes
    )
