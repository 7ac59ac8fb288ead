"""What memory buys, as a picture."""

from __future__ import annotations

from typing import Any

from tflm_train.pages.labels import name_points
from tflm_train.pages.picture import picture, whole_numbers
from tflm_train.search.search import Searched
from tflm_train.search.written import Words

_KB = 1024
_HEIGHT = 3.2  # Inches.


def draw_search(searched: Searched) -> bytes:
    """Draws the gains of biases, and the measured schemes over their arena, where there are any.

    Returns:
      A PNG file.

    Raises:
      RuntimeFailure: matplotlib is not installed.
    """
    return picture(_HEIGHT, lambda figure: _draw(figure, searched))


def _draw(figure: Any, searched: Searched) -> None:
    words = Words(searched.contributions.metric)
    factor = 100 if words.is_accuracy else 1
    unit = "%" if words.is_accuracy else "minus squared error"
    best = {outcome.best.contender for outcome in searched.outcomes if outcome.best}
    finals = {x.contender: x for outcome in searched.outcomes for x in outcome.ranked if x.finals}
    panels = figure.subplots(1, 2 if finals else 1, squeeze=False)[0]
    found = searched.contributions.biases
    panels[0].errorbar(
        [k for k, _ in found],
        [factor * gain.mean for _, gain in found],
        [factor * gain.error for _, gain in found],
        marker="o",
        capsize=2,
    )
    panels[0].set(title="biases of the last k layers", xlabel="k", ylabel=f"gain ({unit})")
    panels[0].xaxis.set_major_locator(whole_numbers())
    if not finals:
        return
    for style, label in (("tab:gray", "compared"), ("tab:blue", "best within its budget")):
        shown = [x for x in finals.values() if (x.contender in best) == (style == "tab:blue")]
        if shown:
            panels[1].errorbar(
                [x.contender.costs.arena / _KB for x in shown],
                [factor * x.score for x in shown],
                [factor * x.error for x in shown],
                marker="o", linestyle="none", capsize=2, color=style, label=label,
            )  # fmt: skip
    panels[1].set(title="schemes on test samples", xlabel="arena (KB)", ylabel=f"score ({unit})")
    panels[1].margins(x=0.15)
    figure.legend(loc="outside lower center", ncols=2)
    figure.draw_without_rendering()  # Only then is known how much room there is for names.
    named = [x for x in finals.values() if x.contender in best]
    name_points(
        panels[1],
        [(x.contender.costs.arena / _KB, factor * x.score, x.contender.name) for x in named],
    )
