"""Random nodes of our operators come to the same on every core, bit for bit.

    python -m benchmarks.random_nodes [--count N] [--seed S] [--core NAME ...]

Of each node all tensors are compared after three invokes, of which the weights evolve: on this
machine (AVX2 where it has that) and on emulated cores. Nodes that differ are written to
build/random_nodes; the exit status is 1 if there are any.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.report import Column, parser_of, publish, show
from tests.fuzz import node_runs
from tests.fuzz.random_nodes import random_nodes
from tools import boards

_BLOCK = 2000
_FOUND = boards.ROOT / "build" / "random_nodes"


def _keep(node: bytes, lines: dict[str, str]) -> None:
    _FOUND.mkdir(parents=True, exist_ok=True)
    path = _FOUND / f"{node_runs.op_of(node)}_{hashlib.sha256(node).hexdigest()[:12]}"
    path.write_bytes(node)
    print(f"{path}: {lines}", file=sys.stderr, flush=True)


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="nodes that shall run")
    parser.add_argument("--seed", type=int, default=0, help="other seeds give other nodes")
    parser.add_argument(
        "--core", nargs="+", choices=tuple(node_runs.BOARDS), default=["cortex_m4", "cortex_m55"]
    )
    arguments = parser.parse_args()
    cores = ["host", *arguments.core]
    nodes = random_nodes(arguments.seed)
    ran: Counter[str] = Counter()
    not_run: Counter[str] = Counter()
    differing = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs = {core: node_runs.build(core, folder) for core in cores}
        while (left := arguments.count - ran.total() - differing) > 0:
            block = list(itertools.islice(nodes, min(_BLOCK, left)))
            found = node_runs.compare(block, programs, folder)
            ran += found.ran
            not_run += found.not_run
            differing += len(found.differing)
            for node, lines in found.differing:
                _keep(node, lines)
    rows = [{"op": op, "nodes": ran[op], "too large": not_run[op]} for op in sorted(ran)]
    results = {"cores": cores, "nodes": ran.total(), "differing": differing, "by_op": rows}
    publish("random_nodes", results, arguments)
    if not arguments.json:
        columns = [Column("op", "op"), Column("nodes", "nodes"), Column("too large", "too large")]
        show(f"{ran.total()} nodes alike on {', '.join(cores)}, {differing} not", columns, rows)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
