"""Random nodes of our operators come to the same on every core, bit for bit.

    python -m benchmarks.random_nodes [--count N] [--seed S] [--core NAME ...] [--save FILE]

Of each node all tensors are compared after three invokes, of which the weights evolve: on this
machine (AVX2 where it has that) and on emulated cores. Nodes that differ are written to
build/random_nodes; the exit status is 1 if there are any. `--save` writes the results after every
2,000 nodes, and the same command goes on from there if it was broken off.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.report import Column, parser_of, publish, save, show
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


def _sources() -> str:
    """A digest of what runs the nodes."""
    digest = hashlib.sha256()
    for path in node_runs.sources():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _begun(path: Path | None, made: dict[str, Any]) -> dict[str, Any]:
    """What an earlier run by the same programs has saved; {} if there is none."""
    if path is None or not path.exists():
        return {}
    saved = json.loads(path.read_text())
    return saved if all(saved.get(key) == value for key, value in made.items()) else {}


class _Stream:
    """The nodes of a seed, one block after the other, with a digest of those so far."""

    def __init__(self, seed: int) -> None:
        self._nodes = random_nodes(seed)
        self._digest = hashlib.sha256()

    def draw(self, count: int) -> list[bytes]:
        block = list(itertools.islice(self._nodes, count))
        for node in block:
            self._digest.update(node)
        return block

    def digest(self) -> str:
        return self._digest.hexdigest()[:16]


def _resumed(path: Path | None, made: dict[str, Any]) -> tuple[_Stream, dict[str, Any]]:
    """The nodes that are left and what others of them have come to."""
    begun, stream = _begun(path, made), _Stream(made["seed"])
    for _ in range(0, begun.get("drawn", 0), _BLOCK):
        stream.draw(_BLOCK)
    if begun and stream.digest() != begun["drawn_digest"]:
        return _Stream(made["seed"]), {}
    return stream, begun


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="nodes that shall run")
    parser.add_argument("--seed", type=int, default=0, help="other seeds give other nodes")
    parser.add_argument(
        "--core", nargs="+", choices=tuple(node_runs.BOARDS), default=["cortex_m4", "cortex_m55"]
    )
    arguments = parser.parse_args()
    cores = ["host", *arguments.core]
    made = {"cores": cores, "seed": arguments.seed, "sources": _sources()}
    stream, begun = _resumed(arguments.save, made)
    by_op = begun.get("by_op", [])
    ran = Counter[str]({row["op"]: row["nodes"] for row in by_op})
    not_run = Counter[str]({row["op"]: row["too large"] for row in by_op})
    differing, drawn = begun.get("differing", 0), begun.get("drawn", 0)
    started, before = time.monotonic(), drawn
    results: dict[str, Any] = begun
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs = {core: node_runs.build(core, folder) for core in cores}
        while ran.total() + differing < arguments.count or not results:
            block = stream.draw(_BLOCK)
            found = node_runs.compare(block, programs, folder)
            ran += found.ran
            not_run += found.not_run
            differing += len(found.differing)
            drawn += len(block)
            for node, lines in found.differing:
                _keep(node, lines)
            rows = [
                {"op": op, "nodes": ran[op], "too large": not_run[op]}
                for op in sorted({*ran, *not_run})
            ]
            results = {**made, "drawn": drawn, "nodes": ran.total(), "differing": differing}
            results |= {"drawn_digest": stream.digest(), "by_op": rows}
            save("random_nodes", results, arguments)
            speed = (drawn - before) / (time.monotonic() - started)
            print(
                f"{ran.total():,} of {arguments.count:,} nodes alike, {differing} not; "
                f"{max(0, arguments.count - ran.total()) / speed / 60:.0f} minutes left",
                file=sys.stderr, flush=True,
            )  # fmt: skip
    publish("random_nodes", results, arguments)
    rows = results["by_op"]
    if not arguments.json:
        columns = [Column("op", "op"), Column("nodes", "nodes"), Column("too large", "too large")]
        show(f"{ran.total()} nodes alike on {', '.join(cores)}, {differing} not", columns, rows)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
