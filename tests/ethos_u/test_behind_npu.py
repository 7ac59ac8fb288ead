"""Layers behind what Vela has compiled train, and the NPU finds its memory where it was."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import tflm_train as tt
from tests import requirements
from tests.ethos_u.compiled import compiled, without_classifier, without_npu
from tests.steps import DIGITS, assert_follows_reference, random_inputs, random_target
from tflm_train.errors import SchemeError, UnsupportedError
from tflm_train.memory import KernelSet, memory_report
from tflm_train.model import Model, Op, load
from tflm_train.model.layers import list_layers
from tflm_train.model.offline_plan import METADATA_NAME, npu_places
from tflm_train.ops.npu import ETHOS_U
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.inspection import inspect_model
from tflm_train.rewriter.optimize import Choice, Forward, Streaming, optimize
from tflm_train.rewriter.split import split_model
from tflm_train.scheme import Head, Scheme, WeightUpdate
from tflm_train.scheme.presets import Preset, preset_scheme
from tflm_train.trained.cut import cut
from tflm_train.trained.trainable_model import TrainableModel

BACKBONE = range(8)
LAYERS_ON_NPU = 7
TWO_CALLS = (range(5), range(8, 10))
"""The second one is passed by a residual connection."""
RATE = 0.05

PARTS = {
    "one bias": Scheme(head=Head(train=False), bias_layers=(3,)),
    "biases": Scheme(biases_last=4),
    "some channels": Scheme(weights=(WeightUpdate(0, ratio=0.25), WeightUpdate(2, ratio=0.5))),
    "fresh head": Scheme(head=Head(4), weights=(WeightUpdate(3),)),
    **{preset: preset for preset in Preset},
}


@pytest.fixture(scope="module")
def backbone() -> Model:
    return compiled(load(DIGITS), BACKBONE)


def scheme_of(part: Scheme | Preset, model: Model) -> Scheme:
    return preset_scheme(part, model) if isinstance(part, Preset) else part


def moved(scheme: Scheme) -> Scheme:
    """The scheme for the model before Vela, which has more layers before those."""
    return dataclasses.replace(
        scheme,
        bias_layers=tuple(int(ref) + LAYERS_ON_NPU for ref in scheme.bias_layers),
        weights=tuple(
            dataclasses.replace(update, layer=int(update.layer) + LAYERS_ON_NPU)
            for update in scheme.weights
        ),
    )


def assert_same_steps(one: tt.Interpreter, other: tt.Interpreter) -> None:
    factory = one.state()
    rng = np.random.default_rng(1)
    for x in random_inputs(one.model.graph, 4, seed=5):
        target = random_target(one, rng)
        assert one.train_step(x, target, RATE) == other.train_step(x, target, RATE)
        a, b = one.variables(), other.variables()
        assert list(a) == list(b)
        assert all(np.array_equal(a[name], b[name]) for name in a)
    assert one.state() != factory


@pytest.mark.parametrize("streaming", Streaming)
@pytest.mark.parametrize("part", PARTS)
def test_layers_train_as_in_the_model_before_vela(
    part: str, streaming: Streaming, backbone: Model
) -> None:
    plain, scheme = load(DIGITS), scheme_of(PARTS[part], backbone)
    new = Model(rewrite(backbone, scheme, stream=streaming, forward=Forward.AUTO).model_bytes)
    calls = [op for op in new.graph.ops if ETHOS_U.is_kind_of(op)]
    assert [op.custom_options for op in calls] == [b"\x01"]
    assert_memory_is_as_vela_planned(backbone, new)
    whole = Model(rewrite(plain, moved(scheme)).model_bytes)
    assert_same_steps(tt.Interpreter(without_npu(new, plain, BACKBONE)), tt.Interpreter(whole))


def assert_memory_is_as_vela_planned(before: Model, after: Model) -> None:
    """Operands of each call have their places, and nothing else lives in what a call works in."""
    places = npu_places(before.graph)
    operands = npu_places(after.graph)
    assert list(operands.values()) == list(places.values())
    assert after.metadata(METADATA_NAME) is not None
    plan = memory_report(after, KernelSet.CMSIS_NN).plan
    for time, op in enumerate(after.graph.ops, start=1):
        if ETHOS_U.is_kind_of(op):
            size = max(t.nbytes for t in op.inputs[2:4] if t is not None)
            inside = [b for b in plan.live_at(time) if b.offset < size]
            assert {id(b.tensor) for b in inside} <= operands.keys()


def test_rounding_at_random(backbone: Model) -> None:
    """It depends on the layers' numbers, so the model before Vela rounds otherwise."""
    scheme = Scheme(weights=(WeightUpdate(1), WeightUpdate(3)), residual_bits=4)
    new = Model(rewrite(backbone, scheme).model_bytes)
    assert_follows_reference(without_npu(new, load(DIGITS), BACKBONE))


