"""Every builtin operator's row says all that the other parts of the package ask of it."""

from __future__ import annotations

import pytest
from ai_edge_litert import schema_py_generated as schema

from tflm_train.backward_ops.layer_rule import LayerRule
from tflm_train.backward_ops.rules import RULES
from tflm_train.graph import Op
from tflm_train.ops.builtin import BUILTINS, builtin_of, layer_form_of


@pytest.mark.parametrize("name", RULES)
def test_what_trains_is_known_in_every_respect(name: str) -> None:
    row = BUILTINS[name]
    assert row.shapes is not None
    assert row.memory is not None
    assert row.has_kernel and row.resolver_method


@pytest.mark.parametrize("name", BUILTINS)
def test_rows_agree_with_the_schema(name: str) -> None:
    row = BUILTINS[name]
    assert row.name == name
    assert hasattr(schema.BuiltinOperator, name)
    fewest, most = row.inputs
    assert 0 <= fewest <= most
    assert row.outputs is None or row.outputs >= 0
    if row.options is not None:
        assert hasattr(schema.BuiltinOptions, row.options.__name__.removesuffix("T"))
    if row.memory is not None or row.layer is not None:
        assert row.shapes is not None, "what is counted must have been checked first"
    assert row.has_kernel or row.memory is None


def test_layers_are_those_whose_rule_updates_weights() -> None:
    layers = {row.name for row in BUILTINS.values() if row.layer is not None}
    assert layers == {name for name, rule in RULES.items() if isinstance(rule, LayerRule)}
    for name in layers:
        form = BUILTINS[name].layer
        assert form is not None
        places = {form.input, form.weights, form.bias}
        assert len(places) == 3
        fewest, most = BUILTINS[name].inputs
        assert {form.input, form.weights} <= set(range(fewest))
        assert form.bias in range(fewest, most), "a bias may be left out"


def test_a_custom_op_is_no_builtin_whatever_its_name() -> None:
    assert builtin_of(Op("CONV_2D", [], [])) is BUILTINS["CONV_2D"]
    custom = Op("CONV_2D", [], [], is_custom=True)
    assert builtin_of(custom) is None
    assert layer_form_of(custom) is None


def test_an_operator_without_a_row_is_unknown() -> None:
    assert builtin_of(Op("SKIP_GRAM", [], [])) is None
