"""Instructions per multiply-accumulate of the training kernels on Cortex-M cores.

    python -m benchmarks.kernels [--cores m4 m7 ...] [--json] [--check | --update-baseline | --host]

A nominal multiply-accumulate is one of the forward layer's, padding taps included. `m4` is compiled
with -O3, `m4 -Os` for size. `--check` fails where a count is more than 2 % above
`benchmarks/results/instructions.json` or above the most that is allowed, where -Os takes more than
10 % above -O3 in a case and on a core that must not, and where a case is missing on either side.
`--host` measures on this machine instead (`benchmarks.host_kernels`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import host_kernels, instructions
from benchmarks.report import Column, show
from tflm_train import ops
from tflm_train.ops.geometry import Geometry
from tflm_train.qas import gain_shift

BASELINE = Path(__file__).resolve().parent / "results" / "instructions.json"
TOLERANCE = 1.02
FOR_SIZE_TOLERANCE = 1.1
CORES = [*instructions.CORES, *instructions.FOR_SIZE]
_ALL = tuple(instructions.CORES)
_GROUP = 1048  # int8 * int8 * int8 products that are sure to fit int32
_BITS = ops.MaskFields(int(ops.MaskKind.BITS), -128, 127)


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
      name: Unique, for people.
      params: The operator.
      macs: Nominal multiply-accumulates; of operators without, their elements.
      limits: The most that is allowed, instructions per multiply-accumulate by core.
      level_free: The cores on which -Os must be within `FOR_SIZE_TOLERANCE` of -O3.
    """

    name: str
    params: ops.Params
    macs: int
    limits: Mapping[str, float]
    level_free: Sequence[str] = ()


def _limits(dsp: float, mve: float) -> dict[str, float]:
    return {"m4": dsp, "m7": dsp, "m55": mve}


def layer(height: int, in_c: int, out_c: int, kernel: int = 1, stride: int = 1) -> Geometry:
    """A square layer with SAME padding."""
    return Geometry.from_options(
        (height, height, in_c), out_c, (kernel, kernel), (stride, stride), padding="SAME"
    )


def macs(g: Geometry, depthwise: bool) -> int:
    """Of the forward layer, padding taps included."""
    return g.out_h * g.out_w * g.out_c * g.k_h * g.k_w * (1 if depthwise else g.in_c)


