"""What the benchmarks' commands share: tables, `--json`, and result files."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

# One thread each: several benchmarks may share a machine, and speeds are per core.
for _variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_WIDE = 140


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, the row's key, and how to write the value."""

    heading: str
    key: str
    text: str = "{}"


def show(title: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints a table; numbers stand right, None is left blank."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:  # a pipe has no width of its own
        console = Console(width=_WIDE)
    table = Table(title=title)
    for column in columns:
        numeric = all(isinstance(row[column.key], int | float | None) for row in rows)
        table.add_column(column.heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        values = ((column, row[column.key]) for column in columns)
        table.add_row(*("" if value is None else c.text.format(value) for c, value in values))
    console.print(table)


def parser_of(documentation: str | None) -> argparse.ArgumentParser:
    """The parser of a benchmark, with `--json` and `--save`.

    Args:
        documentation: the module's, whose first line says what it does.
    """
    parser = argparse.ArgumentParser(description=(documentation or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object, no tables")
    parser.add_argument("--save", type=Path, help="also write the JSON object to this file")
    return parser


def save(name: str, results: Mapping[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Saves the results as one JSON object, with what made them, where `--save` asks for it.

    Args:
        name: the benchmark's module.
        results: plain values.
        arguments: with `save`.

    Returns:
        The object.
    """
    command = " ".join(["python", "-m", f"benchmarks.{name}", *sys.argv[1:]])
    packages = {package: version(package) for package in ("tflite-micro", "tensorflow", "numpy")}
    report = {"command": command, "versions": packages, **results}
    if arguments.save is not None:
        arguments.save.parent.mkdir(parents=True, exist_ok=True)
        arguments.save.write_text(json.dumps(report, indent=1) + "\n")
    return report


def publish(name: str, results: Mapping[str, Any], arguments: argparse.Namespace) -> None:
    """Prints and saves the results.

    Args:
        name: the benchmark's module.
        results: plain values.
        arguments: with `json` and `save`.
    """
    report = save(name, results, arguments)
    if arguments.json:
        print(json.dumps(report))
