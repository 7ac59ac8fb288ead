"""Instructions of STREAM beside those of TFLM's builtin ops for the same layers.

    python -m benchmarks.stream_speed [--cores m7 m4 ...] [--only TEXT] [--layers] [--json]
                                      [--save FILE]

Counted under QEMU, per multiply-accumulate (padding taps included; of an ADD, per element). The
builtin ops' counts need a TFLM built for Cortex-M: TFLM_INCLUDE names its include folders, TFLM_LIB
its static library, in which `{core}` stands for m7, m4, ...; without it the library is taken to be
one for the M7. Where there is none, fixed figures of CMSIS-NN stand in their place.

Kinds of layers are single layers; of a real model all layers that `optimize` streams, each by
itself and then the STREAMs as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from benchmarks import builtin_ops, instructions
from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import SHARED
from tests.stacks import Stack
from tflm_train import load
from tflm_train.model import Model, Op
from tflm_train.ops import OP_PREFIX, STREAM_INPUT, StageFields, StageKind, Stream, unpack
from tflm_train.rewriter.optimize import optimize
from tflm_train.rewriter.stream import find_run

MODELS = ("mbv2-w0.35", "mcunet-5fps", "proxyless-w0.3", "person_detect", "vww_96_int8")
STREAM = OP_PREFIX + Stream.OP

# CMSIS-NN on Cortex-M7, per multiply-accumulate.
PUBLISHED = {"1x1": "2.3 to 3.3", "depthwise 3x3": "8.0", "first 3x3": "4.9"}


@dataclass(frozen=True)
class Case:
    """A layer.

    Attributes:
      model: What it is of.
      op: Its index among the model's ops.
      name: For people.
      kind: The key of `PUBLISHED`, if it is there.
      stage: The layer as a STREAM of one stage.
    """

    model: Model
    op: int
    name: str
    kind: str
    stage: StageFields

    @property
    def params(self) -> Stream:
        """The STREAM."""
        return Stream((self.stage,))

    @property
    def macs(self) -> int:
        """Multiply-accumulates; of an ADD its elements."""
        g = self.stage.geometry
        outputs = g.out_h * g.out_w * g.out_c
        is_conv = self.stage.stage_kind == StageKind.CONV
        return outputs * g.k_h * g.k_w * (g.in_c if is_conv else 1)


def kinds() -> Iterator[Case]:
    """Single layers of every kind that the real models have."""
    shapes = [(64, 16, 8), (32, 16, 96), (32, 96, 16), (16, 24, 144), (8, 288, 48), (8, 48, 288)]
    for side, in_c, out_c in shapes:
        stack = Stack.start(side, side, in_c, 1)
        stack.conv(out_c, 1, 1, True, 3)
        yield _only_layer(stack.finish())
    for kernel in (3, 5, 7):
        for stride in (1, 2):
            for side, channels in ((32, 48), (8, 192)):
                stack = Stack.start(side, side, channels, 1)
                stack.depthwise(1, kernel, stride, True, 3)
                yield _only_layer(stack.finish())
    stack = Stack.start(128, 128, 3, 1)
    stack.conv(16, 3, 2, True, 3)
    yield _only_layer(stack.finish())
    stack = Stack.start(16, 16, 16, 1)
    stack.conv(16, 3, 1, True, 3)
    yield _only_layer(stack.finish())
    stack = Stack.start(32, 32, 16, 1)
    stack.add(stack.model.graph.inputs[0], 0)
    yield _only_layer(stack.finish())


@cache
def streamed_layers(name: str) -> tuple[Model, list[Case], list[Stream], Model]:
    """What `optimize` streams of a model.

    Args:
      name: Of one in ../shared/models.

    Returns:
      The model; its layers, each as a stage that reads the STREAM's input; the STREAMs; the
      optimized model.
    """
    model = load(SHARED / "models" / f"{name}.tflite")
    result = Model(optimize(model).model_bytes, model.name)
    layers = [(i, op) for i, op in enumerate(model.graph.ops) if op.name != "PAD"]
    cases: list[Case] = []
    streams: list[Stream] = []
    at = 0
    for op in result.graph.ops:
        if op.name != STREAM:
            at += op.name != "PAD"
            continue
        params = unpack(op.custom_options or b"")
        assert isinstance(params, Stream)
        streams.append(params)
        for stage, (index, layer) in zip(params.stages, layers[at:], strict=False):
            cases.append(_case(model, index, layer, stage))
        at += len(params.stages)
    return model, cases, streams, result


def _only_layer(model: Model) -> Case:
    ops = model.graph.ops
    run = find_run(ops, {id(t) for t in model.graph.outputs})
    assert run is not None
    return _case(model, 0, ops[0], run.stages[0])


def _case(model: Model, index: int, op: Op, stage: StageFields) -> Case:
    g = stage.geometry
    stage = replace(stage, source=STREAM_INPUT, addend=STREAM_INPUT, ring_rows=g.out_h, constants=0)
    window, stride = f"{g.k_h}x{g.k_w}", f" stride {g.stride_h}" if g.stride_h > 1 else ""
    if op.name == "ADD":
        return Case(model, index, f"add {g.out_h}x{g.out_w}x{g.out_c}", "add", stage)
    if op.name == "DEPTHWISE_CONV_2D":
        kind = f"depthwise {window}"
        shape = f"{g.in_h}x{g.in_w}x{g.in_c}"
    else:
        kind = window if g.in_c > 4 else f"first {window}"
        shape = f"{g.in_h}x{g.in_w} {g.in_c}->{g.out_c}"
    return Case(model, index, f"{kind}{stride} {shape}", kind, stage)


def layer_rows(cores: list[str], cases: list[Case]) -> list[dict[str, Any]]:
    """Counts layers.

    Args:
      cores: Keys of `instructions.CORES`.
      cases: The layers.

    Returns:
      One row per layer: `layer`, `kind`, `macs`, and for each core `<core>` and `<core>_builtin`,
      instructions; None where no library is at hand.
    """
    rows: list[dict[str, Any]] = [
        {"model": c.model.name, "layer": c.name, "kind": c.kind, "macs": c.macs} for c in cases
    ]
    for core in cores:
        ours = instructions.count(core, [case.params for case in cases])
        builtin: dict[int, list[int] | None] = {}
        for case, row, count in zip(cases, rows, ours, strict=True):
            if id(case.model) not in builtin:
                builtin[id(case.model)] = builtin_ops.count(core, case.model)
            found = builtin[id(case.model)]
            row[core] = count
            row[f"{core}_builtin"] = None if found is None else found[case.op]
    return rows


def model_row(core: str, rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Counts a model whole.

    Args:
      core: A key of `instructions.CORES`.
      rows: Of `layer_rows`, its streamed layers.
      name: The model's.

    Returns:
      `layers_ratio` (each streamed layer by itself), `stream_ratio` (the STREAMs as they are) and
      `model_ratio` (every op of the optimized model) to the builtin ops of the original, and the
      counts; None without a library. The PADs that a STREAM takes over count in the last only.
    """
    model, _, streams, optimized = streamed_layers(name)
    streamed = sum(instructions.count(core, streams))
    row: dict[str, Any] = {"model": name, "core": core, "streams": streamed}
    row["macs"] = sum(r["macs"] for r in rows if r["kind"] != "add")
    builtin = [r[f"{core}_builtin"] for r in rows]
    before, after = builtin_ops.count(core, model), builtin_ops.count(core, optimized)
    has_library = before is not None and after is not None
    row["builtin"] = sum(builtin) if has_library else None
    row["layers_ratio"] = sum(r[core] for r in rows) / sum(builtin) if has_library else None
    row["stream_ratio"] = streamed / sum(builtin) if has_library else None
    row["model_before"] = None if before is None else sum(before)
    row["model_after"] = None if after is None else sum(after)
    row["model_ratio"] = None
    if before is not None and after is not None:
        row["model_ratio"] = sum(after) / sum(before)
    return row


