"""Instructions of one training step of whole models: forward, backward and update.

    python -m benchmarks.whole_step [--cores m7 m4 ...] [--only NETWORK ...] [--json] [--save FILE]

Every operator of the rewritten model that is ours is counted at its own shape, on random data,
under QEMU (`benchmarks.instructions`). The forward pass is counted in up to three ways:

- figures: CMSIS-NN's per multiply-accumulate, the lowest of each range; poolings,
  additions and PADs cost nothing. Cortex-M4 and M7 only.
- our kernels: each convolution as a STREAM of one layer; poolings, additions and PADs as above.
- TFLM: the model itself in TFLM, where TFLM_INCLUDE and TFLM_LIB name a build of it for the core
  (`benchmarks.builtin_ops`).

Beside them the backward pass and update as TinyEngine's fp32 training kernels would take them on
Cortex-M7, the lowest of its figures, of which there are none for masks, losses and biases.

The exit status is 1 where backward and update together take half of the forward pass or more, by
any of the three.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks import builtin_ops, instructions
from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import SHARED
from tflm_train import Model, load
from tflm_train.model import Op
from tflm_train.model.layers import LAYER_OPS, Layer
from tflm_train.ops import (
    OP_PREFIX,
    BiasUpdate,
    ConvInputGrad,
    ConvUpdate,
    DepthwiseInputGrad,
    DepthwiseUpdate,
    Finish,
    Params,
    Restore,
    SplitConv,
    SplitDepthwise,
    StageFields,
    Stream,
    unpack,
)
from tflm_train.ops.geometry import Geometry
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward
from tflm_train.scheme.library import find_scheme

SCHEMES = {
    "mcunet-5fps": "mcunet-5fps-99kb",
    "mbv2-w0.35": "mbv2-w0.35-99kb",
    "proxyless-w0.3": "proxyless-w0.3-98kb",
}
RESIDUALS = (8, 0)
LIMIT = 0.5

# CMSIS-NN, instructions per multiply-accumulate.
POINTWISE, DEPTHWISE, GENERAL = 2.3, 8.0, 4.9
CMSIS_NN_CORES = ("m4", "m7")
# TinyEngine, the same; a 1x1 weight gradient with its update.
TINY_INPUT_GRADIENT, TINY_UPDATE = 3.41, 3.8
TINY_DEPTHWISE, TINY_DEPTHWISE_SMALL, TINY_DEPTHWISE_STRIDED = 3.4, 4.0, 11.9
TINY_CORES = ("m7",)
_SMALL_SIDE = 4  # of an image that has TinyEngine's figure for small ones

_COUNTED_AT_ONCE = 256


class Phase(enum.StrEnum):
    """What an op is for."""

    FORWARD = "forward"
    BACKWARD = "backward"
    UPDATE = "update"


_FORWARD = (Stream, SplitConv, SplitDepthwise)
_UPDATE = (ConvUpdate, DepthwiseUpdate, BiasUpdate)


def phase_of(params: Params) -> Phase:
    """The phase of one of our ops."""
    if isinstance(params, _FORWARD):
        return Phase.FORWARD
    return Phase.UPDATE if isinstance(params, _UPDATE) else Phase.BACKWARD


@dataclass(frozen=True)
class Step:
    """The operators of a training step.

    Attributes:
      model: The rewritten model, forward layers as builtin ops.
      ours: Our ops but for RESTORE, which does nothing after the first Invoke, and FINISH, which
        compares a few words.
      streams: All forward convolutions that are not among ours, as STREAMs.
    """

    model: Model
    ours: tuple[Params, ...]
    streams: tuple[Params, ...]

    @staticmethod
    def of(network: str, residual_bits: int) -> Step:
        """Rewrites a network under its scheme."""
        model = load(SHARED / "models" / f"{network}.tflite")
        scheme = replace(find_scheme(SCHEMES[network]), residual_bits=residual_bits)
        rewritten = Model(rewrite(model, scheme).model_bytes, network)
        streamed = Model(rewrite(model, scheme, forward=Forward.FLASH).model_bytes)
        streams = [forward_only(p) for p in _our_ops(streamed) if isinstance(p, Stream)]
        return Step(rewritten, tuple(_our_ops(rewritten)), tuple(streams))


def _our_ops(model: Model) -> list[Params]:
    ops = [op for op in model.graph.ops if op.name.startswith(OP_PREFIX)]
    params = [unpack(op.custom_options or b"") for op in ops]
    return [p for p in params if not isinstance(p, (Restore, Finish))]


def forward_only(stream: Stream) -> Stream:
    """A STREAM that keeps nothing for the backward pass: other ops are counted for that."""
    nothing = dict.fromkeys(("mask_output", "kept_output", "kept_channels", "kept_list"), 0)
    fields = [{**vars(stage), **nothing} for stage in stream.stages]
    return Stream(tuple(StageFields(**f) for f in fields))


def count_ops(core: str, ops: Sequence[Params]) -> dict[bytes, int]:
    """Instructions of ops by their packed parameters; equal ones run once."""
    distinct = list({params.pack(): params for params in ops}.values())
    counts: list[int] = []
    for first in range(0, len(distinct), _COUNTED_AT_ONCE):
        counts += instructions.count(core, distinct[first : first + _COUNTED_AT_ONCE])
    return {params.pack(): n for params, n in zip(distinct, counts, strict=True)}


def cmsis_nn(op: Op) -> float:
    """Instructions of a builtin op by CMSIS-NN's figures; 0 where there is none."""
    if op.name not in LAYER_OPS:
        return 0.0
    layer = Layer(-1, op, -1)
    if op.name == "DEPTHWISE_CONV_2D":
        return DEPTHWISE * layer.macs
    is_pointwise = op.name == "FULLY_CONNECTED" or layer.weights.shape[1:3] == (1, 1)
    return (POINTWISE if is_pointwise else GENERAL) * layer.macs


