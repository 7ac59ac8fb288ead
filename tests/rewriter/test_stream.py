"""STREAMs against the builtin ops that they replace, in the TFLM interpreter."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tflm_train as tt
from tests.memory.test_memory_report import assert_predicted
from tests.networks import load_network
from tests.random_layers import random_stack
from tests.stacks import Stack
from tflm_train.cost.estimate import builtin_instructions
from tflm_train.cost.macs import forward_macs
from tflm_train.errors import ModelError
from tflm_train.memory import memory_report
from tflm_train.model import Model
from tflm_train.model.offline_plan import read_offsets, write_offsets
from tflm_train.ops import Stream, unpack
from tflm_train.rewriter import optimize as optimize_module
from tflm_train.rewriter.emit_stream import make_stream
from tflm_train.rewriter.fold_pad import fold_pads
from tflm_train.rewriter.optimize import Choice, Forward, Streaming, optimize
from tflm_train.rewriter.stream import can_stream, find_run

LIMIT = 6000
"""Largest activation, in elements: the reference kernels are slow."""

pytestmark = pytest.mark.interpreter


@st.composite
def stacks(draw: Any) -> Model:
    return random_stack(lambda low, high: draw(st.integers(low, high)), LIMIT).finish()


def streamed(model: Model) -> Model:
    """All ops as one STREAM."""
    work = Model(model.source, model.name)
    assert all(map(can_stream, work.graph.ops))
    ops = work.graph.ops
    run = find_run(ops, {id(t) for t in work.graph.outputs})
    assert run is not None
    op = make_stream(work.graph, run)
    op.custom_options = op.params.pack()
    work.graph.ops = [op]
    work.drop_unused_tensors()
    return Model(work.to_bytes(), "streamed")


def assert_same_outputs(model: Model, other: Model, count: int = 2) -> None:
    before, after = tt.Interpreter(model), tt.Interpreter(other)
    x = model.graph.inputs[0]
    rng = np.random.default_rng(1)
    for _ in range(count):
        value = rng.integers(-128, 128, x.shape).astype(np.int8)
        np.testing.assert_array_equal(before.infer(value), after.infer(value))


@given(stacks())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_stacks(model: Model) -> None:
    assert_same_outputs(model, streamed(model))
    assert_same_outputs(model, Model(optimize(model).model_bytes), 1)


def residual_stack() -> Model:
    stack = Stack.start(12, 10, 3, 5)
    stack.pad((1, 1, 1, 1))
    stack.conv(8, 3, 2, False, 3)
    skip = stack.top
    stack.conv(16, 1, 1, True, 3)
    stack.depthwise(1, 3, 1, True, 3)
    stack.conv(8, 1, 1, True, 0)
    stack.add(skip, 0)
    stack.pad((1, 1, 1, 1))
    stack.conv(4, 3, 1, False, 1)
    return stack.finish()


def test_rings_hold_what_is_needed_and_no_more() -> None:
    (op,) = streamed(residual_stack()).graph.ops
    params = unpack(op.custom_options or b"")
    assert isinstance(params, Stream)
    # Kernel rows; one row where a 1x1 layer reads it; the skip's lag; the last is whole.
    assert [s.ring_rows for s in params.stages] == [2, 3, 1, 1, 3, 6]


def test_memory_model_agrees_with_the_interpreter() -> None:
    assert_predicted(streamed(residual_stack()))
    assert_predicted(Model(optimize(residual_stack()).model_bytes))


@pytest.mark.parametrize(
    ("stage", "change", "words"),
    [
        (4, {"ring_rows": 2}, "a ring buffer holds too few rows"),
        (5, {"ring_rows": 5}, "ring_rows is 5, must be 6"),
        (1, {"source": 1}, "source is 1, must be -1 to 0"),
        (1, {"stage_kind": 3}, "stage_kind is 3, must be 0 to 2"),
        (1, {"constants": 16}, "constants is 16, must be "),
        (1, {"weights_input": 2}, "weights"),
        (1, {"bias_input": 3}, "bias_input is 3, must be"),
        (2, {"multiplier": 2}, "in_c * multiplier is 32, must be 16"),
        (3, {"source": 0}, "in_c is 16, must be 8"),
        (0, {"source": -2}, "source is -2"),
        (1, {"mask_output": 2}, "mask_output is 2, must be 1"),
        (1, {"mask_output": 1}, "mask"),
        (1, {"kept_channels": 1}, "kept_channels is 1, must be 0"),
        (5, {"kept_output": 1, "kept_channels": 4}, "kept_channels is 4, must be 1 to 3"),
    ],
)
def test_inconsistent_programs_are_refused(stage: int, change: dict[str, int], words: str) -> None:
    model = streamed(residual_stack())
    (op,) = model.graph.ops
    params = unpack(op.custom_options or b"")
    assert isinstance(params, Stream)
    stages = list(params.stages)
    stages[stage] = dataclasses.replace(stages[stage], **change)  # type: ignore[arg-type]
    op.custom_options = Stream(tuple(stages)).pack()
    with pytest.raises(ModelError) as error:
        tt.Interpreter(model.to_bytes())
    assert words in str(error.value)


def test_pad_goes_into_same_where_positions_agree() -> None:
    model = residual_stack()
    assert fold_pads(model.graph) == 1
    # Of stride 2 on an even side SAME pads after the data only.
    assert [op.name for op in model.graph.ops].count("PAD") == 1
    assert_same_outputs(residual_stack(), Model(model.to_bytes()))


def test_choices() -> None:
    model = residual_stack()
    arenas = {}
    for stream in Streaming:
        for forward in Forward:
            result = optimize(model, Choice(stream, forward))
            assert_same_outputs(model, Model(result.model_bytes), 1)
            assert result.after.total_bytes <= result.before.total_bytes
            arenas[stream, forward] = result.after.total_bytes
            depths = [len(layers) for layers in result.streams]
            if stream is Streaming.OFF:
                assert all(depth == 1 for depth in depths)
            if forward is Forward.BUILTIN:
                assert all(depth > 1 for depth in depths)
    assert arenas[Streaming.AUTO, Forward.AUTO] == min(arenas.values())
    unchanged = optimize(model, Choice(Streaming.OFF, Forward.BUILTIN))
    assert unchanged.streams == [] and unchanged.folded_pads == 1


def shrinking_stack() -> Model:
    """Two blocks; the first one's output is smaller than its input, row by row."""
    stack = Stack.start(24, 24, 4, 7)
    stack.conv(8, 3, 2, True, 3)
    stack.conv(4, 1, 1, True, 0)
    stack.conv(24, 1, 1, True, 3)
    stack.depthwise(1, 3, 2, True, 3)
    stack.conv(6, 1, 1, True, 0)
    return stack.finish()


