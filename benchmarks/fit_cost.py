"""Fits the cost model's coefficients to counts under QEMU: tflm_train/cost/instructions.json.

    python -m benchmarks.fit_cost [--cores m4 m7 ...] [--kinds CONV_UPDATE ...]

Counted are whole training steps of four networks in TFLM with CMSIS-NN (`benchmarks.step_counts`),
which TFLM_INCLUDE and TFLM_LIB name, and single training ops of many shapes. Of each kind of op
non-negative coefficients are sought with the smallest relative errors. A feature that the table
lacks was never counted; one that takes no time of its own is there with 0. Rows of cores that are
not named, or for which there is no TFLM, stay as they are.

With `--kinds` only training ops of these kinds are fitted, `ours` stands for all of them: to ops of
many shapes and to those of the same steps, counted one by one, for which no TFLM is needed.

`--kinds builtin` fits TFLM's operators without weights to models of one operator
(`benchmarks.builtin_shapes`), which need TFLM for an M4 or an M7.

A Cortex-M33 and an M7 execute what an M4 does (whole steps on an M7 differ by less than 1 %). No
TFLM was counted on an M0+: its builtin operators take what they do on an M3, times what the STREAMs
of ours take more there. The operators that `--kinds builtin` fits were counted on no M3 and no M55:
there they take what they do on an M4, times what an operator of the same sort takes more or less,
SOFTMAX for plain C, ADD and AVERAGE_POOL_2D for CMSIS-NN's own loops; those on float32 stay
unknown on cores without a floating-point unit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from benchmarks import builtin_ops, instructions, step_counts
from benchmarks.builtin_shapes import builtin_shapes
from benchmarks.op_shapes import op_shapes
from benchmarks.whole_step import count_ops, forward_only
from tflm_train import ops
from tflm_train.cost.cores import Core
from tflm_train.cost.features import Features, features_of, features_of_params, params_of
from tflm_train.graph import Op
from tools import boards

TABLE = boards.ROOT / "tflm_train" / "cost" / "instructions.json"
_FLOOR = 2000.0  # instructions that an estimate may be off without weight
# How errors weigh: 1, all relative ones the same; 0.5, those of large ops more. What gives the
# smallest errors of whole fitted steps without one kind of op getting far off.
_POWERS = {Core.M4: 0.75}
_POWER = 0.5
_LEAST = 1e-4  # of a coefficient's share that is left out
OURS = {op.OP for op in ops.ALL} - {ops.Restore.OP, ops.Finish.OP}
"""The kinds that can be counted one by one."""
_LIKE = {
    "MAX_POOL_2D": ("AVERAGE_POOL_2D", {"elements": 1.0, "read": 4.0}),
    **dict.fromkeys(("MUL", "MAXIMUM", "MINIMUM"), ("ADD", {"elements": 1.0})),
}
"""What operator's ratio between two cores another one has, and amounts to take it at."""
_SAME = {Core.M33: Core.M4, Core.M7: Core.M4}


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
    return _of_ops(core, op_shapes())


def of_kinds(core: Core, kinds: Collection[str]) -> list[Sample]:
    """Ops of some kinds, those of many shapes and those of the fitted steps, one by one."""
    steps = [params for op in _step_ops() if (params := params_of(op)) is not None]
    # What a STREAM keeps for the backward pass is counted in whole steps alone.
    alone = [forward_only(p) if isinstance(p, ops.Stream) else p for p in steps]
    found = {p.pack(): p for p in (*op_shapes(), *alone) if p.OP in kinds}
    return _of_ops(core, list(found.values()))


def _step_ops() -> Iterator[Op]:
    return (op for case in step_counts.FITTED for op in case.rewritten().graph.ops)


def _of_ops(core: Core, wanted: Sequence[ops.Params]) -> list[Sample]:
    packed = [params.pack() for params in wanted]

    def count() -> list[int]:
        counted = count_ops(str(core), wanted)
        return [counted[each] for each in packed]

    counts = _kept(f"{core}-shapes", packed, count)
    return [Sample(features_of_params(p), n) for p, n in zip(wanted, counts, strict=True)]


