"""Tables and lines that people read. Nothing here computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tflm_train.memory.report import ARENA_PARTS
from tflm_train.runtime.metrics import ACCURACY
from tflm_train.runtime.training import EpochRecord

_WIDE = 140
_PEAK_ROWS = 6


def _console() -> Console:
    console = Console()
    # A pipe has no width of its own, and 80 columns would cut the tables.
    return console if console.is_terminal else Console(width=_WIDE)


def error_console() -> Console:
    """Where progress goes: standard error, so that results can be piped."""
    return Console(stderr=True)


def show_inspection(description: dict[str, Any]) -> None:
    """Prints what `inspect_model` returned."""
    console = _console()
    table = Table(title=f"{description['model']} ({description['bytes']:,} bytes)")
    for heading, justify in (
        ("layer", "right"), ("op", "left"), ("name", "left"), ("input", "left"),
        ("output", "left"), ("kernel", "left"), ("MACs", "right"), ("weights", "right"),
        ("RAM: bias", "right"), ("RAM: weights", "right"), ("trainable", "left"),
    ):  # fmt: skip
        table.add_column(
            heading,
            justify=justify,  # type: ignore[arg-type]
            overflow="fold",
            no_wrap=heading == "op",
        )
    for layer in description["layers"]:
        table.add_row(
            str(layer["index"]),
            layer["op"],
            layer["name"],
            _shape(layer["input_shape"]),
            _shape(layer["output_shape"]),
            _shape(layer["weight_shape"]),
            f"{layer['macs']:,}",
            f"{layer['weight_bytes']:,}",
            f"{layer['bias_ram_bytes']:,}",
            f"{layer['weight_ram_bytes']:,}",
            "yes" if layer["trainable"] else f"no: {layer['why_not']}",
        )
    console.print(table)
    for barrier in description["barriers"]:
        console.print(f"no gradient passes {barrier}", style="yellow")
    for loss, reason in description["losses"].items():
        console.print(f"loss {loss}: {'yes' if reason is None else f'no: {reason}'}")
    console.print(
        "RAM: bytes that training the layer's bias, or its weights (with residual_bits: 8, the "
        "bias and its input activation kept), would add at most.",
        style="dim",
    )
    _print_arena(console, {"inference": description["arena"]}, description["kernels"])
    _print_peak(console, description["peak"])


def show_rewrite(summary: dict[str, Any]) -> None:
    """Prints what a rewrite added."""
    console = _console()
    table = Table(title=f"trained layers of {summary['output']}")
    for heading in ("layer", "op", "name", "weights", "biases", "variables (bytes)", "frozen"):
        left = heading in ("op", "name")
        table.add_column(heading, justify="left" if left else "right", overflow="fold")
    for layer in summary["layers"]:
        table.add_row(
            f"{layer['index']}{' (head)' if layer['head'] else ''}",
            layer["op"],
            layer["name"],
            f"{layer['weights']:,}",
            f"{layer['biases']:,}",
            f"{layer['variable_bytes']:,}",
            f"{layer['frozen_channels']} channels" if layer["frozen_channels"] else "",
        )
    console.print(table)
    added = ", ".join(f"{count} {name}" for name, count in summary["ops"].items())
    console.print(f"ops added: {added}")
    arenas = {"inference": summary["arena_before"], "training": summary["arena"]}
    _print_arena(console, arenas, summary["kernels"])
    _print_peak(console, summary["peak"])
    extra = {name: account["total_bytes"] for name, account in summary["extra_memory"].items()}
    console.print(
        f"kept for training beyond inference: {extra['kept']:,} bytes without the head "
        f"(the paper's formula gives {extra['analytic']:,})"
    )
    _print_macs(console, summary)
    flash = summary["flash"]
    console.print(f"flash: {flash['rewritten_bytes']:,} bytes (was {flash['original_bytes']:,})")
    for warning in summary["warnings"]:
        console.print(f"warning: {warning}", style="yellow")
    for plot in summary.get("plots", []):
        console.print(f"plot written: {plot}")
    console.print(f"written: {summary['output']}")


def show_lines(lines: Sequence[str]) -> None:
    """Prints plain lines."""
    for line in lines:
        print(line)


def score(metric: str, value: float) -> str:
    """A score with its name: `accuracy 93.1 %`, `mean squared error 0.0123`."""
    shown = f"{100 * value:.1f} %" if metric == ACCURACY else f"{value:.4g}"
    return f"{metric.replace('_', ' ')} {shown}"


def epoch_line(epoch: int, record: EpochRecord, metric: str) -> str:
    """One line about a finished epoch."""
    return (
        f"epoch {epoch + 1}: loss {record.loss:.4f}, "
        f"training {score(metric, record.train_accuracy)}, "
        f"test {score(metric, record.test_accuracy)}"
    )


def show_training(summary: dict[str, Any]) -> None:
    """Prints the outcome of a training run."""
    console = _console()
    console.print(
        f"before: test {score(summary['metric'], summary['test_accuracy_before'])}; "
        f"after: test {score(summary['metric'], summary['test_accuracy'])} "
        f"({summary['steps_per_second']:.1f} steps per second)"
    )
    if "state" in summary:
        console.print(f"state written: {summary['state']}")


def show_evaluation(summary: dict[str, Any]) -> None:
    """Prints a score, and that of each class where classes have names."""
    show_records("classes", summary.get("classes", []))
    _console().print(
        f"test {score(summary['metric'], summary['test_accuracy'])} ({summary['samples']} samples)"
    )
    for warning in summary.get("warnings", []):
        _console().print(f"warning: {warning}", style="yellow", soft_wrap=True)


def show_mapping(values: dict[str, Any]) -> None:
    """Prints names and values, one to a line."""
    width = max(len(name) for name in values)
    for name, value in values.items():
        text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
        _console().print(f"{name.replace('_', ' '):{width}}  {text}")


def show_records(title: str, records: list[dict[str, Any]]) -> None:
    """Prints a table with a row for each record; all have the same fields."""
    if not records:
        return
    table = Table(title=title)
    for field, value in records[0].items():
        left = isinstance(value, str)
        table.add_column(field, justify="left" if left else "right", overflow="fold")
    for record in records:
        table.add_row(*(_cell(value) for value in record.values()))
    _console().print(table)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return _shape(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def show_memory(summary: dict[str, Any]) -> None:
    """Prints a memory report."""
    console = _console()
    _print_arena(console, {summary["model"]: summary["arena"]}, summary["kernels"])
    _print_peak(console, summary["peak"])
    console.print(f"flash: {summary['flash']['model_bytes']:,} bytes (the model)")
    for name in summary["unmodelled_ops"]:
        console.print(f"warning: the memory of {name} is not counted", style="yellow")
    if "plot" in summary:
        console.print(f"plot written: {summary['plot']}")


def show_optimized(summary: dict[str, Any]) -> None:
    """Prints what `optimize` did."""
    console = _console()
    arenas = {"before": summary["arena_before"], "after": summary["arena"]}
    _print_arena(console, arenas, summary["kernels"])
    for stream in summary["streams"]:
        ends = stream[0] if len(stream) == 1 else f"{stream[0]} to {stream[-1]}"
        console.print(f"one op for {len(stream)} layers: {ends}")
    if summary["folded_pads"]:
        console.print(f"PAD ops taken over by a convolution: {summary['folded_pads']}")
    _print_macs(console, summary)
    slowdown = summary["slowdown"]
    console.print(f"estimated time of the forward layers: {slowdown:.2f} times as before")
    for plot in summary.get("plots", []):
        console.print(f"plot written: {plot}")
    console.print(f"written: {summary['output']}")


def _print_macs(console: Console, summary: dict[str, Any]) -> None:
    console.print(
        f"multiply-accumulates of one inference: {summary['macs']:,} (was "
        f"{summary['macs_before']:,})"
    )


def _print_arena(console: Console, columns: dict[str, dict[str, int]], kernels: str) -> None:
    table = Table(title=f"arena on a Cortex-M, {kernels} kernels (bytes)")
    table.add_column("")
    for heading in columns:
        table.add_column(heading, justify="right")
    labels = ARENA_PARTS | {"total_bytes": "total", "minimum_bytes": "smallest arena to give it"}
    for key, label in labels.items():
        table.add_row(label, *(f"{arena[key]:,}" for arena in columns.values()))
    console.print(table)


def _print_peak(console: Console, peak: dict[str, Any]) -> None:
    title = f"peak: op {peak['op']} ({peak['name']}), {peak['bytes']:,} bytes alive"
    table = Table(title=title)
    for heading, justify in (
        ("tensor or scratch", "left"), ("bytes", "right"), ("from op", "right"), ("to op", "right"),
    ):  # fmt: skip
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for buffer in peak["buffers"][:_PEAK_ROWS]:
        ends = (buffer["first_op"], buffer["last_op"])
        times = ["input" if op < 0 else str(op) for op in ends]
        table.add_row(buffer["name"].split(";")[0], f"{buffer['bytes']:,}", *times)
    rest = peak["buffers"][_PEAK_ROWS:]
    if rest:
        table.add_row(f"{len(rest)} more", f"{sum(b['bytes'] for b in rest):,}", "", "")
    console.print(table)


def _shape(shape: list[int]) -> str:
    return "x".join(str(d) for d in shape)
