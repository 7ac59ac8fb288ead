"""What memory buys, as a picture."""

from __future__ import annotations

import io

from tflm_train.errors import RuntimeFailure
from tflm_train.search.search import Searched
from tflm_train.search.written import Words

_KB = 1024


def require_matplotlib() -> None:
    """Refuses before the work begins.

    Raises:
      RuntimeFailure: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise RuntimeFailure(
            "the report's picture needs matplotlib: pip install tflm_train[plot]"
        ) from error


def draw_search(searched: Searched) -> bytes:
    """Draws the gains of biases, and the measured schemes over their arena.

    Returns:
      A PNG file.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    words = Words(searched.contributions.metric)
    factor = 100 if words.is_accuracy else 1
    unit = "%" if words.is_accuracy else "minus squared error"
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    found = searched.contributions.biases
    left.errorbar(
        [k for k, _ in found],
        [factor * gain.mean for _, gain in found],
        [factor * gain.error for _, gain in found],
        marker="o",
        capsize=2,
    )
    left.set(title="biases of the last k layers", xlabel="k", ylabel=f"gain ({unit})")
    best = {outcome.best.contender for outcome in searched.outcomes if outcome.best}
    finals = {x.contender: x for outcome in searched.outcomes for x in outcome.ranked if x.finals}
    for x in finals.values():
        is_best = x.contender in best
        at = (x.contender.costs.arena / _KB, factor * x.score)
        colour = "tab:blue" if is_best else "tab:gray"
        right.errorbar(*at, factor * x.error, marker="o", capsize=2, color=colour)
        if is_best:
            right.annotate(x.contender.name, at, xytext=(5, 5), textcoords="offset points")
    right.set(title="schemes on test samples", xlabel="arena (KB)", ylabel=f"score ({unit})")
    for axis in (left, right):
        axis.grid(alpha=0.3)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()