def _kept(name: str, wanted: Iterable[bytes], count: Callable[[], Any]) -> Any:
    """What was counted, kept by what was wanted and the sources, so that a fit can be repeated."""
    key = hashlib.sha256(b"".join(wanted) + step_counts.sources_digest()).hexdigest()[:32]
    kept = step_counts.KEPT / f"{name}-{key}.json"
    if not kept.exists():
        counts = count()
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(counts))
    return json.loads(kept.read_text())


def of_builtins() -> list[Sample] | None:
    """Single builtin operators on an M4, or on an M7; None where there is no TFLM for either."""
    core = next((c for c in (Core.M4, Core.M7) if builtin_ops.library(str(c))), None)
    if core is None:
        return None
    models = [model for found in builtin_shapes().values() for model in found]
    counted = _kept(
        f"{core}-builtins",
        (model.source for model in models),
        lambda: [builtin_ops.count(str(core), model) for model in models],
    )
    ops_of = [model.graph.ops[0] for model in models]
    return [Sample(features_of(op), n) for op, (n,) in zip(ops_of, counted, strict=True)]


def _builtin_rows(rows: Mapping[str, Any], samples: Sequence[Sample]) -> dict[str, Any]:
    """All cores' coefficients with those of builtin operators, which an M4's samples say."""
    of_m4 = fit(samples, _POWER)
    own = rows[str(Core.M4)]
    # What whole steps have of an operator stays as they say.
    in_steps = {op.name for op in _step_ops()}
    stays = {kind: own.get(kind, {}) if kind in in_steps else {} for kind in of_m4}
    found = {str(Core.M4): {**own, **{k: {**r, **stays[k]} for k, r in of_m4.items()}}}
    for core in (Core.M3, Core.M55):
        row = rows[str(core)]
        likened = {
            kind: {
                name: float(f"{value * _ratio(kind, row, own):.5g}")
                for name, value in of_kind.items()
                if core is not Core.M3 or "float" not in name
            }
            for kind, of_kind in of_m4.items()
        }
        found[str(core)] = {**row, **{k: {**r, **row.get(k, {})} for k, r in likened.items()}}
    slower = _slower_than_m3()
    row, of_m3 = rows[str(Core.M0PLUS)], found[str(Core.M3)]
    likened = {k: {n: round(v * slower, 4) for n, v in of_m3[k].items()} for k in of_m4}
    found[str(Core.M0PLUS)] = {**row, **{k: {**r, **row.get(k, {})} for k, r in likened.items()}}
    return found


def _ratio(kind: str, row: Mapping[str, Any], of_m4: Mapping[str, Any]) -> float:
    """What an operator of the same sort takes on a core, an M4's being 1."""
    name, amounts = _LIKE.get(kind, ("SOFTMAX", {"elements": 1.0}))
    taken = [sum(r[name].get(n, 0.0) * a for n, a in amounts.items()) for r in (row, of_m4)]
    return float(taken[0] / taken[1])


def fit(samples: Iterable[Sample], power: float) -> dict[str, dict[str, float]]:
    """Coefficients by kind of op and feature.

    Args:
      samples: Counted ops.
      power: How errors weigh.
    """
    by_kind: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_kind[sample.features.kind].append(sample)
    return {kind: _fit_kind(found, power) for kind, found in sorted(by_kind.items())}


def _fit_kind(samples: Sequence[Sample], power: float) -> dict[str, float]:
    names = sorted(
        {n for sample in samples for n, value in sample.features.values.items() if value}
    )
    counts = np.array([sample.instructions for sample in samples], np.float64)
    table = np.array([[s.features.values.get(n, 0.0) for n in names] for s in samples], np.float64)
    weights = (counts + _FLOOR) ** -power
    weighted = table * weights[:, None]
    scale = np.maximum(weighted.max(axis=0), 1e-30)
    found, _ = nnls(weighted / scale, counts * weights, maxiter=20000)
    return {
        name: float(f"{value / unit:.5g}") if value > _LEAST else 0.0
        for name, value, unit in zip(names, found, scale, strict=True)
    }


