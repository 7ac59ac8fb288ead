"""What `train` and `evaluate` say of a model's answers to test samples."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from tflm_train.cli import tables
from tflm_train.cli.columns import show_table
from tflm_train.data import Dataset
from tflm_train.model.metadata import class_names
from tflm_train.runtime.assessment import Assessment, ClassScore
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import ACCURACY, map_positions

_MOST_COLUMNS = 12
"""A matrix of more classes is no longer read; its largest entries are."""
_MISTAKES = 10
_MOST_ROWS = 40


def names_of_classes(interpreter: Interpreter, dataset: Dataset) -> tuple[str, ...]:
    """The data set's names of the classes, else the model's."""
    output = interpreter.trained_output
    count = interpreter.model.graph.outputs[output].size // map_positions(interpreter)
    if count == 1 or len(dataset.class_names) == count:
        return dataset.class_names
    return class_names(interpreter.model, output, count)


def show_assessment(found: Assessment) -> None:
    """Prints all but the score itself."""
    if found.classes:
        tables.console().print(_class_table(found.classes))
    if found.classes and found.confusion:
        _show_confusion(found.classes, found.confusion)
    lines = list(_lines(found))
    if found.standard_error is not None:
        lines.append("±: the standard error over the test samples")
    for line in lines:
        tables.console().print(line, soft_wrap=True, highlight=False)


def score_with_error(found: Assessment) -> str:
    """The score with its standard error: `accuracy 93.1 % ± 0.8`."""
    error = found.standard_error
    shown = f"{100 * error:.1f}" if found.metric == ACCURACY else f"{error:.2g}"
    return f"{tables.score(found.metric, found.test_accuracy)} ± {shown}"


def mistakes(found: Assessment) -> list[tuple[int, str, str]]:
    """How often a class was taken for another, the most frequent first: (samples, right, found)."""
    if not found.classes or not found.confusion:
        return []
    names = [row.class_ for row in found.classes]
    counts = [
        (count, names[right], names[given])
        for right, row in enumerate(found.confusion)
        for given, count in enumerate(row)
        if right != given and count
    ]
    return sorted(counts, key=lambda mistake: -mistake[0])


def _class_table(classes: tuple[ClassScore, ...]) -> Table:
    headings = ["class", "samples", "right", "precision", "recall", "F1"]
    has_area = any(row.auc is not None for row in classes)
    table = tables.new_table("classes", headings + ["AUC"] * has_area, ["class"])
    shown = [row for row in classes if row.samples or row.found]
    # Where not all are shown, the worst are.
    kept = {id(row) for row in sorted(shown, key=lambda row: row.f1)[:_MOST_ROWS]}
    for row in (row for row in shown if id(row) in kept):
        cells = [f"{row.samples:,}", f"{row.right:,}", _share(row.precision), _share(row.recall)]
        cells += [_share(row.f1), "-" if row.auc is None else f"{row.auc:.3f}"][: 1 + has_area]
        table.add_row(Text(row.class_), *cells)
    rest = [f"{len(shown) - len(kept)} classes that do better"] if len(shown) > len(kept) else []
    if len(shown) < len(classes):
        rest.append(f"{len(classes) - len(shown)} classes neither there nor found")
    table.caption = "; ".join(rest) or None
    return table


def _show_confusion(
    classes: tuple[ClassScore, ...], confusion: tuple[tuple[int, ...], ...]
) -> None:
    there = [i for i, row in enumerate(classes) if row.samples or row.found]
    if len(there) > _MOST_COLUMNS:
        return
    # Columns are numbered: names would be as wide as a page.
    numbers = [str(i) for i in there]
    table = tables.new_table(None, ["", *numbers], [""])
    for i in there:
        cells = [_cell(confusion[i][j], i == j) for j in there]
        name = classes[i].class_
        table.add_row(Text(name if name == str(i) else f"{i} {name}"), *cells)
    show_table("true (row), found (column)", table)


def _cell(count: int, is_right: bool) -> Text:
    shown = f"{count:,}" if count else "·"
    return Text(shown, style="bold" if is_right else "red" if count else "dim")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _lines(found: Assessment) -> Iterator[str]:
    if found.classes and len(found.classes) > _MOST_COLUMNS:
        named = [f"{right} for {given} ({count:,})" for count, right, given in mistakes(found)]
        if named:
            yield f"most often mistaken: {', '.join(named[:_MISTAKES])}"
    if found.top_k:
        shares = found.top_k.items()
        yield ", ".join(f"top-{k} accuracy {100 * share:.1f} %" for k, share in shares)
    if found.auc is not None:
        yield f"area under the ROC curve: {found.auc:.3f}"
    if found.ties:
        yield (
            f"the two largest outputs were equal in {100 * found.ties:.1f} % of the samples: there "
            "the first of the classes counts as the answer"
        )
    if found.mean_absolute_error is not None:
        assert found.root_mean_squared_error is not None
        of = "" if found.r2 is None else f", R2 {found.r2:.3f}"
        yield (
            f"mean absolute error {found.mean_absolute_error:.4g}, root mean squared error "
            f"{found.root_mean_squared_error:.4g}{of}"
        )
