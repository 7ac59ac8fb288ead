"""`tflm_train search`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tflm_train.cli import datasets, shared
from tflm_train.cli.command import Command, Parser
from tflm_train.cli.search_summary import SearchSummary, show, summary
from tflm_train.cli.work import WorkProgress, add_workers, cores, workers_for
from tflm_train.errors import DataError
from tflm_train.files import NewFile, is_png, read_text, require_ours, write_files
from tflm_train.learning.latent_cache import LatentCache
from tflm_train.model import Model, load
from tflm_train.pages.document import is_document
from tflm_train.pages.picture import require_matplotlib
from tflm_train.rewriter.asked import DEFAULT_BUDGET
from tflm_train.rewriter.budget import parse_bytes
from tflm_train.rewriter.choose_preset import choose_preset
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.rewrite import original_of
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.scheme.head import Head
from tflm_train.scheme.written import scheme_text
from tflm_train.search.candidates import list_candidates
from tflm_train.search.choices import Choice, Space
from tflm_train.search.contributions import Contributions
from tflm_train.search.fine_tune import FineTuner
from tflm_train.search.optimum import has_solver
from tflm_train.search.plan import Plan, kept_plan, make_plan
from tflm_train.search.report.page import About, html_page
from tflm_train.search.report.picture import draw_search
from tflm_train.search.report.table import csv_table, is_table
from tflm_train.search.results import Results
from tflm_train.search.search import METHODS, Search, Searched
from tflm_train.search.split_data import SplitData, split_data
from tflm_train.search.true_costs import Measure
from tflm_train.search.workers import Workers
from tflm_train.search.written import is_scheme, scheme_yaml

_MINUTES = 10.0


def _arguments(parser: Parser) -> None:
    parser.add_argument("model", help="the .tflite file as it comes from the factory")
    datasets.add_data(parser)
    shared.add_classes(parser)
    parser.add_argument(
        "--budget",
        metavar="SIZE,...",
        help="the largest arena (64KB, 1MB, bytes); of several, a scheme for each (default: the "
        f"board's, or {DEFAULT_BUDGET})",
    )
    parser.add_argument(
        "--flash",
        metavar="SIZE",
        help="the most flash, kernels included (default: the board's, or no limit)",
    )
    parser.add_argument(
        "--step-ms",
        type=float,
        metavar="MS",
        help="the longest training step, estimated (default: no limit)",
    )
    parser.add_argument(
        "--max-slowdown",
        type=float,
        metavar="X",
        help="largest estimated time of the forward layers relative to the builtin ops' "
        "(default: whatever takes least RAM)",
    )
    shared.add_board(parser)
    parser.add_argument(
        "--minutes",
        type=float,
        default=_MINUTES,
        help=f"about how long it may take (default: {_MINUTES:g})",
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        help="how the best choice is found: exactly, by OR-tools (default where they are "
        "installed), or by evolution",
    )
    parser.add_argument(
        "--contributions", help="those that `analyze -o` wrote, instead of an analysis"
    )
    add_workers(parser)
    parser.add_argument(
        "-o",
        "--output",
        help="the scheme's file (default: <stem>_search.yaml); of several "
        "budgets <stem>_64KB.yaml and so on",
    )
    parser.add_argument(
        "--report", metavar="FILE", help="also write an HTML page, and beside it a .csv and a .png"
    )
    shared.add_force(parser)


def _run(arguments: argparse.Namespace) -> SearchSummary:
    started = time.monotonic()
    target = shared.chosen_board(arguments)
    budgets = _budgets(arguments, target)
    outputs = _outputs(arguments, budgets)
    for path in outputs:
        shared.require_another_file(path, Path(arguments.model))
        require_ours(path, is_scheme, arguments.force)
    if arguments.report is not None:
        require_matplotlib("the report's picture")
        require_ours(Path(arguments.report), is_document, arguments.force)
    model = original_of(load(arguments.model))
    trials = Trials(model)
    way, head = _way(arguments, target), shared.chosen_head(arguments)
    data = split_data(datasets.read_data(arguments, model), model)
    contributions = _contributions(arguments, model, data, head)

    @contextlib.contextmanager
    def open_workers(data: SplitData) -> Iterator[tuple[Workers, Results]]:
        with workers_for(arguments, model, data) as opened:
            yield opened

    searched: Searched | None = None
    try:
        with WorkProgress(arguments.json) as progress:
            plan = _plan(arguments, trials, data, head, way, budgets)
            method = arguments.method or METHODS[0 if has_solver() else 1]
            search = Search(
                trials,
                data,
                head,
                way,
                budgets,
                plan,
                open_workers,
                on_progress=progress,
                method=method,
                clock=target.clock,
            )
            searched = search.run(contributions)
    except KeyboardInterrupt:
        _write_presets(arguments, model, way, head, budgets, outputs)
        raise
    files = _files(arguments, searched, outputs)
    seconds = time.monotonic() - started
    reports = _report(arguments, searched, data, seconds)
    write_files([*files, *reports], arguments.force)
    if not searched.is_complete:
        print("tflm_train: the best so far is written; the same command goes on", file=sys.stderr)
        raise KeyboardInterrupt
    report = tuple(str(file.path) for file in reports) or None
    return summary(arguments, searched, outputs, seconds, report)


def _budgets(arguments: argparse.Namespace, target: shared.Target) -> list[Budget]:
    board = target.board
    if arguments.budget is None and board is not None:
        sizes = [board.ram_budget]
    else:
        sizes = sorted({parse_bytes(x) for x in (arguments.budget or DEFAULT_BUDGET).split(",")})
    if not arguments.minutes > 0:
        raise DataError(f"--minutes {arguments.minutes} must be above 0")
    flash = math.inf if board is None else board.flash_budget
    if arguments.flash is not None:
        flash = parse_bytes(arguments.flash)
    limit = math.inf if arguments.step_ms is None else arguments.step_ms
    if not limit > 0:
        raise DataError(f"--step-ms {limit} must be above 0")
    return [Budget(size, flash, limit, target.clock) for size in sizes]


def _outputs(arguments: argparse.Namespace, budgets: list[Budget]) -> list[Path]:
    stem = Path(Path(arguments.model).stem + "_search.yaml")
    output = Path(arguments.output) if arguments.output else stem
    if len(budgets) == 1:
        return [output]
    return [output.with_stem(f"{output.stem}_{_size_name(b.arena)}") for b in budgets]


def _size_name(size: float) -> str:
    return f"{int(size) // 1024}KB" if size % 1024 == 0 else f"{int(size)}"


def _way(arguments: argparse.Namespace, target: shared.Target) -> Way:
    limit = arguments.max_slowdown
    if limit is not None and not limit >= 1:
        raise DataError(f"--max-slowdown {limit} must be at least 1")
    way = Way(target.kernels, core=target.core)
    return way.smallest() if limit is None else dataclasses.replace(way, max_slowdown=limit)


def _contributions(
    arguments: argparse.Namespace, model: Model, data: SplitData, head: Head
) -> Contributions | None:
    if arguments.contributions is None:
        return None
    path = Path(arguments.contributions)
    found = Contributions.from_json(read_text(path), path.name)
    found.require_of(model, data, head, path.name)
    return found


def _plan(
    arguments: argparse.Namespace,
    trials: Trials,
    data: SplitData,
    head: Head,
    way: Way,
    budgets: list[Budget],
) -> Plan:
    """The plan of this search; of an earlier run of the same one where there was one."""
    cache, model = LatentCache.of_user(arguments.cache), trials.model
    asked = (data.digest, head, arguments.minutes, budgets, way, arguments.contributions is None)
    key = hashlib.sha256(model.source + repr(asked).encode()).hexdigest()

    def make() -> Plan:
        depth = _deepest(Space.of(model, head), Measure(trials, way), budgets[-1])
        tuner, candidates = FineTuner(model, data, cache), list_candidates(model, head, depth)
        workers = arguments.workers or cores()
        return make_plan(tuner, candidates, arguments.minutes, workers, len(budgets), depth)

    return kept_plan(None if cache is None else cache.folder, key, make)


def _deepest(space: Space, measure: Measure, budget: Budget) -> int:
    """The largest number of layers whose biases fit."""
    low, high = 0, len(space.depths) - 1
    while low < high:
        middle = (low + high + 1) // 2
        costs = measure.of(space.scheme(Choice(space.depths[middle])))
        if costs is not None and budget.allows(costs):
            low = middle
        else:
            high = middle - 1
    return space.depths[low]


def _write_presets(
    arguments: argparse.Namespace,
    model: Model,
    way: Way,
    head: Head,
    budgets: list[Budget],
    outputs: list[Path],
) -> None:
    """What can be said before anything was measured."""
    files = []
    for budget, output in zip(budgets, outputs, strict=True):
        smaller, chosen = choose_preset(model, Budget(budget.arena), way, head)
        title = f"Preset {chosen.preset}: the search was interrupted before its analysis was done."
        files.append(NewFile(output, scheme_text(smaller.scheme, title).encode(), is_scheme))
    write_files(files, arguments.force)
    print("tflm_train: the best preset is written; the same command goes on", file=sys.stderr)


def _files(
    arguments: argparse.Namespace, searched: Searched, outputs: list[Path]
) -> Iterator[NewFile]:
    for outcome, output in zip(searched.outcomes, outputs, strict=False):
        if outcome.best is not None:
            text = scheme_yaml(searched, outcome, Path(arguments.model).name, _command(arguments))
            yield NewFile(output, text.encode(), is_scheme)


def _command(arguments: argparse.Namespace) -> str:
    words = ["tflm_train search", arguments.model, "--data", arguments.data]
    for name in (
        "classes",
        "labels",
        "budget",
        "flash",
        "step_ms",
        "board",
        "core",
        "clock",
        "kernels",
        "max_slowdown",
        "minutes",
    ):
        value = getattr(arguments, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return " ".join(words)


def _report(
    arguments: argparse.Namespace, searched: Searched, data: SplitData, seconds: float
) -> list[NewFile]:
    """The page, the table and the picture."""
    if arguments.report is None:
        return []
    samples = (len(data.y_train), len(data.y_select), len(data.y_test))
    about = About(
        Path(arguments.model).name, Path(arguments.data).name, _command(arguments), samples, seconds
    )
    page = Path(arguments.report)
    return [
        NewFile(page, html_page(searched, about).encode(), is_document),
        NewFile(page.with_suffix(".csv"), csv_table(searched).encode(), is_table),
        NewFile(page.with_suffix(".png"), draw_search(searched), is_png),
    ]


COMMAND = Command(
    "search",
    "Find what to train within a budget, on your data, and write it as a scheme.",
    "Measures what each part of the model brings (`analyze`), takes the best choice that the\n"
    "device has room for, fine-tunes it and its rivals for real, and ranks them on the test\n"
    "samples. What is measured is kept (--cache): a search that was broken off goes on there.",
    _arguments,
    _run,
    show,
)