def macs(g: Geometry, depthwise: bool) -> int:
    """Multiply-accumulates of a layer, padding taps counted."""
    return g.out_h * g.out_w * g.out_c * g.k_h * g.k_w * (1 if depthwise else g.in_c)


def tiny_engine(params: Params) -> float:
    """Instructions of one of our ops by TinyEngine's figures; 0 where there is none."""
    if isinstance(params, ConvInputGrad):
        return TINY_INPUT_GRADIENT * macs(params.geometry, False)
    if isinstance(params, DepthwiseInputGrad):
        g = params.geometry
        small = g.out_h <= _SMALL_SIDE
        figure = TINY_DEPTHWISE_SMALL if small else TINY_DEPTHWISE
        return (TINY_DEPTHWISE_STRIDED if g.stride_h > 1 else figure) * macs(g, True)
    if isinstance(params, ConvUpdate):
        return TINY_UPDATE * macs(params.geometry, False)
    if isinstance(params, DepthwiseUpdate):
        return TINY_UPDATE * macs(params.geometry, True)
    return 0.0


def forward_in_tflm(core: str, model: Model) -> int | None:
    """Instructions of the forward ops in TFLM; None where there is no build of it."""
    counts = builtin_ops.count(core, model)
    if counts is None:
        return None
    return sum(
        n
        for op, n in zip(model.graph.ops, counts, strict=True)
        if not op.name.startswith(OP_PREFIX)
        or isinstance(unpack(op.custom_options or b""), _FORWARD)
    )