def test_output_is_written_over_the_input() -> None:
    model = shrinking_stack()
    small = Model(optimize(model).model_bytes)
    offsets = read_offsets(small)
    pinned = [t for t in small.graph.tensors if id(t) in offsets]
    assert small.graph.inputs[0] in pinned and len(pinned) >= 2
    apart = Model(small.source)
    write_offsets(apart, {})
    totals = [memory_report(Model(m.to_bytes())).total_bytes for m in (small, apart)]
    assert totals[0] < totals[1]
    assert_same_outputs(model, small)
    assert_predicted(small)
    free = Model(optimize(model, Choice(pins=False)).model_bytes)
    assert read_offsets(free) == {}
    assert memory_report(free).total_bytes == totals[1]
    # The plan that keeps all tensors for a debugger takes no offsets.
    value = np.full(model.graph.inputs[0].shape, 3, np.int8)
    whole = tt.Interpreter(small, preserve_all=True)
    np.testing.assert_array_equal(tt.Interpreter(model).infer(value), whole.infer(value))


def test_zeros_of_kernels_are_left_out() -> None:
    stack = Stack.start(9, 9, 3, 2)
    stack.conv(4, 4, 2, True, 3)
    stack.depthwise(1, 4, 1, False, 0)
    for op in stack.model.graph.ops:
        weights = op.inputs[1]
        assert weights is not None and weights.data is not None
        weights.data = weights.data.copy()
        weights.data[:, :1] = 0
        weights.data[:, :, 3:] = 0
    model = stack.finish()
    small = streamed(model)
    params = unpack(small.graph.ops[0].custom_options or b"")
    assert isinstance(params, Stream)
    # The second layer has no padding that could take its leading row's place.
    sizes = [(s.geometry.k_h, s.geometry.k_w, s.geometry.pad_t) for s in params.stages]
    assert sizes == [(3, 3, 0), (4, 3, 0)]
    assert forward_macs(model.graph) == 5 * 5 * 4 * 16 * 3 + 2 * 2 * 4 * 16
    assert forward_macs(small.graph) == 5 * 5 * 4 * 9 * 3 + 2 * 2 * 4 * 12
    assert_same_outputs(model, small)


def test_slowdown_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    # As if the builtin ops were the faster ones.
    def third(*case: Any) -> float:
        return builtin_instructions(*case) / 3

    monkeypatch.setattr(optimize_module, "builtin_instructions", third)
    model = residual_stack()
    free = optimize(model)
    limited = optimize(model, Choice(max_slowdown=1.2))
    assert limited.slowdown <= 1.2 < free.slowdown
    assert limited.after.total_bytes >= free.after.total_bytes


REAL = {
    "ds_cnn": 18_000,
    "mobilenet_v1": 18_000,
    "mobilenet_v2": 18_000,
    "resnet": 18_000,
    "mbv2-w0.35": 115_000,
    "mbv2-w0.35.nopad": 115_000,
    "mcunet-5fps": 115_000,
    "mcunet-5fps.nopad": 115_000,
    "proxyless-w0.3": 110_000,
    "proxyless-w0.3.nopad": 110_000,
    "vww_96_int8": 50_354,
    "person_detect": 41_154,
    "kws_ref_model": 20_000,
    "pretrainedResnet_quant": 27_000,
    "str_ww_ref_model": 9_000,
    "micro_speech_quantized": 6_836,
    "vww": 109_000,
    "mcunetv2_large": 1_300_000,
}


@pytest.mark.parametrize("name", REAL)
def test_real_models(name: str) -> None:
    model = load_network(name)
    result = optimize(model)
    assert result.after.total_bytes <= REAL[name]
    before, after = tt.Interpreter(model), tt.Interpreter(result.model_bytes)
    rng = np.random.default_rng(2)
    x = model.graph.inputs[0]
    for _ in range(20 if x.size < 60_000 else 2):
        value = rng.normal(size=x.shape) if x.type_name == "FLOAT32" else None
        if value is None:
            value = rng.integers(np.iinfo(x.dtype).min, np.iinfo(x.dtype).max + 1, x.shape)
        sample = value.astype(x.dtype)
        np.testing.assert_array_equal(before.infer(sample), after.infer(sample))
