"""What cannot be differentiated is refused with operator, tensor and remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

from tests import raw_model
from tests.loss_models import loss_model
from tests.steps import (
    assert_follows_reference,
    assert_same_inference,
    full_scheme,
    weights_of,
)
from tflm_train.backward_ops.rules import RULES
from tflm_train.errors import UnsupportedError
from tflm_train.model import Model, Op, Quantization
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.inspection import inspect_model
from tflm_train.scheme import Head, Scheme, WeightUpdate

Converted = Callable[[str], Model]
FIRST = Scheme(weights=weights_of(0))


def op_of(model: Model, name: str) -> Op:
    return next(op for op in model.graph.ops if op.name == name)


def refusal_of(model: Model, scheme: Scheme = FIRST) -> str:
    with pytest.raises(UnsupportedError) as refusal:
        rewrite(Model(model.to_bytes(), model.name), scheme)
    return str(refusal.value)


def test_an_operator_without_a_rule(converted: Converted) -> None:
    model = converted("opaque")
    index, op = next((i, o) for i, o in enumerate(model.graph.ops) if o.name == "SPACE_TO_DEPTH")
    assert refusal_of(model, Scheme(bias_layers=(1,))) == (
        f"SPACE_TO_DEPTH (subgraph 0, op {index}, {op.output.name!r}) has no gradient rule; "
        "train layers from 2 on, and leave those before it frozen"
    )


def test_a_frozen_early_part_may_hold_any_operator(converted: Converted) -> None:
    scheme = Scheme(weights=weights_of(2))
    model = converted("opaque")
    new = Model(rewrite(model, scheme).model_bytes)
    assert_same_inference(model, new)
    assert_follows_reference(new)

    def change(raw: Any) -> None:
        raw_model.make_custom(raw, schema.BuiltinOperator.SPACE_TO_DEPTH, b"THEIR_OP", b"x")

    custom = Model(raw_model.edit(model.source, change))
    assert rewrite(custom, scheme).report.ops["CONV_UPDATE"] == 2
    with pytest.raises(UnsupportedError, match=r"THEIR_OP \(subgraph 0, op 2, .*no gradient"):
        rewrite(custom, FIRST)


def _tanh(model: Model) -> None:
    list_layers(model.graph)[1].op.options.fusedActivationFunction = 4


def _asymmetric(model: Model) -> None:
    tensor = list_layers(model.graph)[2].weights
    assert tensor.quantization is not None
    q = tensor.quantization
    tensor.quantization = Quantization(q.scale, q.zero_point + 1, q.axis)


def _int16(model: Model) -> None:
    list_layers(model.graph)[2].op.output.type_code = schema.TensorType.INT16


def _no_scale(model: Model) -> None:
    tensor = list_layers(model.graph)[1].op.output
    tensor.quantization = None
    tensor.raw.quantization = None


def _computed_padding(model: Model) -> None:
    paddings = op_of(model, "PAD").inputs[1]
    assert paddings is not None
    paddings.data = None
    model.graph.inputs.append(paddings)


@pytest.mark.parametrize(
    ("damage", "name", "words"),
    [
        (_tanh, "CONV_2D", "its fused activation TANH has no gradient"),
        (_asymmetric, "CONV_2D", "its weights have a zero point"),
        (_int16, "ADD", "is INT16; only int8 is differentiated"),
        (_no_scale, "CONV_2D", "its activations have no quantization parameters"),
        (_computed_padding, "PAD", "its paddings are computed at run time"),
    ],
)
def test_broken_conditions_of_a_rule(
    converted: Converted, damage: Callable[[Model], None], name: str, words: str
) -> None:
    model = converted("resnet")
    damage(model)
    message = refusal_of(model)
    assert message.startswith(f"{name} (subgraph 0, op ")
    assert words in message
    assert "; train layers from " in message


def test_a_batch(converted: Converted) -> None:
    op = op_of(converted("resnet"), "CONV_2D")
    op.input.shape = (2, *op.input.shape[1:])
    assert RULES[op.name].why_not(op) == "its batch is 2; only batch 1 is trained"


def test_a_mean_over_computed_axes(converted: Converted) -> None:
    model = converted("wide")
    axes = op_of(model, "MEAN").inputs[1]
    assert axes is not None
    axes.data = None
    model.graph.inputs.append(axes)
    assert "its axes are computed at run time" in refusal_of(model)


def test_an_operator_of_which_only_some_outputs_matter(converted: Converted) -> None:
    """A part of a SPLIT that feeds nothing has no gradient; the rest is as before."""
    model = converted("pieces")
    unused = op_of(model, "SPLIT").outputs[1]
    concatenation = op_of(model, "CONCATENATION")
    kept = [t for t in concatenation.inputs if t is not unused]
    assert len(kept) == len(concatenation.inputs) - 1
    concatenation.inputs = [*kept, op_of(model, "SPLIT").outputs[0]]
    changed = Model(model.to_bytes())
    rewritten = Model(rewrite(changed, full_scheme(changed)).model_bytes)
    assert_follows_reference(rewritten)


def test_a_transposed_convolution_trains_whole(converted: Converted) -> None:
    model = converted("upsampling")
    layer = next(x for x in list_layers(model.graph) if x.op.name == "TRANSPOSE_CONV")
    part = Scheme(weights=(WeightUpdate(layer.index, ratio=0.5),))
    assert "trains as a whole or not at all" in refusal_of(model, part)


def test_a_softmax_has_no_beta(converted: Converted) -> None:
    model = converted("mobilenet")
    op_of(model, "SOFTMAX").options.beta = 2.0
    assert "(SOFTMAX): beta is 2.0; only beta 1 trains" in refusal_of(model)
    model = converted("resnet")
    model.graph.outputs[0].type_code = schema.TensorType.INT16
    assert "are INT16, not quantized int8" in refusal_of(model)


def test_only_the_refused_layer_s_part_matters(converted: Converted) -> None:
    """A condition broken in a frozen layer before every trained one is nobody's business."""
    model = converted("resnet")
    _tanh(model)
    later = Scheme(weights=weights_of(3), head=Head(train=False))
    assert rewrite(Model(model.to_bytes()), later).report.layers[0].index == 3


