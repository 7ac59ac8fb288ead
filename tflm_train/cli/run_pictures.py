"""`train --plot` and `--report`: pictures of a run, for people."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tflm_train.cli.command import Parser
from tflm_train.cli.run_curves import Curves
from tflm_train.cli.training_runs import TrainingRuns
from tflm_train.files import NewFile, is_png, require_place, write_files
from tflm_train.pages.document import is_document
from tflm_train.pages.picture import picture, require_matplotlib, whole_numbers

if TYPE_CHECKING:
    from tflm_train.cli.train import TrainSummary

_HEIGHT = 3.2  # Inches.
_FAR = 20
"""Times the median."""


def add_run_pictures(parser: Parser) -> None:
    """Adds --plot and --report, for `RunPictures`."""
    parser.add_argument(
        "--plot",
        metavar="PNG",
        help="draw the losses and scores of the run (pip install 'tflm_train[plot]')",
    )
    parser.add_argument(
        "--report",
        metavar="HTML",
        help="write a page about the run that needs nothing else: curves, the confusion matrix, "
        "the test samples that the model gets wrong or is least sure of, how it was measured",
    )


@dataclass(frozen=True)
class RunPictures:
    """Where pictures of a run go.

    Attributes:
      plot: The picture.
      report: The page.
      force: Replace files that are not ours.
      command: What was typed.
    """

    plot: Path | None
    report: Path | None
    force: bool
    command: str

    @staticmethod
    def of(arguments: argparse.Namespace) -> RunPictures:
        """Looks at the places before the first step.

        Raises:
          TflmTrainError: A place cannot be written to, or matplotlib is missing.
        """
        plot, report = (
            None if path is None else Path(path) for path in (arguments.plot, arguments.report)
        )
        if plot is not None:
            require_matplotlib("--plot")
            require_place(plot, is_png, arguments.force)
        if report is not None:
            require_place(report, is_document, arguments.force)
        return RunPictures(plot, report, arguments.force, arguments.typed)

    def write(self, runs: TrainingRuns, summary: TrainSummary) -> None:
        """Draws and writes what is asked for."""
        files = []
        if self.plot is not None:
            files.append(NewFile(self.plot, draw_curves(Curves.of(runs)), is_png))
        if self.report is not None:
            from tflm_train.cli.run_page import run_page

            page = run_page(runs, summary, self.command)
            files.append(NewFile(self.report, page.encode(), is_document))
        if files:
            write_files(files, self.force)


def draw_curves(curves: Curves) -> bytes:
    """Draws the loss and the scores over the epochs.

    Returns:
      A PNG file.

    Raises:
      RuntimeFailure: matplotlib is not installed.
    """
    return picture(_HEIGHT, lambda figure: _draw(figure, curves))


def _draw(figure: Any, curves: Curves) -> None:
    left, right = figure.subplots(1, 2)
    for losses in curves.other_losses:
        left.plot(*zip(*losses, strict=True), color="tab:gray", alpha=0.4, linewidth=0.8)
    left.plot(*zip(*curves.losses, strict=True), color="tab:blue")
    left.set_title("training loss")
    _scale(left, [y for line in (curves.losses, *curves.other_losses) for _, y in line])
    colours = {"training": "tab:blue", "validation": "tab:orange", "test": "tab:green"}
    for name, points in curves.scores.items():
        is_line = name != "test"
        right.plot(
            *zip(*points, strict=True),
            color=colours[name],
            marker="o" if len(points) < 30 or not is_line else None,
            markersize=4 if is_line else 7,
            linestyle="-" if is_line else "none",
            clip_on=is_line,  # The one before the first step lies on the edge.
            label=name,
        )
    if curves.kept is not None:
        right.axvline(curves.kept, color="tab:gray", linestyle=":", label="epoch that is kept")
    right.set_title(curves.score_title)
    if not curves.is_accuracy:
        _scale(right, [y for line in curves.scores.values() for _, y in line])
    for axis in (left, right):
        axis.set_xlabel("epoch")
        axis.set_xlim(0, None)
        axis.xaxis.set_major_locator(whole_numbers())
    figure.legend(loc="outside lower center", ncols=4)


def _scale(axis: Any, values: Sequence[float]) -> None:
    """From zero, or by powers of ten: where the first steps are far above all others."""
    if values and min(values) > 0 and max(values) > _FAR * statistics.median(values):
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
    else:
        axis.set_ylim(0, None)
