"""The arena plan against the interpreter's own account of its memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import tflm_train as tt
from tests.models import CONVERTED, TRAINABLE
from tests.steps import full_scheme, weights_of
from tflm_train.model import Model
from tflm_train.rewriter.memory import plan_arena
from tflm_train.rewriter.report import arena_summary
from tflm_train.rewriter.scratch import scratch_bytes
from tflm_train.runtime.host_library import captured_stderr
from tflm_train.scheme import Head, Scheme


def allocated_head(model: Model) -> int:
    """Bytes of the planned ("head") part of the arena, as TFLM reports them."""
    interpreter = tt.Interpreter(model)
    with captured_stderr() as lines:
        interpreter._interpreter.print_allocations()
    found = re.search(r"Arena allocation head (\d+) bytes", "\n".join(lines))
    assert found is not None
    return int(found[1])


def assert_planned_exactly(model: Model) -> None:
    plan = plan_arena(model.graph, scratch_bytes(model.graph))
    assert plan.bytes == allocated_head(model)
    assert arena_summary(model.graph)["activation_bytes"] == plan.bytes
    for i, a in enumerate(plan.buffers):
        for b in plan.buffers[:i]:
            if a.first <= b.last and b.first <= a.last:
                assert a.offset + a.size <= b.offset or b.offset + b.size <= a.offset
    assert max(sum(b.size for b in plan.live_at(t)) for t in range(99)) <= plan.bytes
    assert plan.live_at(plan.peak_time())


@pytest.mark.parametrize("name", CONVERTED)
def test_originals(converted: Callable[[str], Model], name: str) -> None:
    assert_planned_exactly(converted(name))


@pytest.mark.parametrize("name", TRAINABLE)
def test_rewritten(converted: Callable[[str], Model], name: str) -> None:
    model = converted(name)
    for scheme in (
        Scheme(),
        Scheme(biases_last=2),
        Scheme(weights=weights_of(0), head=Head(classes=40)),
        full_scheme(model),
    ):
        result = tt.rewrite(model, scheme)
        new = Model(result.model_bytes)
        assert_planned_exactly(new)
        assert result.report["arena"] == arena_summary(new.graph)
        assert result.report["arena_before"] == arena_summary(model.graph)


@pytest.mark.interpreter
def test_digits(digits: Model) -> None:
    assert_planned_exactly(digits)
    assert_planned_exactly(Model(tt.rewrite(digits, full_scheme(digits)).model_bytes))


@pytest.mark.interpreter
@pytest.mark.parametrize("name", ["kws_ref_model", "mcunet-5fps.nopad", "pretrainedResnet_quant"])
def test_real_models(shared: Path, name: str) -> None:
    model = tt.load(shared / "models" / f"{name}.tflite")
    assert_planned_exactly(model)
    new = tt.rewrite(model, Scheme(biases_last=6, weights=weights_of(4)))
    assert_planned_exactly(Model(new.model_bytes))


def test_summary_adds_up(digits: Model) -> None:
    result = tt.rewrite(digits, full_scheme(digits))
    arena = result.report["arena"]
    parts = ("activation_bytes", "variable_bytes", "structure_bytes")
    assert arena["total_bytes"] == sum(arena[part] for part in parts)
    variables = [t for t in Model(result.model_bytes).graph.tensors if t.is_variable]
    assert arena["variable_bytes"] == sum(-(-t.nbytes // 16) * 16 for t in variables)
    assert result.report["flash"] == {
        "original_bytes": len(digits.source),
        "rewritten_bytes": len(result.model_bytes),
    }
