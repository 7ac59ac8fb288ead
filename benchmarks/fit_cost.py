"""Fits the cost model's coefficients to counts under QEMU: tflm_train/cost/instructions.json.

    python -m benchmarks.fit_cost [--cores m4 m7 ...]

Counted are whole training steps of four networks in TFLM with CMSIS-NN (`benchmarks.step_counts`),
which TFLM_INCLUDE and TFLM_LIB name, and single training ops of many shapes. Of each kind of op
non-negative coefficients are sought with the smallest relative errors. Rows of cores that are not
named, or for which there is no TFLM, stay as they are.

A Cortex-M33 executes what an M4 does. No TFLM was counted on an M0+: its builtin operators take
what they do on an M3, times what the convolutions of ours take more there. TFLM's reference kernels
are counted on one core, where TFLM_REFERENCE_LIB names them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from benchmarks import instructions, step_counts
from benchmarks.op_shapes import op_shapes
from tflm_train import ops
from tflm_train.cost.cores import Core
from tflm_train.cost.features import Features, features_of, features_of_params
from tools import boards

TABLE = boards.ROOT / "tflm_train" / "cost" / "instructions.json"
_FLOOR = 2000.0  # instructions that an estimate may be off without weight
_POWER = 0.6  # 1: all relative errors weigh the same; 0.5: errors of large ops weigh more
_LEAST = 1e-4  # of a coefficient's share that is left out
_SAME = {Core.M33: Core.M4}
_REFERENCE_CORE = Core.M7


@dataclass(frozen=True)
class Sample:
    """A counted op."""

    features: Features
    instructions: int


def of_steps(core: Core, cases: Sequence[step_counts.Case]) -> list[Sample]:
    """The ops of counted steps; none where no TFLM is at hand."""
    samples = []
    for case in cases:
        counts = step_counts.count(case, core)
        if counts is None:
            return []
        graph = case.rewritten().graph
        samples += [Sample(features_of(op), n) for op, n in zip(graph.ops, counts, strict=True)]
    return samples


def of_shapes(core: Core) -> list[Sample]:
    """Single training ops of many shapes."""
    wanted = op_shapes()
    packed = b"".join(params.pack() for params in wanted)
    kept = step_counts.KEPT / f"{core}-shapes-{hashlib.sha256(packed).hexdigest()[:32]}.json"
    if not kept.exists():
        counts = instructions.count(str(core), wanted)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(counts))
    counts = json.loads(kept.read_text())
    return [Sample(features_of_params(p), n) for p, n in zip(wanted, counts, strict=True)]


def fit(samples: Iterable[Sample]) -> dict[str, dict[str, float]]:
    """Coefficients by kind of op and feature; those that are zero are left out."""
    by_kind: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_kind[sample.features.kind].append(sample)
    return {kind: _fit_kind(found) for kind, found in sorted(by_kind.items())}


def _fit_kind(samples: Sequence[Sample]) -> dict[str, float]:
    names = sorted({name for sample in samples for name in sample.features.values})
    counts = np.array([sample.instructions for sample in samples], np.float64)
    table = np.array([[s.features.values.get(n, 0.0) for n in names] for s in samples], np.float64)
    weights = (counts + _FLOOR) ** -_POWER
    weighted = table * weights[:, None]
    scale = np.maximum(weighted.max(axis=0), 1e-30)
    found, _ = nnls(weighted / scale, counts * weights, maxiter=20000)
    return {
        name: float(f"{value / unit:.5g}")
        for name, value, unit in zip(names, found, scale, strict=True)
        if value > _LEAST
    }


def _without_tflm(own: dict[str, Any], m3: dict[str, Any]) -> dict[str, Any]:
    """An M0+'s table: builtin operators as on an M3, slower as the convolutions of ours are."""
    kind, feature = ops.Stream.OP, "conv 1x1 macs"
    slower = own[kind][feature] / m3[kind][feature]
    trained = {op.OP for op in ops.ALL}
    builtin = {
        kind: {name: round(value * slower, 4) for name, value in row.items()}
        for kind, row in m3.items()
        if kind not in trained
    }
    missing = {kind: row for kind, row in m3.items() if kind in trained and kind not in own}
    return {**builtin, **missing, **own}


def _reference() -> dict[str, Any]:
    """Builtin operators in TFLM's reference kernels."""
    ours, named = os.environ["TFLM_LIB"], os.environ["TFLM_REFERENCE_LIB"]
    os.environ["TFLM_LIB"] = named
    builtin = [case for case in step_counts.FITTED if case.way == "builtin"]
    samples = [
        Sample(features_of(op), n)
        for case in builtin
        for op, n in zip(
            case.rewritten().graph.ops,
            step_counts.count(case, _REFERENCE_CORE, "reference") or [],
            strict=True,
        )
    ]
    os.environ["TFLM_LIB"] = ours
    table = fit(samples)
    return {kind: row for kind, row in table.items() if kind not in {op.OP for op in ops.ALL}}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    counted = [*map(str, step_counts.CORES), str(Core.M0PLUS)]
    parser.add_argument("--cores", nargs="+", choices=counted, default=counted)
    arguments = parser.parse_args()
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    rows = dict(table.get("instructions", {}))
    for core in map(Core, arguments.cores):
        steps = of_steps(core, step_counts.FITTED)
        if not steps and core is not Core.M0PLUS:
            print(f"no TFLM for {core}: its rows stay as they are")
            continue
        rows[str(core)] = fit([*steps, *of_shapes(core)])
        if core is Core.M0PLUS:
            rows[str(core)] = _without_tflm(rows[str(core)], rows[str(Core.M3)])
        print(f"{core}: {len(rows[str(core)])} kinds of ops", flush=True)
    for core, same in _SAME.items():
        rows[str(core)] = rows[str(same)]
    if "TFLM_REFERENCE_LIB" in os.environ:
        table["reference"] = _reference()
    made = {
        "command": "python -m benchmarks.fit_cost",
        "compiler": instructions.compiler(),
        "instructions": rows,
        "reference": table.get("reference", {}),
        "cycles_per_instruction": table.get("cycles_per_instruction", {}),
    }
    TABLE.write_text(json.dumps(made, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
