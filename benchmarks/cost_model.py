"""The estimated instructions of whole training steps beside counted ones.

    python -m benchmarks.cost_model [--cores m4 ...] [--check] [--json] [--save FILE]

Counted in TFLM with CMSIS-NN under QEMU (`benchmarks.step_counts`; TFLM_INCLUDE and TFLM_LIB name
it), of the networks that the coefficients were fitted on and of two that they were not. With
`--check` the exit status is 1 where an estimate is more than 5 % off.
"""

from __future__ import annotations

from typing import Any

from benchmarks import instructions, step_counts
from benchmarks.report import Column, parser_of, publish, show
from tflm_train.cost.cores import Core
from tflm_train.cost.estimate import step_cost

LIMIT = 0.05


def row_of(case: step_counts.Case, core: Core) -> dict[str, Any] | None:
    """A step, counted and estimated; None where no TFLM for the core is at hand."""
    counts = step_counts.count(case, core)
    if counts is None:
        return None
    counted, estimated = sum(counts), step_cost(case.rewritten().graph.ops, core).instructions
    return {
        "core": str(core),
        "network": case.network,
        "scheme": case.scheme,
        "way": case.way,
        "residual_bits": case.residual_bits,
        "fitted": case in step_counts.FITTED,
        "counted": counted,
        "estimated": estimated,
        "error": estimated / counted - 1,
    }


def main() -> int:
    """The command line."""
    parser = parser_of(__doc__)
    cores = [str(core) for core in (*step_counts.CORES, Core.M7)]
    parser.add_argument("--cores", nargs="+", choices=cores, default=["m4"])
    parser.add_argument("--check", action="store_true", help="fail where one is 5 %% off")
    arguments = parser.parse_args()
    rows = [
        row
        for core in map(Core, arguments.cores)
        for case in (*step_counts.FITTED, *step_counts.HELD_OUT)
        if (row := row_of(case, core)) is not None
    ]
    if not rows:
        raise SystemExit("TFLM_INCLUDE and TFLM_LIB name no TFLM for these cores")
    publish("cost_model", {"compiler": instructions.compiler(), "rows": rows}, arguments)
    if not arguments.json:
        columns = (
            Column("core", "core"),
            Column("network", "network"),
            Column("scheme", "scheme"),
            Column("forward", "way"),
            Column("residual", "residual_bits"),
            Column("fitted on", "fitted"),
            Column("counted", "counted", "{:,}"),
            Column("estimated", "estimated", "{:,}"),
            Column("error", "error", "{:+.1%}"),
        )
        show("Instructions of a training step", columns, rows)
    wrong = [row for row in rows if abs(row["error"]) > LIMIT]
    if arguments.check:
        print(f"{len(rows) - len(wrong)} passed, {len(wrong)} failed")
    return 1 if arguments.check and wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