class TestInspection:
    def test_reasons(self, converted: Converted) -> None:
        layers = inspect_model(converted("opaque")).layers
        assert [layer.trainable for layer in layers] == [False, False, True, True]
        for layer in layers[:2]:
            assert layer.why_not.startswith("op 2 (SPACE_TO_DEPTH, ")
            assert layer.why_not.endswith(
                "the operator has no gradient rule; train layers from 2 on, and leave those before "
                "it frozen"
            )
        assert layers[2].why_not is None

    def test_agrees_with_the_rewriter(self, converted: Converted) -> None:
        for name in ("opaque", "mobilenet"):
            model = converted(name)
            for layer in inspect_model(model).layers:
                scheme = Scheme(weights=weights_of(layer.index))
                if layer.trainable:
                    rewrite(model, scheme)
                else:
                    refusal_of(model, scheme)

    def test_numbers(self, converted: Converted) -> None:
        model = converted("mobilenet")
        described = inspect_model(model)
        layer = described.layers[1]
        assert (layer.op, layer.op_index) == ("DEPTHWISE_CONV_2D", 1)
        assert layer.input_shape == (1, 8, 6, 8) and layer.output_shape == (1, 8, 6, 16)
        assert layer.weight_shape == (1, 3, 3, 16) and layer.weight_bytes == 144
        assert layer.macs == 8 * 6 * 16 * 9
        assert layer.bias_kept_bytes == 16 * 4 + 8 * 6 * 16 // 8
        assert layer.weight_kept_bytes == 2 * 144 + 16 * 4 + 8 * 6 * 16 // 8 + 8 * 6 * 8
        assert described.ops["DEPTHWISE_CONV_2D"] == 3
        assert described.bytes == len(model.source)

    def test_a_model_without_a_trainable_output(self, converted: Converted) -> None:
        model = converted("resnet")
        _int16(model)
        model.graph.outputs[0].type_code = schema.TensorType.INT16
        described = inspect_model(Model(model.to_bytes()))
        layers = described.layers
        assert not any(layer.trainable for layer in layers)
        words = "not quantized int8; convert it with int8 activations"
        assert all(layer.why_not.endswith(words) for layer in layers)
        assert all(reason.endswith(words) for reason in described.losses.values())

    def test_losses_of_an_output(self, converted: Converted) -> None:
        losses = inspect_model(converted("mobilenet")).losses
        assert losses["softmax_cross_entropy"] is None
        assert losses["mean_squared_error"].endswith("use that loss, not mean_squared_error")
        model = converted("resnet")
        model.graph.outputs = [list_layers(model.graph)[2].op.output]
        losses = inspect_model(Model(model.to_bytes())).losses
        assert losses["mean_squared_error"] is None
        assert losses["softmax_cross_entropy"] is None, "at each position"

    def test_a_layer_beside_the_output(self) -> None:
        model = Model(loss_model("two_outputs"))
        for output in (0, 1):
            layers = inspect_model(model, output=output).layers
            beside = [x.why_not for x in layers if not x.trainable]
            assert beside == [
                f"it does not feed output {output}; leave it out, or train another output "
                "(`output: NUMBER` in a scheme)"
            ]