def _without_tflm(own: dict[str, Any], m3: dict[str, Any]) -> dict[str, Any]:
    """An M0+'s table: what was not counted as on an M3, slower as the STREAMs of ours are."""
    slower = _slower_than_m3()
    shapes = of_shapes(Core.M0PLUS)
    sampled = {(s.features.kind, name) for s in shapes for name in s.features.values}
    rest = {
        kind: {
            name: round(value * slower, 4)
            for name, value in row.items()
            if (kind, name) not in sampled
        }
        for kind, row in m3.items()
    }
    return {kind: {**rest[kind], **own.get(kind, {})} for kind in m3}


def _slower_than_m3() -> float:
    """How many times an M3's instructions the STREAMs of ours take on an M0+."""
    own, m3 = (
        sum(s.instructions for s in of_shapes(core) if s.features.kind == ops.Stream.OP)
        for core in (Core.M0PLUS, Core.M3)
    )
    return own / m3


def _row(core: Core, kinds: Collection[str], rows: Mapping[str, Any]) -> dict[str, Any] | None:
    """A core's coefficients; None where they need a TFLM that is not at hand."""
    power = _POWERS.get(core, _POWER)
    if kinds:
        return _refitted(rows[str(core)], fit(of_kinds(core, kinds), power))
    steps = of_steps(core, step_counts.FITTED)
    if core is Core.M0PLUS:
        return _without_tflm(fit(of_shapes(core), power), rows[str(Core.M3)])
    return fit([*steps, *of_shapes(core)], power) if steps else None


def _refitted(row: Mapping[str, Any], fitted: Mapping[str, Any]) -> dict[str, Any]:
    """A core's coefficients with some fitted anew; what only whole steps have stays."""
    in_steps = {(f.kind, name) for f in map(features_of, _step_ops()) for name in f.values}
    kept = {
        kind: {n: value for n, value in row.get(kind, {}).items() if (kind, n) in in_steps}
        for kind in fitted
    }
    return {**row, **{kind: {**kept[kind], **of_kind} for kind, of_kind in fitted.items()}}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    counted = [*map(str, step_counts.CORES), str(Core.M0PLUS)]
    parser.add_argument("--cores", nargs="+", choices=counted, default=counted)
    kinds = sorted(OURS)
    parser.add_argument("--kinds", nargs="+", choices=[*kinds, "ours", "builtin"], default=[])
    arguments = parser.parse_args()
    if "ours" in arguments.kinds:
        arguments.kinds = kinds
    return arguments


def main() -> int:
    """The command line."""
    arguments = _arguments()
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    rows = dict(table.get("instructions", {}))
    if "builtin" in arguments.kinds:
        samples = of_builtins()
        if samples is None:
            raise SystemExit("TFLM_INCLUDE and TFLM_LIB name no TFLM for an M4 or an M7")
        rows |= _builtin_rows(rows, samples)
        arguments.cores = [] if arguments.kinds == ["builtin"] else arguments.cores
        arguments.kinds.remove("builtin")
    for core in map(Core, arguments.cores):
        row = _row(core, arguments.kinds, rows)
        if row is None:
            print(f"no TFLM for {core}: its rows stay as they are")
            continue
        rows[str(core)] = dict(sorted(row.items()))
        print(f"{core}: {len(row)} kinds of ops", flush=True)
    for core, same in _SAME.items():
        rows[str(core)] = rows[str(same)]
    made = {
        "command": "python -m benchmarks.fit_cost",
        "compiler": instructions.compiler(),
        "instructions": rows,
    }
    TABLE.write_text(json.dumps(made, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
