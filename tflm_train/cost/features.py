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
from tflm_train.graph import TRAINING_OP_PREFIX, Op
from tflm_train.ops.builtin import layer_form_of
from tflm_train.ops.geometry import Geometry

Values = Mapping[str, float]
_ONCE = "once"
_VECTOR = 16  # lanes of int8
_GROUP = 4  # channels at a time
_SMALL = 3
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
    if type(params) in _TRAINING:
        return features_of_params(params)
    size = max((t.size for t in op.outputs), default=0)
    return Features(params.OP, {_ONCE: 1.0, "elements": float(size)})


def features_of_params(params: ops.Params) -> Features:
    """What the time of a training op depends on whose parameters say all of it."""
    return Features(params.OP, {_ONCE: 1.0, **_TRAINING[type(params)](params)})


def layer_features(kind: ops.StageKind, g: Geometry) -> Values:
    """What the time of a layer in a STREAM depends on, whatever is kept of it."""
    values: dict[str, float] = {"stages": 1.0}
    if kind is ops.StageKind.ADD:
        values["add elements"] = g.positions * g.out_c
    elif kind is ops.StageKind.DEPTHWISE:
        values |= _named(f"depthwise {_window(g)}", _depthwise(g))
    else:
        values |= _named(f"conv {'1x1' if _taps(g) == 1 else 'kxk'}", _conv(g))
    return values


def _stage_features(stage: ops.StageFields) -> Values:
    g = stage.geometry
    values = dict(layer_features(ops.StageKind(stage.stage_kind), g))
    if stage.mask_output:
        values["masked"] = g.positions * g.out_c
    if stage.kept_list:
        values["kept"] = g.positions * stage.kept_channels
    if stage.columns:
        values["split columns"] = g.positions * stage.columns * _taps(g)
    return values


def _named(prefix: str, values: Values) -> dict[str, float]:
    return {f"{prefix} {name}": value for name, value in values.items()}


def _taps(g: Geometry) -> int:
    return g.k_h * g.k_w


def _window(g: Geometry) -> str:
    """Whether it is 3x3, which has loops of its own, and whether it steps by one."""
    size = "3x3" if g.k_h == g.k_w == _SMALL else "other"
    return f"{size}{'' if g.stride_h == g.stride_w == 1 else ' strided'}"


def inner_taps(g: Geometry) -> int:
    """How often a tap meets the input and not the padding, over all positions."""
    return _inside(g.out_h, g.k_h, g.stride_h, g.dil_h, g.pad_t, g.in_h) * _inside(
        g.out_w, g.k_w, g.stride_w, g.dil_w, g.pad_l, g.in_w
    )