def conv_input_grad(g: Geometry, mask: ops.MaskFields, addend: bool = False) -> ops.Params:
    """The operator of a layer."""
    taps = g.k_h * g.k_w
    group = min(g.out_c, _GROUP // taps)
    groups = -(-g.out_c // group)
    shift = (groups - 1).bit_length()
    return ops.ConvInputGrad(g, mask, 0, 1, 2 if addend else -1, 1e-4, group, shift, 0)


def depthwise_input_grad(g: Geometry, mask: ops.MaskFields) -> ops.Params:
    """The operator of a layer."""
    return ops.DepthwiseInputGrad(g, mask, 0, 1, -1, 1e-4, g.out_c // g.in_c, 0)


def update(g: Geometry, residual_bits: int, depthwise: bool) -> ops.Params:
    """The operator of a layer, all taps trained."""
    row = g.out_c if depthwise else g.in_c
    gain = gain_shift(g.positions)
    fields = ops.UpdateFields(0, 3, -5, residual_bits, gain, 0, g.k_h, 0, g.k_w, row)
    if depthwise:
        return ops.DepthwiseUpdate(g, fields, g.out_c // g.in_c)
    return ops.ConvUpdate(g, fields)


def streamed() -> Iterator[Case]:
    """Layers of the forward pass, each as a STREAM of its own."""
    output = ops.OutputFields(-3, -128, -128, 127)
    for g in (layer(32, 16, 96), layer(32, 96, 16), layer(8, 288, 48)):
        stage = _stage(ops.StageKind.CONV, g, output)
        name = f"streamed 1x1 {g.in_h}x{g.in_w} {g.in_c}->{g.out_c}"
        yield Case(name, ops.Stream((stage,)), macs(g, False), {}, _ALL)
    for kernel in (3, 5):
        g = layer(32, 48, 48, kernel)
        stage = _stage(ops.StageKind.DEPTHWISE, g, output)
        name = f"streamed depthwise {kernel}x{kernel} 32x32x48"
        yield Case(name, ops.Stream((stage,)), macs(g, True), {}, _ALL)
    first = layer(64, 3, 16, 3, 2)
    stage = _stage(ops.StageKind.CONV, first, output)
    yield Case("streamed 3x3 64x64 3->16", ops.Stream((stage,)), macs(first, False), {})
    g = layer(32, 16, 16)
    half = 1 << 30
    stage = _stage(ops.StageKind.ADD, g, output)
    stage = replace(stage, add=ops.AddFields(5, half, 0, half, 0, half, -18))
    yield Case("streamed add 32x32x16", ops.Stream((stage,)), 32 * 32 * 16, {}, _ALL[1:])


def _stage(kind: ops.StageKind, g: Geometry, output: ops.OutputFields) -> ops.StageFields:
    """A layer that reads the STREAM's input."""
    return ops.StageFields(kind, g, output, 1, ops.STREAM_INPUT, ops.STREAM_INPUT, g.out_h)


def cases() -> Iterator[Case]:
    """The shapes of the paper's networks, and the operators around them."""
    none = ops.MaskFields()
    points = [layer(8, 48, 288), layer(8, 288, 48), layer(4, 56, 336), layer(4, 336, 56)]
    for g in points:
        shape = f"{g.in_h}x{g.in_w} {g.in_c}->{g.out_c}"
        limits = _limits(1.1, 0.30)
        for what, mask in (("", none), (", bit mask", _BITS)):
            name = f"1x1 input gradient {shape}{what}"
            yield Case(name, conv_input_grad(g, mask), macs(g, False), limits if not what else {})
        for bits in (8, 4, 0):
            name = f"1x1 update {shape}, residual {bits}"
            # Weights that stop alike at both ends cost an instruction for each four of them.
            limits = {} if bits == 4 else _limits(1.21, 0.35)
            yield Case(name, update(g, bits, False), macs(g, False), limits)
    depthwise = [
        (layer(8, 144, 144, 3), _limits(2.2, 0.60)),
        (layer(4, 336, 336, 3), _limits(2.2, 0.60)),
        (layer(8, 288, 288, 3, 2), _limits(3.5, 1.0)),
        (layer(8, 240, 240, 5), _limits(2.0, 0.60)),
        (layer(4, 480, 480, 5), _limits(2.0, 0.60)),
        (layer(8, 192, 192, 7), _limits(2.0, 0.60)),
        (layer(4, 480, 480, 7), _limits(2.0, 0.60)),
    ]
    for g, limits in depthwise:
        shape = f"{g.k_h}x{g.k_w} {g.in_h}x{g.in_w}x{g.in_c} stride {g.stride_h}"
        for what, mask in (("", none), (", bit mask", _BITS)):
            name = f"depthwise input gradient {shape}{what}"
            params = depthwise_input_grad(g, mask)
            yield Case(name, params, macs(g, True), limits if not what else {})
        yield Case(f"depthwise update {shape}, residual 8", update(g, 8, True), macs(g, True), {})
    general = layer(8, 32, 32, 3)
    name = "3x3 convolution 8x8 32->32"
    yield Case(f"{name}, input gradient", conv_input_grad(general, none), macs(general, False), {})
    yield Case(f"{name}, update", update(general, 8, False), macs(general, False), {})
    dense = Geometry.dense(1, 160, 10)
    yield Case("dense 160->10, input gradient", conv_input_grad(dense, none), 1600, {})
    yield Case("dense 160->10, update", update(dense, 8, False), 1600, {})
    split = ops.SplitConv(layer(4, 96, 576), ops.OutputFields(-3, -128, -128, 127), 24)
    limit = {"m4": 3.0, "m7": 3.0}
    yield Case("split convolution 4x4 96->576, 1/4", split, macs(split.geometry, False), limit)
    split_depthwise = ops.SplitDepthwise(
        layer(4, 336, 336, 3), ops.OutputFields(-3, -128, -128, 127), 84, 1
    )
    size = macs(split_depthwise.geometry, True)
    yield Case("split depthwise 3x3 4x4x336, 1/4", split_depthwise, size, {})
    elements = 8 * 8 * 288
    yield Case(f"bias update {elements}", ops.BiasUpdate(64, 288, 0), elements, {}, _ALL)
    yield Case(f"clamp mask {elements}", ops.ClampMask(elements, -128, 127), elements, {}, _ALL)
    save = ops.ChannelSave(64, 288, 72)
    yield Case("channel save 8x8x288, 1/4", save, 64 * 72, {})
    add = ops.Accumulate(8 * 8 * 48, none, 2, (0, 1, -1, -1), 2)
    yield Case("accumulate 2 of 8x8x48", add, 8 * 8 * 48, {})
    pool = Geometry.from_options((4, 4, 160), 160, (4, 4), (4, 4))
    pool_params = ops.PoolGrad(pool, none, 0, 1, 1, 16)
    yield Case("pool gradient 4x4x160", pool_params, 4 * 4 * 160, {})
    yield Case("loss, 10 classes", ops.Loss(10, 0, 0.25, 0), 10, {})
    yield from streamed()


def measure(cores: list[str], wanted: list[Case]) -> dict[str, dict[str, int]]:
    """Instructions by case, then core."""
    counts = {core: instructions.count(core, [case.params for case in wanted]) for core in cores}
    return {case.name: {c: counts[c][i] for c in cores} for i, case in enumerate(wanted)}


def compare(
    counted: Mapping[str, Mapping[str, int]],
    baseline: Mapping[str, Mapping[str, int]],
    cores: Sequence[str],
) -> tuple[int, list[str]]:
    """Holds counts against the baseline.

    Args:
      counted: Instructions by case, then core.
      baseline: The same.
      cores: What to compare of every case; others are left alone.

    Returns:
      How many counts are fine, and a line for each that grew by more than 2 % or that only one of
      the two sides has.
    """
    fine, lines = 0, []
    for name in {**baseline, **counted}:
        for core in cores:
            now, before = (side.get(name, {}).get(core) for side in (counted, baseline))
            if now is None or before is None:
                where = "baseline" if before is None else "benchmark"
                lines.append(f"{name} on {core}: missing in the {where}")
            elif now > before * TOLERANCE:
                growth = f"{now / before - 1:+.1%}"
                lines.append(f"{name} on {core}: {now} instructions, baseline {before} ({growth})")
            else:
                fine += 1
    return fine, lines


def above_limits(
    counted: Mapping[str, Mapping[str, int]], wanted: Sequence[Case], cores: Sequence[str]
) -> list[str]:
    """A line for each count that is more than its case allows on that core."""
    return [
        f"{case.name} on {core}: {counted[case.name][core] / case.macs:.3f} instructions per "
        f"multiply-accumulate, at most {limit:.2f} allowed"
        for case in wanted
        for core, limit in case.limits.items()
        if core in cores and counted[case.name][core] > limit * case.macs
    ]


def above_the_other_level(
    counted: Mapping[str, Mapping[str, int]], wanted: Sequence[Case], cores: Sequence[str]
) -> list[str]:
    """A line for each count with -Os too far above that with -O3, of cases and cores with both."""
    return [
        f"{case.name} on {for_size}: {counted[case.name][for_size]} instructions, with -O3 "
        f"{counted[case.name][core]}; at most {FOR_SIZE_TOLERANCE - 1:.0%} more are allowed"
        for case in wanted
        for for_size, core in instructions.FOR_SIZE.items()
        if core in case.level_free
        and {core, for_size} <= set(cores)
        and counted[case.name][for_size] > FOR_SIZE_TOLERANCE * counted[case.name][core]
    ]


def _check(
    counted: dict[str, dict[str, int]], wanted: Sequence[Case], cores: list[str], only: str
) -> int:
    """Prints what is wrong, and last `N passed, N failed`; returns the exit status."""
    stored = json.loads(BASELINE.read_text())
    baseline = {n: v for n, v in stored["instructions"].items() if only in n}
    fine, lines = compare(counted, baseline, cores)
    above = above_limits(counted, wanted, cores)
    fine += sum(core in cores for case in wanted for core in case.limits) - len(above)
    lines += above + above_the_other_level(counted, wanted, cores)
    print("\n".join(lines), end="\n" * bool(lines))
    if lines and stored["compiler"] != instructions.compiler():
        print(f"the baseline is of {stored['compiler']}, this of {instructions.compiler()}")
    print(f"{fine} passed, {len(lines)} failed")
    return 1 if lines or not fine else 0


def _update_baseline(counted: dict[str, dict[str, int]]) -> None:
    """Writes the counts over those of the same cases and cores."""
    stored = json.loads(BASELINE.read_text()) if BASELINE.exists() else {"instructions": {}}
    merged: dict[str, dict[str, int]] = {}
    for case in cases():
        known = {**stored["instructions"].get(case.name, {}), **counted.get(case.name, {})}
        merged[case.name] = {core: known[core] for core in CORES if core in known}
    report = {
        "command": "python -m benchmarks.kernels --update-baseline",
        "compiler": instructions.compiler(),
        "instructions": merged,
    }
    BASELINE.parent.mkdir(exist_ok=True)
    BASELINE.write_text(json.dumps(report, indent=1) + "\n")


def _show(cores: list[str], wanted: list[Case], counted: dict[str, dict[str, int]]) -> None:
    rows: list[dict[str, Any]] = []
    for case in wanted:
        row: dict[str, Any] = {"case": case.name, "macs": case.macs}
        for core in cores:
            value, limit = counted[case.name][core] / case.macs, case.limits.get(core)
            row[core] = f"{value:.2f}" + ("" if limit is None else f" / {limit:.2f}")
            row[core] += " !" if limit is not None and value > limit else ""
        rows.append(row)
    columns = [Column("kernel, shape", "case"), Column("MAC", "macs")]
    show(
        "Instructions per nominal multiply-accumulate (without one: per element) / target",
        [*columns, *(Column(core, core) for core in cores)],
        rows,
    )


def _show_host(wanted: list[Case], as_json: bool) -> int:
    """Measures on this machine, and prints."""
    counts = host_kernels.measure([case.params for case in wanted])
    rows: list[dict[str, Any]] = [
        {
            "case": case.name,
            **vars(count),
            "speedup": count.speedup,
            "per_mac": count.instructions and count.instructions / case.macs,
            "naive_per_mac": count.naive_instructions and count.naive_instructions / case.macs,
        }
        for case, count in zip(wanted, counts, strict=True)
    ]
    if as_json:
        print(json.dumps(rows))
        return 0
    show(
        "On this machine; instructions per nominal multiply-accumulate by callgrind",
        [
            Column("kernel, shape", "case"),
            Column("ns", "nanoseconds", "{:,}"),
            Column("times faster than a naive loop", "speedup", "{:.1f}"),
            Column("instructions", "per_mac", "{:.2f}"),
            Column("of the naive loop", "naive_per_mac", "{:.2f}"),
        ],
        rows,
    )
    if not host_kernels.has_callgrind():
        print("no instructions: they need valgrind (Debian: apt-get install valgrind)")
    return 0


def main() -> int:
    """The command line; exit status 1 where `--check` finds a regression."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cores", nargs="+", choices=CORES, default=CORES)
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--check", action="store_true", help="compare with the baseline")
    group.add_argument("--update-baseline", action="store_true", help="write the baseline")
    group.add_argument("--host", action="store_true", help="measure on this machine")
    arguments = parser.parse_args()
    wanted = [case for case in cases() if arguments.only in case.name]
    if arguments.host:
        return _show_host(wanted, arguments.json)
    counted = measure(arguments.cores, wanted)
    if arguments.json:
        print(json.dumps(counted))
    elif not arguments.check:
        _show(arguments.cores, wanted, counted)
    if arguments.update_baseline:
        _update_baseline(counted)
    if not arguments.check:
        return 0
    return _check(counted, wanted, arguments.cores, arguments.only)


if __name__ == "__main__":
    raise SystemExit(main())