def test_what_no_gradient_comes_to_is_left_out() -> None:
    """A residual connection passes the second call, but the gradient through it is not whole."""
    model = compiled(load(DIGITS), *TWO_CALLS)
    scheme = preset_scheme(Preset.FULL, model)
    trained = {int(update.layer) for update in scheme.weights} | {*map(int, scheme.bias_layers)}
    layers = list_layers(model.graph)
    second = [op for op in model.graph.ops if ETHOS_U.is_kind_of(op)][1]
    assert trained
    assert all(layers[index].op_index > model.graph.index(second) for index in trained)
    streamed = rewrite(model, scheme, stream=Streaming.AUTO, forward=Forward.FLASH).model_bytes
    assert_memory_is_as_vela_planned(model, Model(streamed))
    new = Model(rewrite(model, scheme).model_bytes)
    assert_memory_is_as_vela_planned(model, new)
    tt.Interpreter(without_npu(new, load(DIGITS), *TWO_CALLS)).train_step(
        random_inputs(new.graph, 1)[0], 1, RATE
    )
    reasons = [layer.why_not for layer in inspect_model(model).layers]
    assert all(reason is not None and "runs on the NPU" in reason for reason in reasons[:3])


def test_what_a_later_call_writes_over_cannot_be_kept() -> None:
    """The call behind the head may overwrite the input of the layer that trains."""
    plain = load(DIGITS)
    graph = plain.graph
    conv = graph.ops[8]
    other = dataclasses.replace(conv.output, name="other", raw=None)
    graph.ops.append(Op(conv.name, list(conv.inputs), [graph.add(other)], conv.options))
    graph.outputs.append(other)
    last = len(graph.ops) - 1
    model = compiled(Model(plain.to_bytes(), "two"), BACKBONE, range(last, last + 1))
    rewrite(model, Scheme(weights=(WeightUpdate(3),)))
    with pytest.raises(UnsupportedError, match=r"after ethos-u \('other'\) has written over it"):
        rewrite(model, Scheme(weights=(WeightUpdate(0),)))


def test_a_plan_stays_with_what_the_npu_works_on(backbone: Model) -> None:
    places = npu_places(backbone.graph).values()
    new = rewrite(backbone, Scheme(biases_last=2)).model_bytes
    merged = Model(tt.merge(new))
    optimized = Model(optimize(backbone, Choice()).model_bytes)
    copy = Model(backbone.source)
    copy.drop_metadata(METADATA_NAME)
    for made in (Model(new), merged, optimized, Model(copy.to_bytes())):
        assert list(npu_places(made.graph).values()) == list(places)
        assert made.metadata(METADATA_NAME) is not None
    assert [op.name for op in merged.graph.ops] == [op.name for op in backbone.graph.ops]
    assert not any("OfflineMemory" in w for w in rewrite(backbone, Scheme()).report.warnings)