def _per_mac(row: dict[str, Any], core: str) -> str:
    count, builtin = row[core] / row["macs"], row[f"{core}_builtin"]
    if builtin is not None:
        return f"{count:.2f} / {builtin / row['macs']:.2f}"
    published = PUBLISHED.get(row["kind"]) if core == "m7" else None
    return f"{count:.2f}" + (f" / ({published})" if published else "")


def _show_layers(title: str, cores: list[str], rows: list[dict[str, Any]]) -> None:
    shown = [{**row, **{core: _per_mac(row, core) for core in cores}} for row in rows]
    columns = [Column("layer", "layer"), Column("MAC", "macs")]
    show(title, [*columns, *(Column(core, core) for core in cores)], shown)


def main() -> int:
    """The command line."""
    parser = parser_of(__doc__)
    cores = list(instructions.CORES)
    parser.add_argument("--cores", nargs="+", choices=cores, default=cores)
    parser.add_argument("--only", default="", help="kinds or models whose name holds this text")
    parser.add_argument("--layers", action="store_true", help="show each layer of the models too")
    arguments = parser.parse_args()
    single = [case for case in kinds() if arguments.only in case.name]
    report: dict[str, Any] = {"kinds": layer_rows(arguments.cores, single) if single else []}
    report["layers"], report["models"] = [], []
    for name in MODELS if SHARED.exists() else ():
        if arguments.only not in name:
            continue
        _, cases, _, _ = streamed_layers(name)
        rows = layer_rows(arguments.cores, cases)
        report["layers"] += rows
        report["models"] += [model_row(core, rows, name) for core in arguments.cores]
    publish("stream_speed", report, arguments)
    if arguments.json:
        return 0
    title = "Instructions per multiply-accumulate: STREAM / builtin ops"
    _show_layers(title, arguments.cores, report["kinds"])
    if arguments.layers:
        _show_layers(f"{title}, layers of the models", arguments.cores, report["layers"])
    if report["models"]:
        thousands, ratio = "{:,}", "{:.2f}"
        show(
            "Streamed layers of whole models, and the models",
            (
                Column("model", "model"),
                Column("core", "core"),
                Column("MAC", "macs", thousands),
                Column("STREAMs", "streams", thousands),
                Column("builtin", "builtin", thousands),
                Column("ratio", "stream_ratio", ratio),
                Column("model after", "model_after", thousands),
                Column("before", "model_before", thousands),
                Column("ratio", "model_ratio", ratio),
            ),
            report["models"],
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
