"""What an op's time grows with: numbers of multiply-accumulates, elements and the like.

An op's instructions are estimated as the sum of its features, each times a coefficient of its kind
of op and the core. All features follow from parameters and shapes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tflm_train import ops
from tflm_train.backward_ops.rules import RULES, layer_rule_of
from tflm_train.cost.amounts import (
    GROUP,
    HALF_VECTOR,
    PAIR,
    VECTOR,
    Values,
    inner_taps,
    inside,
    masked,
    named,
    round_up,
    taps,
    window,
)
from tflm_train.cost.builtin_features import SAME_KERNEL, builtin_values, in_type
from tflm_train.cost.unweighted import UNWEIGHTED, resize_grad
from tflm_train.graph import TRAINING_OP_PREFIX, Op
from tflm_train.ops.builtin import layer_form_of
from tflm_train.ops.geometry import Geometry

_ONCE = "once"
_PART = 512  # positions that an update sums at a time


@dataclass(frozen=True)
class Features:
    """What the time of an op depends on.

    Attributes:
      kind: The kind of op, which has coefficients of its own.
      values: How much there is of each thing that takes time.
    """

    kind: str
    values: Values


def params_of(op: Op) -> ops.Params | None:
    """The parameters of a training op, of a graph or of a file; None of other ops."""
    params = getattr(op, "params", None)
    if isinstance(params, ops.TrainingOp):
        return params
    if op.name.startswith(TRAINING_OP_PREFIX) and op.custom_options is not None:
        return ops.unpack(op.custom_options)
    return None


def features_of(op: Op) -> Features:
    """What the time of an op depends on, be it a builtin operator or one of ours."""
    params = params_of(op)
    if params is None:
        return _builtin(op)
    if isinstance(params, ops.ResizeGrad):
        inputs = ops.ResizeGrad.inputs_of(op)
        return _once(params.OP, resize_grad(params, inputs.rows.data, inputs.columns.data))
    return features_of_params(params)


def features_of_params(params: ops.Params) -> Features:
    """What the time of a training op depends on whose parameters say all of it."""
    return _once(params.OP, _TRAINING[type(params)](params))


def _once(kind: str, values: Values) -> Features:
    return Features(kind, {_ONCE: 1.0, **values})


def layer_features(kind: ops.StageKind, g: Geometry) -> Values:
    """What the time of a layer in a STREAM depends on, whatever is kept of it."""
    values: dict[str, float] = {"stages": 1.0}
    if kind is ops.StageKind.ADD:
        values["add elements"] = g.positions * g.out_c
    elif kind is ops.StageKind.DEPTHWISE:
        values |= named(f"depthwise {window(g)}", _depthwise(g))
    else:
        values |= named(f"conv {'1x1' if taps(g) == 1 else 'kxk'}", _conv(g))
    return values


def _stage_features(stage: ops.StageFields) -> Values:
    g = stage.geometry
    values = dict(layer_features(ops.StageKind(stage.stage_kind), g))
    if stage.mask_output:
        values["masked"] = g.positions * g.out_c
    if stage.kept_list:
        values["kept"] = g.positions * stage.kept_channels
    if stage.columns:
        values["split columns"] = g.positions * stage.columns * taps(g)
    return values


def _conv(g: Geometry) -> Values:
    depth = taps(g) * g.in_c
    outputs = g.positions * g.out_c
    return {
        "macs": outputs * depth,
        "vector macs": outputs * round_up(depth, VECTOR),
        "group macs": g.positions * round_up(g.out_c, GROUP) * round_up(depth, GROUP),
        "lone macs": g.positions * depth * (g.out_c % GROUP),
        "outputs": outputs,
        "vector outputs": g.positions * round_up(g.out_c, VECTOR),
        "positions": g.positions,
        "inputs": g.positions * depth,
        "vector inputs": g.positions * round_up(depth, VECTOR),
        "taps": g.positions * taps(g),
        "rows": g.out_h,
    }


def _depthwise(g: Geometry) -> Values:
    inner = inner_taps(g)
    return {
        "macs": inner * g.out_c,
        "vector macs": inner * round_up(g.out_c, VECTOR),
        "lone macs": inner * (g.out_c % GROUP),
        "outputs": g.positions * g.out_c,
        "vector outputs": g.positions * round_up(g.out_c, VECTOR),
        "taps": inner,
        "positions": g.positions,
        "rows": g.out_h,
        "channels": g.out_h * g.out_c,
    }


def _stream(params: ops.Stream) -> Values:
    total: Counter[str] = Counter()
    for stage in params.stages:
        for name, value in _stage_features(stage).items():
            total[name] += value  # type: ignore[assignment]
    return dict(total)


def _split_conv(params: ops.SplitConv) -> Values:
    g = params.geometry
    return {**_conv(g), "columns": g.positions * params.kept * taps(g)}


def _split_depthwise(params: ops.SplitDepthwise) -> Values:
    return _depthwise(params.geometry)


def _conv_input_grad(params: ops.ConvInputGrad) -> Values:
    g = params.geometry
    inputs = g.in_h * g.in_w * g.in_c
    kind = "1x1" if taps(g) == g.stride_h == 1 else "kxk"
    inner = inner_taps(g)
    groups = -(-g.out_c // params.group)
    values = named(
        kind,
        {
            "macs": inner * g.in_c * g.out_c,
            "vector macs": inner * round_up(g.in_c, VECTOR) * g.out_c,
            "group macs": inner * round_up(g.in_c, GROUP) * round_up(g.out_c, GROUP),
            "lone macs": inner * (g.in_c % GROUP) * g.out_c,
            "lone outputs": inner * g.in_c * (g.out_c % GROUP),
            "inputs": inputs,
            "vector inputs": g.in_h * g.in_w * round_up(g.in_c, VECTOR),
            "vector outputs": inner * round_up(g.out_c, VECTOR),
            "groups": groups * inputs,
            "outputs": inner * g.out_c,
            "positions": g.in_h * g.in_w,
            "weights": taps(g) * g.in_c * g.out_c,
        },
    )
    addend = {"addend": float(inputs)} if params.slot_addend >= 0 else {}
    return {**values, **masked(params.mask, inputs), **addend}


def _depthwise_input_grad(params: ops.DepthwiseInputGrad) -> Values:
    g = params.geometry
    inputs = g.in_h * g.in_w * g.in_c
    inner = inner_taps(g)
    values = named(
        window(g),
        {
            "macs": inner * g.out_c,
            "vector macs": inner * round_up(g.out_c, VECTOR),
            "lone macs": inner * (g.out_c % GROUP),
            "inputs": inputs,
            "vector inputs": g.in_h * g.in_w * round_up(g.in_c, VECTOR),
            "taps": inner,
            "weights": taps(g) * g.out_c,
            "positions": g.in_h * g.in_w,
            "channels": g.in_h * g.in_c,
        },
    )
    addend = {"addend": float(inputs)} if params.slot_addend >= 0 else {}
    return {**values, **masked(params.mask, inputs), **addend}


def _trained_taps(update: ops.UpdateFields) -> int:
    return (update.tap_y1 - update.tap_y0) * (update.tap_x1 - update.tap_x0)


def _conv_update(params: ops.ConvUpdate) -> Values:
    g, update = params.geometry, params.update
    weights = g.out_c * _trained_taps(update) * g.in_c
    positions = g.in_h * g.in_w if params.transposed else g.positions
    inner = _met_positions(params) if _trained_taps(update) > 1 else positions
    if positions > _PART:
        values = _update_in_parts(params, inner, -(-positions // _PART))
    else:
        values = named(
            "1x1" if taps(g) == g.stride_h == 1 else "kxk",
            {
                "macs": inner * g.in_c * g.out_c,
                "group macs": inner * round_up(g.in_c, GROUP) * round_up(g.out_c, GROUP),
                "lone macs": inner * g.in_c * (g.out_c % GROUP),
                "lone inputs": inner * (g.in_c % GROUP) * g.out_c,
                "inputs": inner * g.in_c,
                "vector inputs": inner * round_up(g.in_c, VECTOR),
                "vector macs": inner * round_up(g.in_c, VECTOR) * g.out_c,
                "outputs": inner * g.out_c,
                "vector outputs": inner * round_up(g.out_c, VECTOR),
            },
        )
    return {
        **values,
        "gathered": weights * (g.in_c != update.row_channels),
        f"weights, residual {update.residual_bits}": weights,
        "channels": g.out_c,
    }


def _update_in_parts(params: ops.ConvUpdate, inner: int, parts: int) -> Values:
    """Of more positions than are summed at a time: inputs are packed for each group of outputs."""
    g, trained = params.geometry, _trained_taps(params.update)
    inputs, outputs = -(-g.in_c // GROUP), -(-g.out_c // GROUP)
    rows = trained * (g.in_h if params.transposed else g.out_h)
    return named(
        "in parts",
        {
            "macs": inner * g.in_c * g.out_c,
            "groups": inner * inputs * outputs,
            "vectors": inner * round_up(g.in_c, HALF_VECTOR) * round_up(g.out_c, PAIR),
            "whole inputs": inner * (g.in_c // GROUP) * outputs,
            "lone inputs": inner * (g.in_c % GROUP) * outputs,
            "incomplete inputs": inner * (g.in_c % GROUP > 0) * outputs,
            "paired inputs": inner * g.in_c * round_up(g.out_c, PAIR),
            "whole outputs": inner * (g.out_c // GROUP) * inputs,
            "incomplete outputs": inner * (g.out_c % GROUP > 0) * inputs,
            "rows": rows * inputs * outputs,
            "sums": trained * g.in_c * g.out_c * parts,
            "visits": trained * inputs * outputs * parts,
        },
    )


def _met_positions(params: ops.ConvUpdate) -> int:
    """How often a tap meets both grids; those of a transposed layer swap their places."""
    g = params.geometry
    if not params.transposed:
        return inner_taps(g)
    return inside(g.in_h, g.k_h, g.stride_h, g.dil_h, g.pad_t, g.out_h) * inside(
        g.in_w, g.k_w, g.stride_w, g.dil_w, g.pad_l, g.out_w
    )


def _depthwise_update(params: ops.DepthwiseUpdate) -> Values:
    g, update = params.geometry, params.update
    inner = inner_taps(g)
    return {
        **named(
            "single" if params.multiplier == 1 else "multiplied",
            {
                "macs": inner * g.out_c,
                "lone macs": inner * (g.out_c % GROUP),
                "taps": inner,
                "outputs": g.positions * g.out_c,
            },
        ),
        f"weights, residual {update.residual_bits}": g.out_c * _trained_taps(update),
        "channels": g.out_c,
    }


def _bias_update(params: ops.BiasUpdate) -> Values:
    return {"elements": params.positions * params.channels, "channels": params.channels}


_TRAINING: Mapping[type[ops.Params], Callable[[Any], Values]] = {
    ops.Stream: _stream,
    ops.SplitConv: _split_conv,
    ops.SplitDepthwise: _split_depthwise,
    ops.ConvInputGrad: _conv_input_grad,
    ops.DepthwiseInputGrad: _depthwise_input_grad,
    ops.ConvUpdate: _conv_update,
    ops.DepthwiseUpdate: _depthwise_update,
    ops.BiasUpdate: _bias_update,
    ops.ChannelSave: lambda params: {
        "kept": params.positions * params.kept,
        "positions": params.positions,
    },
    ops.Restore: lambda params: {"variables": params.variable_count},
    ops.Finish: lambda params: {"marks": params.marks},
    **UNWEIGHTED,
}


def _builtin(op: Op) -> Features:
    form = layer_form_of(op)
    if form is None:
        return _once(SAME_KERNEL.get(op.name, op.name), builtin_values(op))
    if op.name not in RULES:
        return _once(op.name, in_type(op, {"macs": form.macs(op)}))
    g = layer_rule_of(op).geometry(op)
    if form.is_depthwise:
        values = named(window(g), _depthwise(g))
    elif form.flattens:
        values = dict(_conv(g))
    else:
        values = named("kxk" if taps(g) > 1 else "1x1", _conv(g))
        # CMSIS-NN's convolutions take some outputs less than four as fast as four.
        values = {name: value for name, value in values.items() if not name.endswith("lone macs")}
    return _once(op.name, in_type(op, values))