def test_the_tail_behind_an_npu_trains_on_latents(backbone: Model) -> None:
    plain, scheme = load(DIGITS), Scheme(weights=(WeightUpdate(2),))
    apart = rewrite(backbone, scheme, apart=True).model_bytes
    parts = split_model(apart, "m.tflite")
    trunk, tail = Model(parts.trunk), Model(parts.tail)
    assert ETHOS_U.is_kind_of(trunk.graph.ops[0])
    assert npu_places(trunk.graph).values() and not npu_places(tail.graph)
    assert not any(ETHOS_U.is_kind_of(op) for op in tail.graph.ops)
    one_piece = TrainableModel.read(Model(rewrite(backbone, scheme).model_bytes))
    assert TrainableModel.read(tail).fingerprint == one_piece.fingerprint
    whole = tt.Interpreter(rewrite(plain, moved(scheme)).model_bytes)
    first = cut(whole.model, trunk.graph.outputs[0].name).trunk
    assert first is not None
    latents, learner = tt.Interpreter(first), tt.Interpreter(tail)
    for label, x in enumerate(random_inputs(plain.graph, 4)):
        loss = whole.train_step(x, label, RATE)
        assert learner.train_step(latents.infer(x), label, RATE) == loss
    with pytest.raises(UnsupportedError, match=r"op 0 \(ethos-u, .*`rewrite --split`"):
        rewrite(backbone, dataclasses.replace(scheme, latent=True))


@pytest.fixture(scope="module")
def features() -> tuple[Model, Model]:
    """The demo's model without its classifier, before and after Vela: 64 features."""
    plain = without_classifier(load(DIGITS))
    return plain, compiled(plain, range(len(plain.graph.ops)))


def test_a_fresh_head_on_features_of_the_npu(features: tuple[Model, Model]) -> None:
    plain, model = features
    scheme = preset_scheme(Preset.HEAD, model, Head(5))
    new = Model(rewrite(model, scheme).model_bytes)
    assert_memory_is_as_vela_planned(model, new)
    assert [t.name for t in new.graph.outputs][:1] == [t.name for t in model.graph.outputs]
    assert new.graph.outputs[0].shape == (1, 5)
    (call,) = [op for op in new.graph.ops if ETHOS_U.is_kind_of(op)]
    call.output.name = plain.graph.outputs[0].name
    new.graph.outputs[0].name = "scores"
    named = Model(new.to_bytes())
    learner = tt.Interpreter(without_npu(named, plain, range(len(plain.graph.ops))))
    samples = random_inputs(plain.graph, 4)
    losses = [[learner.train_step(x, y, 0.01) for y, x in enumerate(samples)] for _ in range(40)]
    assert sum(losses[-1]) < sum(losses[0]) / 2
    hidden = rewrite(model, Scheme(head=Head(5, hidden=(16,))))
    assert len(list_layers(Model(hidden.model_bytes).graph)) == 2


def test_where_no_head_can_stand(features: tuple[Model, Model]) -> None:
    plain, model = features
    with pytest.raises(SchemeError, match=r"put a fresh head behind it \(`--classes N`\), or re"):
        preset_scheme(Preset.HEAD, model)
    with pytest.raises(UnsupportedError, match="class scores"):
        rewrite(model, preset_scheme(Preset.HEAD, model, Head(1)))
    digits = load(DIGITS)
    probabilities = compiled(digits, range(len(digits.graph.ops)))
    plain.graph.ops = plain.graph.ops[:-1]
    plain.graph.outputs = [plain.graph.ops[-1].output]
    image = compiled(Model(plain.to_bytes()), range(len(plain.graph.ops)))
    for last, words in ((probabilities, "gives probabilities"), (image, "1x4x4x64. is no vector")):
        with pytest.raises(SchemeError, match=f"{words}.*the model as it was before Vela"):
            rewrite(last, Scheme(head=Head(5)))


def test_public_models() -> None:
    """Made by Vela itself; they lie beside the repository."""
    zoo = requirements.shared() / "cases" / "zoo"
    model = load(zoo / "ethos_u_02.tflite")
    new = Model(rewrite(model, Scheme(head=Head(5))).model_bytes)
    assert_memory_is_as_vela_planned(model, new)
    assert [t.shape for t in new.graph.outputs[:2]] == [(1, 5), (1, 1, 1, 1)]
    for name, output in (("ethos_u_01", 0), ("ethos_u_02", 1)):
        with pytest.raises(SchemeError, match="is no vector of features that a fresh head could"):
            rewrite(load(zoo / f"{name}.tflite"), Scheme(head=Head(5), output=output))
