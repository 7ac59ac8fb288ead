"""The cost model: its parts add up, its table covers what it should, its figures are sane."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest

from benchmarks.op_shapes import op_shapes
from tests.networks import NETWORKS, load_network
from tests.ops.op_samples import SAMPLES
from tests.steps import full_scheme
from tflm_train import ops
from tflm_train.cost import estimate
from tflm_train.cost.cores import Core
from tflm_train.cost.cycles import CYCLES_PER_INSTRUCTION
from tflm_train.cost.estimate import layer_instructions, op_cost, step_cost
from tflm_train.cost.features import Features, features_of, features_of_params, params_of
from tflm_train.cost.flash import flash_bytes, kernel_bytes
from tflm_train.cost.table import coefficients
from tflm_train.model import Model
from tflm_train.ops.builtin import KernelSet
from tflm_train.ops.geometry import Geometry
from tflm_train.rewriter import rewrite
from tflm_train.scheme.presets import Preset, preset_scheme


@pytest.fixture(scope="module")
def trained() -> Model:
    model = load_network("mobilenet_v2")
    return Model(rewrite(model, full_scheme(model)).model_bytes, "trained")


@pytest.mark.parametrize("core", list(Core))
def test_every_training_op_is_measured(core: Core) -> None:
    table = coefficients(core)
    assert {op.OP for op in ops.ALL} <= table.keys()
    assert all(value >= 0 for row in table.values() for value in row.values())
    assert all(any(row.values()) for row in table.values())
    assert CYCLES_PER_INSTRUCTION[core]


def _unknown(features: Iterable[Features], core: Core) -> set[tuple[str, str]]:
    """The features that no sample of a fit had: they would count as nothing."""
    table = coefficients(core)
    return {
        (f.kind, name)
        for f in features
        for name, value in f.values.items()
        if value and name not in table[f.kind]
    }


@pytest.mark.parametrize("core", list(Core))
def test_every_shape_is_measured(core: Core) -> None:
    assert _unknown(map(features_of_params, [*op_shapes(), *SAMPLES]), core) == set()


@pytest.fixture(scope="module")
def of_networks() -> list[Features]:
    """What the training ops of all test networks depend on, as everything and as little trains."""
    found = []
    for model in map(load_network, NETWORKS):
        for scheme in (full_scheme(model), preset_scheme(Preset.MEDIUM, model)):
            graph = Model(rewrite(model, scheme).model_bytes).graph
            found += [features_of(op) for op in graph.ops if params_of(op) is not None]
    return found


@pytest.mark.parametrize("core", list(Core))
def test_every_layer_is_measured(of_networks: list[Features], core: Core) -> None:
    assert _unknown(of_networks, core) == set()


@pytest.mark.parametrize("core", list(Core))
def test_a_shape_that_was_not_measured_is_named(trained: Model, core: Core) -> None:
    (op, *_) = [op for op in trained.graph.ops if op.name.endswith("CONV_UPDATE")]
    features = features_of(op)
    assert op_cost(op, core).is_measured
    with pytest.MonkeyPatch.context() as patch:
        other = dataclasses.replace(features, values={**features.values, "in fifths": 7.0})
        patch.setattr(estimate, "features_of", lambda _: other)
        assert not op_cost(op, core).is_measured
        assert step_cost([op], core).unmeasured == (op.name,)


@pytest.mark.parametrize("core", list(Core))
def test_a_first_layer_of_many_positions_takes_its_time(core: Core) -> None:
    g = Geometry.from_options((30, 28, 3), 32, (3, 3), padding="SAME")
    fields = ops.UpdateFields(0, 3, -5, 8, 6, 0, 3, 0, 3, 3)
    features = features_of_params(ops.ConvUpdate(g, fields))
    row = coefficients(core)["CONV_UPDATE"]
    instructions = sum(row[name] * value for name, value in features.values.items() if value)
    assert instructions > g.positions * 32 * 27 / 2


@pytest.mark.parametrize("core", list(Core))
def test_a_step_is_the_sum_of_its_ops(trained: Model, core: Core) -> None:
    step = step_cost(trained.graph.ops, core)
    assert len(step.per_op) == len(trained.graph.ops)
    assert step.instructions == pytest.approx(sum(op.instructions for op in step.per_op), abs=1)
    assert step.unmeasured == ()
    assert step.milliseconds(2 * 64_000_000) == pytest.approx(step.milliseconds(64_000_000) / 2)
    # Each takes something, and none all of it.
    assert all(0 < op.cycles < step.cycles for op in step.per_op)


def test_cores_are_as_fast_as_they_are(trained: Model) -> None:
    cycles = [
        step_cost(trained.graph.ops, core, core.kernels).cycles
        for core in (Core.M0PLUS, Core.M3, Core.M4, Core.M7, Core.M55)
    ]
    assert cycles == sorted(cycles, reverse=True)


def test_reference_kernels_are_slower() -> None:
    graph = load_network("mobilenet_v1").graph
    fast, slow = (
        step_cost(graph.ops, Core.M4, kernels).instructions
        for kernels in (KernelSet.CMSIS_NN, KernelSet.REFERENCE)
    )
    assert 3.5 * fast < slow <= 4 * fast


def test_what_is_not_measured_is_named() -> None:
    model = load_network("mobilenet_v1")
    op = dataclasses.replace(model.graph.ops[0], name="COS", options=None)
    cost = op_cost(op, Core.M4)
    assert (cost.instructions, cost.is_measured) == (0, False)
    assert step_cost([op], Core.M4).unmeasured == ("COS",)


@pytest.mark.parametrize("kind", list(ops.StageKind))
def test_more_work_takes_longer(kind: ops.StageKind) -> None:
    size = 1 if kind is ops.StageKind.ADD else 3
    for core in Core:
        times = [
            layer_instructions(
                kind,
                Geometry.from_options((side, side, 16), 16, (size, size), padding="SAME"),
                core,
            )
            for side in (4, 8, 16)
        ]
        assert 0 < times[0] < times[1] < times[2]


@pytest.mark.parametrize("core", list(Core))
def test_flash(trained: Model, core: Core) -> None:
    flash = flash_bytes(len(trained.source), trained.graph.ops, core)
    assert flash.total_bytes == len(trained.source) + flash.kernel_bytes
    every = kernel_bytes([ops.OP_PREFIX + op.OP for op in ops.ALL], core)
    assert 0 < flash.kernel_bytes < every
    # What several ops share counts once.
    alone = [kernel_bytes([name], core) for name in {op.name for op in trained.graph.ops}]
    assert max(alone) < flash.kernel_bytes < sum(alone)
    assert kernel_bytes(["CONV_2D", "SOFTMAX"], core) == 0