def _inside(out: int, kernel: int, stride: int, dilation: int, before: int, size: int) -> int:
    total = 0
    for tap in range(kernel):
        offset = tap * dilation - before
        first = max(0, -(offset // stride))
        last = min(out - 1, (size - 1 - offset) // stride)
        total += max(0, last - first + 1)
    return total


def _ceil(value: int, step: int) -> int:
    return -(-value // step) * step


def _conv(g: Geometry) -> Values:
    depth = _taps(g) * g.in_c
    outputs = g.positions * g.out_c
    return {
        "macs": outputs * depth,
        "vector macs": outputs * _ceil(depth, _VECTOR),
        "group macs": g.positions * _ceil(g.out_c, _GROUP) * _ceil(depth, _GROUP),
        "lone macs": g.positions * depth * (g.out_c % _GROUP),
        "outputs": outputs,
        "vector outputs": g.positions * _ceil(g.out_c, _VECTOR),
        "positions": g.positions,
        "inputs": g.positions * depth,
        "vector inputs": g.positions * _ceil(depth, _VECTOR),
        "taps": g.positions * _taps(g),
        "rows": g.out_h,
    }


def _depthwise(g: Geometry) -> Values:
    inner = inner_taps(g)
    return {
        "macs": inner * g.out_c,
        "vector macs": inner * _ceil(g.out_c, _VECTOR),
        "lone macs": inner * (g.out_c % _GROUP),
        "outputs": g.positions * g.out_c,
        "vector outputs": g.positions * _ceil(g.out_c, _VECTOR),
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
    return {**_conv(g), "columns": g.positions * params.kept * _taps(g)}


def _split_depthwise(params: ops.SplitDepthwise) -> Values:
    return _depthwise(params.geometry)


def _masked(mask: ops.MaskFields, size: int) -> Values:
    return {"masked": float(size)} if mask.mask_kind else {}


def _conv_input_grad(params: ops.ConvInputGrad) -> Values:
    g = params.geometry
    inputs = g.in_h * g.in_w * g.in_c
    kind = "1x1" if _taps(g) == g.stride_h == 1 else "kxk"
    inner = inner_taps(g)
    groups = -(-g.out_c // params.group)
    values = _named(
        kind,
        {
            "macs": inner * g.in_c * g.out_c,
            "vector macs": inner * _ceil(g.in_c, _VECTOR) * g.out_c,
            "group macs": inner * _ceil(g.in_c, _GROUP) * _ceil(g.out_c, _GROUP),
            "lone macs": inner * (g.in_c % _GROUP) * g.out_c,
            "lone outputs": inner * g.in_c * (g.out_c % _GROUP),
            "inputs": inputs,
            "vector inputs": g.in_h * g.in_w * _ceil(g.in_c, _VECTOR),
            "vector outputs": inner * _ceil(g.out_c, _VECTOR),
            "groups": groups * inputs,
            "outputs": inner * g.out_c,
            "positions": g.in_h * g.in_w,
            "weights": _taps(g) * g.in_c * g.out_c,
        },
    )
    addend = {"addend": float(inputs)} if params.slot_addend >= 0 else {}
    return {**values, **_masked(params.mask, inputs), **addend}


def _depthwise_input_grad(params: ops.DepthwiseInputGrad) -> Values:
    g = params.geometry
    inputs = g.in_h * g.in_w * g.in_c
    inner = inner_taps(g)
    values = _named(
        _window(g),
        {
            "macs": inner * g.out_c,
            "vector macs": inner * _ceil(g.out_c, _VECTOR),
            "lone macs": inner * (g.out_c % _GROUP),
            "inputs": inputs,
            "vector inputs": g.in_h * g.in_w * _ceil(g.in_c, _VECTOR),
            "taps": inner,
            "weights": _taps(g) * g.out_c,
            "positions": g.in_h * g.in_w,
            "channels": g.in_h * g.in_c,
        },
    )
    addend = {"addend": float(inputs)} if params.slot_addend >= 0 else {}
    return {**values, **_masked(params.mask, inputs), **addend}


def _trained_taps(update: ops.UpdateFields) -> int:
    return (update.tap_y1 - update.tap_y0) * (update.tap_x1 - update.tap_x0)


def _conv_update(params: ops.ConvUpdate) -> Values:
    g, update = params.geometry, params.update
    weights = g.out_c * _trained_taps(update) * g.in_c
    inner = inner_taps(g) if _trained_taps(update) > 1 else g.positions
    kind = "1x1" if _taps(g) == g.stride_h == 1 else "kxk"
    parts = -(-g.positions // _PART)
    return {
        **_named(
            kind if parts == 1 else f"{kind} in parts",
            {
                "macs": inner * g.in_c * g.out_c,
                "group macs": inner * _ceil(g.in_c, _GROUP) * _ceil(g.out_c, _GROUP),
                "lone macs": inner * g.in_c * (g.out_c % _GROUP),
                "lone inputs": inner * (g.in_c % _GROUP) * g.out_c,
                "inputs": inner * g.in_c,
                "vector inputs": inner * _ceil(g.in_c, _VECTOR),
                "vector macs": inner * _ceil(g.in_c, _VECTOR) * g.out_c,
                "outputs": inner * g.out_c,
                "vector outputs": inner * _ceil(g.out_c, _VECTOR),
                "gathered": g.in_c * g.out_c * (g.in_c != update.row_channels),
                "sums": weights * parts,
            },
        ),
        f"weights, residual {update.residual_bits}": weights,
        "channels": g.out_c,
    }


def _depthwise_update(params: ops.DepthwiseUpdate) -> Values:
    g, update = params.geometry, params.update
    inner = inner_taps(g)
    return {
        **_named(
            "single" if params.multiplier == 1 else "multiplied",
            {
                "macs": inner * g.out_c,
                "lone macs": inner * (g.out_c % _GROUP),
                "taps": inner,
                "outputs": g.positions * g.out_c,
            },
        ),
        f"weights, residual {update.residual_bits}": g.out_c * _trained_taps(update),
        "channels": g.out_c,
    }


def _bias_update(params: ops.BiasUpdate) -> Values:
    return {"elements": params.positions * params.channels, "channels": params.channels}


def _pool_grad(params: ops.PoolGrad) -> Values:
    g = params.geometry
    inputs = g.in_h * g.in_w * g.in_c
    kind = "uniform" if params.uniform else "windows"
    return {
        f"{kind} inputs": inputs,
        f"{kind} macs": inner_taps(g) * g.out_c,
        **_masked(params.mask, inputs),
    }


def _accumulate(params: ops.Accumulate) -> Values:
    added = params.size * params.count
    return {"added": added, "elements": params.size, **_masked(params.mask, params.size)}


def _move_grad(params: ops.MoveGrad) -> Values:
    size = 1
    for axis in params.axis:
        size *= axis.size
    return {"elements": size, "moved": params.q_size, **_masked(params.mask, size)}


_TRAINING: Mapping[type[ops.Params], Callable[[Any], Values]] = {
    ops.Stream: _stream,
    ops.SplitConv: _split_conv,
    ops.SplitDepthwise: _split_depthwise,
    ops.ConvInputGrad: _conv_input_grad,
    ops.DepthwiseInputGrad: _depthwise_input_grad,
    ops.ConvUpdate: _conv_update,
    ops.DepthwiseUpdate: _depthwise_update,
    ops.BiasUpdate: _bias_update,
    ops.PoolGrad: _pool_grad,
    ops.Accumulate: _accumulate,
    ops.MoveGrad: _move_grad,
    ops.ClampMask: lambda params: {"elements": params.size},
    ops.ChannelSave: lambda params: {
        "kept": params.positions * params.kept,
        "positions": params.positions,
    },
    ops.Loss: lambda params: {"classes": params.outputs},
    ops.Restore: lambda params: {"variables": params.variable_count},
    ops.Finish: lambda params: {"marks": params.marks},
}


def _builtin(op: Op) -> Features:
    size = float(max((t.size for t in op.outputs), default=0))
    form = layer_form_of(op)
    if form is None:
        read = op.input.size if op.inputs and op.inputs[0] is not None else 0
        return Features(op.name, {_ONCE: 1.0, "elements": size, "read": float(read)})
    if op.name not in RULES:
        return Features(op.name, {_ONCE: 1.0, "macs": form.macs(op)})
    g = layer_rule_of(op).geometry(op)
    if form.is_depthwise:
        values = _named(_window(g), _depthwise(g))
    elif form.flattens:
        values = {**_conv(g)}
    else:
        values = _named("kxk" if _taps(g) > 1 else "1x1", _conv(g))
    return Features(op.name, {_ONCE: 1.0, **values})