def row_of(
    core: str, network: str, residual_bits: int, step: Step, counts: Mapping[bytes, int]
) -> dict[str, Any]:
    """One step's instructions.

    Args:
      core: A key of `instructions.CORES`.
      network: A key of `SCHEMES`.
      residual_bits: Of the scheme.
      step: Its operators.
      counts: Of `count_ops`.

    Returns:
      `forward_figures`, `forward_ours`, `forward_tflm`, `tiny_backward`, `tiny_update`, `tiny`
      (their sum; None where there are no figures), `backward`, `update`, `ops` (by kind of op, of
      backward and update), and for each way of counting the forward pass the share of backward and
      update in it.
    """
    by_phase: Counter[Phase] = Counter()
    by_kind: Counter[str] = Counter()
    tiny: Counter[Phase] = Counter()
    for params in step.ours:
        phase, n = phase_of(params), counts[params.pack()]
        by_phase[phase] += n
        tiny[phase] += round(tiny_engine(params))
        if phase is not Phase.FORWARD:
            by_kind[params.OP] += n
    split = by_phase[Phase.FORWARD]
    builtin = [op for op in step.model.graph.ops if not op.name.startswith(OP_PREFIX)]
    forward: dict[str, int | None] = {
        "figures": split + round(sum(map(cmsis_nn, builtin))) if core in CMSIS_NN_CORES else None,
        "ours": split + sum(counts[params.pack()] for params in step.streams),
        "tflm": forward_in_tflm(core, step.model),
    }
    ours = by_phase[Phase.BACKWARD] + by_phase[Phase.UPDATE]
    theirs = tiny[Phase.BACKWARD] + tiny[Phase.UPDATE]
    has_tiny = core in TINY_CORES
    row: dict[str, Any] = {"core": core, "network": network, "residual_bits": residual_bits}
    for way, whole in forward.items():
        row[f"forward_{way}"] = whole
        row[f"share_{way}"] = None if whole is None else ours / whole
    row["backward"], row["update"] = by_phase[Phase.BACKWARD], by_phase[Phase.UPDATE]
    row["tiny_backward"] = tiny[Phase.BACKWARD] if has_tiny else None
    row["tiny_update"] = tiny[Phase.UPDATE] if has_tiny else None
    row["tiny"] = theirs if has_tiny else None
    row["tiny_share"] = theirs / forward["figures"] if has_tiny and forward["figures"] else None
    row["ops"] = dict(by_kind.most_common())
    return row


def within_limit(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every share is below `LIMIT`."""
    shares = [value for row in rows for key, value in row.items() if key.startswith("share_")]
    return all(share < LIMIT for share in shares if share is not None)


_STEP = (
    Column("core", "core"),
    Column("network", "network"),
    Column("residual", "residual_bits"),
)


def _show(rows: Sequence[dict[str, Any]]) -> None:
    ways = ("figures", "ours", "tflm")
    millions = [
        "backward",
        "update",
        "tiny",
        *(f"forward_{way}" for way in ways),
    ]
    shown = [r | {key: r[key] and r[key] / 1e6 for key in millions} for r in rows]
    number, percent = "{:.2f}", "{:.0%}"
    show(
        "Instructions of one training step, millions; shares: (backward + update) / forward",
        (
            *_STEP,
            Column("backw.", "backward", number),
            Column("update", "update", number),
            Column("fwd: figures", "forward_figures", number),
            Column("share", "share_figures", percent),
            Column("fwd: ours", "forward_ours", number),
            Column("share", "share_ours", percent),
            Column("fwd: TFLM", "forward_tflm", number),
            Column("share", "share_tflm", percent),
            Column("Tiny", "tiny", number),
            Column("share", "tiny_share", percent),
        ),
        shown,
    )
    kinds = dict.fromkeys(kind for row in rows for kind in row["ops"])
    lines = [r | {kind: r["ops"].get(kind, 0) / 1e3 for kind in kinds} for r in rows]
    headings = [Column(kind.lower().replace("_", " "), kind, "{:.0f}") for kind in kinds]
    show("Backward and update by op, thousands of instructions", [*_STEP, *headings], lines)


def main() -> int:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--cores", nargs="+", choices=list(instructions.CORES), default=["m7"])
    parser.add_argument("--only", nargs="+", choices=list(SCHEMES), default=list(SCHEMES))
    arguments = parser.parse_args()
    if not SHARED.exists():
        raise SystemExit(f"needs the models in {SHARED}")
    steps = {(n, bits): Step.of(n, bits) for n in arguments.only for bits in RESIDUALS}
    rows = []
    for core in arguments.cores:
        ops = [params for step in steps.values() for params in (*step.ours, *step.streams)]
        counts = count_ops(core, ops)
        rows += [row_of(core, *key, step, counts) for key, step in steps.items()]
    publish("whole_step", {"compiler": instructions.compiler(), "rows": rows}, arguments)
    if not arguments.json:
        _show(rows)
    return 0 if within_limit(rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
