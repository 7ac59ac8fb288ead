"""The page of `train --report`."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tflm_train.cli import assessments
from tflm_train.cli.run_curves import Curves
from tflm_train.cli.sample_pictures import picture_of
from tflm_train.cli.training_runs import TrainingRuns
from tflm_train.data import Dataset
from tflm_train.data.dataset import TEST, TRAIN, VAL
from tflm_train.data.preparation import Preparation
from tflm_train.model import load
from tflm_train.pages.chart import Chart, Point
from tflm_train.pages.document import card, document, facts, how_it_was_measured, table, versions
from tflm_train.runtime.assessment import Assessment
from tflm_train.runtime.metrics import ACCURACY, Answers, real_values
from tflm_train.version import VERSION

if TYPE_CHECKING:
    from tflm_train.cli.train import TrainSummary

_SAMPLES = 12
_MOST_COLUMNS = 24
"""A matrix of more classes is no longer read; its largest entries are."""
_MISTAKES = 20
_STYLES = {"training": "c1", "validation": "c2", "test": "c3"}
_PACKAGES = ("tflite-micro", "numpy")
_VALUES = 3
"""Of the outputs of a regression, so many are said of a sample."""


def run_page(runs: TrainingRuns, summary: TrainSummary, command: str) -> str:
    """The page.

    Args:
      runs: What was run.
      summary: What is said of it.
      command: What was typed.

    Returns:
      HTML with inline style and pictures.
    """
    model, data = Path(runs.arguments.model).name, Path(runs.arguments.data).name
    test = summary.test
    body = [
        f"<h1>Training of {escape(model)}</h1>",
        f"<p class='soft'>On {escape(data)}, by tflm_train {VERSION}: every step ran in the TFLM "
        "interpreter, in the arithmetic of the device.</p>",
        *(f"<p><strong>{escape(warning)}</strong></p>" for warning in summary.warnings or ()),
        f"<div class='cards'>{''.join(_cards(summary))}</div>",
        _curves(Curves.of(runs)),
        _matrix(test),
        _classes(test),
        _samples(runs.dataset, runs.best.record.test, test),
        how_it_was_measured(_known(runs, summary), command),
    ]
    return document(f"Training of {model}", body)


def _cards(summary: TrainSummary) -> Iterator[str]:
    test, metric = summary.test, summary.metric
    known = {"Before": _score(metric, summary.test_accuracy_before)}
    known["Test samples"] = f"{test.samples:,}"
    if summary.kept_epoch is not None:
        known["Of epoch"] = f"{summary.kept_epoch} of {len(summary.epochs)}"
    for k, share in (test.top_k or {}).items():
        known[f"Top-{k} accuracy"] = f"{100 * share:.1f} %"
    if test.auc is not None:
        known["Area under the ROC curve"] = f"{test.auc:.3f}"
    if test.ties is not None:
        known["Two largest outputs equal"] = f"{100 * test.ties:.1f} %"
    if test.r2 is not None:
        known["R2"] = f"{test.r2:.3f}"
    if test.mean_absolute_error is not None and test.root_mean_squared_error is not None:
        known["Mean absolute error"] = f"{test.mean_absolute_error:.4g}"
        known["Root mean squared error"] = f"{test.root_mean_squared_error:.4g}"
    yield _big_card("Test", metric, test.test_accuracy, test.standard_error, known)
    if summary.seeds is not None:
        seeds = summary.seeds
        each = {f"Seed {run.seed}": _score(metric, run.test_accuracy) for run in seeds.runs}
        each["Kept"] = f"seed {seeds.kept}"
        yield _big_card(f"{len(seeds.runs)} seeds", metric, seeds.mean, seeds.deviation, each)
    for other in summary.also or ():
        rows = {"Before": _score(metric, other.before), "Test samples": f"{other.samples:,}"}
        yield _big_card(f"Also: {other.data}", metric, other.after, None, rows)


def _big_card(
    title: str, metric: str, value: float, error: float | None, known: dict[str, str]
) -> str:
    spread = ""
    if error is not None:
        spread = f"± {100 * error:.1f} " if metric == ACCURACY else f"± {error:.2g} "
    big = f"{_score(metric, value)} <small>{spread}{metric.replace('_', ' ')}</small>"
    return card(title, f"<div class='big'>{big}</div>{facts(known)}")


def _score(metric: str, value: float) -> str:
    return f"{100 * value:.1f} %" if metric == ACCURACY else f"{value:.4g}"


def _curves(curves: Curves) -> str:
    loss = Chart("epoch", "loss", zero=True, counts=True)
    for line in curves.other_losses:
        loss.line(line, "other")
    loss.line(curves.losses)
    score = Chart("epoch", curves.score_title, counts=True)
    for name, points in curves.scores.items():
        if name != "test":
            score.line(points, _STYLES[name])
        score.points(
            Point(x, y, title=f"{name}, {_epoch(x)}: {y:.4g}", style=_STYLES[name])
            for x, y in points
        )
    key = "".join(f"<li><i class='{_STYLES[name]}'></i>{name}</li>" for name in curves.scores)
    others = "<p class='soft'>Grey: the other seeds.</p>" if curves.other_losses else ""
    return (
        "<h2>How it went</h2><div class='cards charts'>"
        + card("Training loss", loss.svg("training loss over epochs") + others)
        + card("Score", score.svg("scores over epochs") + f"<ul class='key'>{key}</ul>")
        + "</div>"
    )


def _epoch(x: float) -> str:
    return f"after epoch {x:g}" if x else "before"


def _matrix(test: Assessment) -> str:
    """The confusion matrix, or its largest entries."""
    if not test.classes or not test.confusion:
        return ""
    there = [i for i, row in enumerate(test.classes) if row.samples or row.found]
    title = "<h2>Confusion matrix</h2>"
    if len(there) > _MOST_COLUMNS:
        rows = [
            (False, (right, found, f"{count:,}"))
            for count, right, found in assessments.mistakes(test)[:_MISTAKES]
        ]
        content = table(("right", "found", "samples"), rows)
        return f"{title}<div class='card scroll'>{content}</div>"
    names = [test.classes[i].class_ for i in there]
    head = "".join(f"<th title='{escape(name)}'>{escape(_short(name))}</th>" for name in names)
    body = ""
    for i, name in zip(there, names, strict=True):
        total = max(1, sum(test.confusion[i]))
        cells = "".join(_cell(test.confusion[i][j], total, i == j) for j in there)
        body += f"<tr><th title='{escape(name)}'>{escape(_short(name))}</th>{cells}</tr>"
    return (
        f"{title}<p class='soft'>A row for each class that is right, a column for each that is "
        "found; the colour is the share of the row.</p><div class='card scroll'>"
        f"<table class='matrix'><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def _short(name: str) -> str:
    return name if len(name) <= 12 else f"{name[:11]}…"


def _cell(count: int, total: int, is_right: bool) -> str:
    share = 15 + round(45 * count / total)  # A single mistake is seen too.
    colour = "c1" if is_right else "c2"
    style = f" style='background: color-mix(in srgb, var(--{colour}) {share}%, transparent)'"
    return f"<td{style if count else ''}>{count or '·'}</td>"


def _classes(test: Assessment) -> str:
    if not test.classes:
        return ""
    has_area = any(row.auc is not None for row in test.classes)
    headings = ["class", "samples", "right", "precision", "recall", "F1"] + ["AUC"] * has_area
    rows = []
    for row in test.classes:
        shares = (row.precision, row.recall, row.f1)
        cells = [row.class_, f"{row.samples:,}", f"{row.right:,}"]
        cells += ["–" if share is None else f"{100 * share:.1f} %" for share in shares]
        cells += ["–" if row.auc is None else f"{row.auc:.3f}"] * has_area
        rows.append((False, cells))
    return f"<h2>Classes</h2><div class='card scroll'>{table(headings, rows)}</div>"


def _samples(dataset: Dataset, answers: Answers, test: Assessment) -> str:
    """The test samples with the largest errors."""
    order = np.argsort(-answers.errors, kind="stable")[:_SAMPLES]
    figures = []
    for index in order.tolist():
        name = f"<br>sample {index}"
        if dataset.files_test is not None:
            name = f"<br>{escape('/'.join(dataset.files_test[index].parts[-2:]))}"
        said = escape(_said(answers, index, test))
        figures.append(
            f"<figure>{picture_of(dataset, index)}<figcaption>{said}"
            f"<span class='soft'>{name}</span></figcaption></figure>"
        )
    title = "Wrong, or least sure" if answers.metric.is_accuracy else "Furthest off"
    return (
        f"<h2>{title}</h2><p class='soft'>The test samples whose answers are furthest off, the "
        "worst first: look whether they are labelled right.</p>"
        f"<div class='card samples'>{''.join(figures)}</div>"
    )


def _said(answers: Answers, index: int, test: Assessment) -> str:
    metric, given, wanted = answers.metric, answers.given[index], answers.wanted[index]
    if not test.confusion or metric.positions > 1:
        score = answers.scores[index]
        if metric.is_accuracy:
            return f"{100 * score:.0f} % right"
        values, targets = real_values(given, metric.output).reshape(-1), np.ravel(wanted)
        if len(values) > _VALUES:
            return f"squared error {score:.4g}"
        told = (", ".join(f"{x:.4g}" for x in row) for row in (targets, values))
        return "right {}, found {}".format(*told)
    assert test.classes is not None
    right, found = int(metric.labels(wanted)[0]), int(metric.found(given)[0])
    sure = _probability(answers, given, found)
    percent = "" if sure is None else f" ({100 * sure:.0f}\N{NO-BREAK SPACE}%)"
    return f"{test.classes[right].class_}, found {test.classes[found].class_}{percent}"


def _probability(answers: Answers, given: npt.NDArray[Any], found: int) -> float | None:
    """Of the class that was found, as the model holds it."""
    metric = answers.metric
    values = real_values(given, metric.output).reshape(-1)
    if metric.is_class:
        return None
    if len(values) == 1:
        yes = values[0] if metric.gives_probabilities else 1 / (1 + np.exp(-values[0]))
        return float(yes if found else 1 - yes)
    if not metric.gives_probabilities:
        values = np.exp(values - values.max())
        values /= values.sum()
    return float(values[found])


def _known(runs: TrainingRuns, summary: TrainSummary) -> dict[str, str]:
    purposes = {TRAIN: "to train with", VAL: "for validation", TEST: "to test with"}
    counts = [f"{len(part):,} {purposes[name]}" for name, part in runs.dataset.parts()]
    steps = len(runs.best.record.losses)
    rate = f"{summary.learning_rate:g} at first"
    if summary.rate_choice is not None:
        rate += f", chosen in {summary.rate_choice.steps:,} steps of short runs"
    source = runs.arguments.trunk or runs.arguments.model
    prepared = Preparation.of(load(source)).said()
    return ({"Preparation": "; ".join(prepared)} if prepared else {}) | {
        "Samples": ", ".join(counts),
        "Steps": f"{steps:,} of one sample, in {len(summary.epochs)} epochs",
        "Learning rate": f"{rate}; {runs.arguments.schedule} schedule",
        "Order of the samples": f"seed {runs.best.seed}",
        "Errors": "standard errors over the test samples"
        + ("; of seeds the standard deviation" if summary.seeds is not None else ""),
        "Test samples": "decided nothing: neither the rate nor the epoch",
        "Speed on this computer": f"{summary.steps_per_second:,.0f} steps per second",
        "Versions": versions(_PACKAGES),
    }
