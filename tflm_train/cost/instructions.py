"""Estimated instructions of forward layers, to compare ways of running them.

The figures of M7, M55 and M3 are fitted to the counts that `python -m benchmarks.stream_speed`
takes under QEMU: those of our kernels, and those of TFLM's CMSIS-NN kernels. M4 and M33 run the
same instructions as M7. On M0+ everything takes two to three times what it does on M3; its ways of
running a layer are compared as there.
"""

from __future__ import annotations

from dataclasses import dataclass

from tflm_train.cost.cores import Core
from tflm_train.graph import Op
from tflm_train.ops import (
    ConvInputGrad,
    ConvUpdate,
    DepthwiseInputGrad,
    DepthwiseUpdate,
    Params,
    SplitConv,
    SplitDepthwise,
    StageFields,
    StageKind,
)
from tflm_train.ops.builtin import KernelSet, builtin_of
from tflm_train.ops.geometry import Geometry

_TAPS_3X3 = 9
_REFERENCE = 4.0
"""How many times CMSIS-NN's instructions TFLM's reference kernels take, at least."""


@dataclass(frozen=True)
class Instructions:
    """What a set of kernels takes.

    Attributes:
      mac: For a multiply-accumulate of a convolution.
      output: For an output of a convolution.
      position: For a position of a convolution's output.
      element: For an input under the kernel, at each position.
      tap: For a tap of a kernel larger than 1x1, at each position.
      tap_element: For an input under a kernel larger than 1x1, at each position.
      depthwise: For a multiply-accumulate of a depthwise convolution.
      depthwise_output: For an output of one.
      depthwise_position: For a position of its output.
      add: For an element of a sum.
      depthwise_3x3: For a multiply-accumulate of a 3x3 one, all included; None: as of others.
    """

    mac: float
    output: float
    position: float
    element: float
    tap: float
    tap_element: float
    depthwise: float
    depthwise_output: float
    depthwise_position: float
    add: float
    depthwise_3x3: float | None = None


_OURS_DSP = Instructions(1.14, 22.0, 70.0, 2.0, 58.0, 0.0, 3.0, 25.0, 0.0, 45.0)
_CMSIS_DSP = Instructions(1.46, 38.0, 0.0, 0.0, 77.0, 5.2, 8.3, 0.0, 0.0, 81.0)
_OURS_MVE = Instructions(0.184, 14.5, 48.5, 0.0, 46.3, 1.74, 1.0, 10.2, 124.0, 10.2)
_CMSIS_MVE = Instructions(0.176, 14.5, 9.6, 0.0, 32.6, 0.0, 1.35, 8.9, 48.2, 14.1)
_OURS_BASIC = Instructions(2.52, 36.8, 58.0, 4.62, 33.0, 2.61, 6.5, 28.0, 1680.0, 50.8)
_CMSIS_BASIC = Instructions(2.54, 36.1, 0.0, 0.0, 62.0, 5.01, 9.5, 152.0, 7320.0, 84.1, 9.5)
_OURS = {Core.M55: _OURS_MVE, Core.M3: _OURS_BASIC, Core.M0PLUS: _OURS_BASIC}
_CMSIS = {Core.M55: _CMSIS_MVE, Core.M3: _CMSIS_BASIC, Core.M0PLUS: _CMSIS_BASIC}


def builtin_cost(op: Op, core: Core, kernels: KernelSet) -> float:
    """Instructions of a builtin op; 0 for ops that are the same however layers run."""
    row = builtin_of(op)
    if row is None or row.stage is None:
        return 0.0
    factor = _REFERENCE if kernels is KernelSet.REFERENCE else 1.0
    return factor * _builtin(op, row.stage, _CMSIS.get(core, _CMSIS_DSP))


def _builtin(op: Op, kind: StageKind, of: Instructions) -> float:
    if kind is StageKind.ADD:
        return of.add * op.output.size
    weights = op.inputs[1]
    assert weights is not None
    k_h, k_w, in_c = weights.shape[1:]
    return _layer(of, kind, op.output.size, op.output.shape[-1], k_h * k_w, in_c)


def stage_cost(stage: StageFields, core: Core) -> float:
    """Instructions of one stage of a STREAM."""
    return _ours(stage.geometry, StageKind(stage.stage_kind), core)


def split_cost(params: SplitConv | SplitDepthwise, core: Core) -> float:
    """Instructions of a layer that trains in part and is an op of its own."""
    depthwise = isinstance(params, SplitDepthwise)
    return _ours(params.geometry, StageKind.DEPTHWISE if depthwise else StageKind.CONV, core)


_GRADIENTS = {
    Core.M7: (0.95, 2.1),
    Core.M55: (0.3, 0.6),
    Core.M3: (4.7, 7.0),
    Core.M0PLUS: (8.3, 11.5),
}
"""For a multiply-accumulate of a gradient: of a convolution, of a depthwise one."""


def gradient_cost(params: Params, core: Core) -> float:
    """Instructions of a layer's input gradient or update; 0 for ops that cost little beside them.

    The figures, per multiply-accumulate, are of `python -m benchmarks.whole_step`.
    """
    if not isinstance(params, ConvInputGrad | ConvUpdate | DepthwiseInputGrad | DepthwiseUpdate):
        return 0.0
    g = params.geometry
    mac, depthwise = _GRADIENTS.get(core, _GRADIENTS[Core.M7])
    taps = g.positions * g.out_c * g.k_h * g.k_w
    is_depthwise = isinstance(params, DepthwiseInputGrad | DepthwiseUpdate)
    return taps * depthwise if is_depthwise else taps * g.in_c * mac


def _ours(g: Geometry, kind: StageKind, core: Core) -> float:
    of = _OURS.get(core, _OURS_DSP)
    outputs = g.positions * g.out_c
    if kind == StageKind.ADD:
        return of.add * outputs
    return _layer(of, kind, outputs, g.out_c, g.k_h * g.k_w, g.in_c)


def _layer(
    of: Instructions, kind: StageKind, outputs: int, out_c: int, taps: int, in_c: int
) -> float:
    positions = outputs / out_c
    if kind == StageKind.DEPTHWISE:
        macs = outputs * taps
        if taps == _TAPS_3X3 and of.depthwise_3x3 is not None:
            return of.depthwise_3x3 * macs
        whole = of.depthwise * macs + of.depthwise_output * outputs
        return whole + of.depthwise_position * positions
    depth = taps * in_c
    patch = of.position + of.element * depth
    if taps > 1:
        patch += of.tap * taps + of.tap_element * depth
    return outputs * (of.mac * depth + of.output) + positions * patch
