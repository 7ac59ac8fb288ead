"""A scheme applied to a model: which layers train."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.steps import weights_of
from tflm_train.errors import SchemeError
from tflm_train.model import Model
from tflm_train.model.layers import list_layers
from tflm_train.scheme import Head, Scheme, UpdatePlan, resolve
from tflm_train.scheme.signature import Signature

HEAD = 5  # of the resnet


@pytest.fixture
def plan(converted: Callable[[str], Model]) -> Callable[[Scheme], UpdatePlan]:
    return lambda scheme: resolve(scheme, converted("resnet"))


Plan = Callable[[Scheme], UpdatePlan]


def test_the_head_trains_by_itself(plan: Plan) -> None:
    found = plan(Scheme())
    assert found.head.index == HEAD
    assert (found.biases, set(found.weights)) == ({HEAD}, {HEAD})
    assert [layer.index for layer in found.trained] == [HEAD]


def test_biases_last_does_not_count_the_head(plan: Plan) -> None:
    found = plan(Scheme(biases_last=2))
    assert (found.biases, set(found.weights)) == ({3, 4, HEAD}, {HEAD})
    assert plan(Scheme(biases_last=2, head=Head(train=False))).biases == {3, 4}


def test_a_layer_whose_weights_train_trains_its_bias(plan: Plan) -> None:
    found = plan(Scheme(weights=weights_of(1)))
    assert (found.biases, set(found.weights)) == ({1, HEAD}, {1, HEAD})


def test_names(plan: Plan, converted: Callable[[str], Model]) -> None:
    layers = list_layers(converted("resnet").graph)
    short, long = layers[1].name, layers[2].op.output.name
    found = plan(Scheme(bias_layers=(short,), weights=weights_of(long)))
    assert (found.biases, set(found.weights)) == ({1, 2, HEAD}, {2, HEAD})


def test_all_layers(plan: Plan) -> None:
    every = set(range(HEAD + 1))
    assert plan(Scheme(biases_last="all")).biases == every
    assert set(plan(Scheme(biases_last="all")).weights) == {HEAD}
    full = plan(Scheme(weights="all"))
    assert (full.biases, set(full.weights), full.left_out) == (every, every, ())
    assert HEAD not in plan(Scheme(weights="all", head=Head(train=False))).weights


def test_all_leaves_out_what_cannot_train(converted: Callable[[str], Model]) -> None:
    model = converted("opaque")
    for scheme in (Scheme(weights="all"), Scheme(biases_last="all")):
        found = resolve(scheme, model)
        assert [layer.index for layer in found.trained] == [2, 3]
        assert [layer.index for layer, _ in found.left_out] == [0, 1]
        assert all("SPACE_TO_DEPTH" in why for _, why in found.left_out)


def test_all_takes_the_bias_where_the_weights_cannot_train(
    converted: Callable[[str], Model],
) -> None:
    model = converted("resnet")
    weights = list_layers(model.graph)[1].weights
    weights.data = None  # computed
    both = resolve(Scheme(weights="all", biases_last="all"), model)
    assert 1 in both.biases and 1 not in both.weights
    ((layer, why),) = both.left_out
    assert layer.index == 1 and why.startswith("only its bias trains: ") and "is computed" in why


def test_a_scheme_for_another_model(converted: Callable[[str], Model]) -> None:
    model = converted("resnet")
    layers = list_layers(model.graph)
    channels = sum(layer.out_channels for layer in layers[:-1])
    assert resolve(Scheme(model=Signature("mine", len(layers), channels)), model)
    for signature in (Signature("X", len(layers), 1), Signature("X", 1, channels)):
        with pytest.raises(SchemeError, match=r"this scheme is for X, .* use `--preset light`"):
            resolve(Scheme(model=signature, biases_last=99), model)


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        (
            Scheme(weights=weights_of(6)),
            "layer 6 does not exist: resnet has layers 0 to 5; `tflm_train inspect resnet` lists",
        ),
        (Scheme(bias_layers=(99,)), "layer 99 does not exist"),
        (
            Scheme(biases_last=6),
            "update.biases.last: 6 layers asked for, but resnet has 5 below its head (layer 5); "
            "use at most 5, or `all`",
        ),
        (Scheme(head=Head(train=False)), "the scheme trains nothing: name layers under `update`"),
    ],
)
def test_refusals(plan: Plan, scheme: Scheme, words: str) -> None:
    with pytest.raises(SchemeError, match=re.escape(words)):
        plan(scheme)


def test_a_misspelt_name_gets_a_suggestion(plan: Plan, converted: Callable[[str], Model]) -> None:
    name = list_layers(converted("resnet").graph)[1].name
    with pytest.raises(SchemeError) as refusal:
        plan(Scheme(weights=weights_of(name[:-1] + "x")))
    assert f"does not exist in resnet; did you mean {name!r}?" in str(refusal.value)
    with pytest.raises(SchemeError, match=r"'#' does not exist in resnet$"):
        plan(Scheme(weights=weights_of("#")))


def test_an_ambiguous_name_asks_for_an_index(converted: Callable[[str], Model]) -> None:
    model = converted("resnet")
    for layer in list_layers(model.graph)[1:3]:
        layer.op.output.name = "twin"
    with pytest.raises(SchemeError, match=r"'twin' is not unique in resnet \(layers 1, 2\); use"):
        resolve(Scheme(weights=weights_of("twin")), model)


def test_a_layer_named_twice_in_two_ways(converted: Callable[[str], Model]) -> None:
    model = converted("resnet")
    name = list_layers(model.graph)[1].name
    with pytest.raises(SchemeError, match=r"layer 1 .* is named twice"):
        resolve(Scheme(weights=weights_of(1, name)), model)


def test_a_bias_that_is_not_there(converted: Callable[[str], Model]) -> None:
    model = converted("resnet")
    op = list_layers(model.graph)[1].op
    op.inputs[2] = None
    with pytest.raises(SchemeError, match=r"update\.biases\.layers: layer 1 .* has no bias"):
        resolve(Scheme(bias_layers=(1,)), model)
    assert 1 not in resolve(Scheme(biases_last=4), model).biases
    assert 1 not in resolve(Scheme(weights=weights_of(1)), model).biases


def test_a_layer_beside_the_trained_output(converted: Callable[[str], Model]) -> None:
    model = converted("branches")
    graph = model.graph
    add = next(op for op in graph.ops if op.name == "ADD")
    orphan = next(i for i, layer in enumerate(list_layers(graph)) if layer.op.output in add.inputs)
    kept = [t for t in add.inputs if t is not list_layers(graph)[orphan].op.output]
    add.inputs = [kept[0], kept[0]]
    with pytest.raises(SchemeError, match=rf"layer {orphan} .* does not feed the trained output"):
        resolve(Scheme(weights=weights_of(orphan)), model)


def test_models_without_anything_to_train(converted: Callable[[str], Model]) -> None:
    model = converted("resnet")
    model.graph.ops = [op for op in model.graph.ops if op.name == "ADD"]
    with pytest.raises(SchemeError, match=r"no CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED"):
        resolve(Scheme(), model)
    model.graph.outputs = []
    with pytest.raises(SchemeError, match="the model has no output to train"):
        resolve(Scheme(), model)
