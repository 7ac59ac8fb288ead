"""The scheme that a search found, as a file that says what each line brings and costs."""

from __future__ import annotations

from tflm_train.rewriter.coins import Budget
from tflm_train.runtime.metrics import ACCURACY
from tflm_train.scheme.scheme import LayerRef, WeightUpdate
from tflm_train.scheme.written import scheme_text
from tflm_train.search.contributions import Gain
from tflm_train.search.search import Outcome, Scored, Searched
from tflm_train.search.true_costs import Costs


def scheme_yaml(searched: Searched, outcome: Outcome, model: str, how: str) -> str:
    """The best scheme of an outcome.

    Args:
      searched: The search.
      outcome: Of one budget; it has a best scheme.
      model: What the model's file is called.
      how: The command that found it.

    Returns:
      YAML with comments.
    """
    best = outcome.best
    assert best is not None
    words = Words(searched.contributions.metric)
    space, scheme = searched.space, best.contender.scheme
    biases, weights = dict(searched.contributions.biases), searched.contributions.weights
    updates = {w.layer: w for w in scheme.weights if isinstance(w, WeightUpdate)}

    def of_bias(ref: LayerRef) -> str:
        layer = space.by_index[int(ref)]
        depth = space.depth_of[layer.index]
        text = f"{layer.name}"
        if depth in biases:
            text += f"; the last {depth} biases: {words.gain(biases[depth])}"
        return text

    def of_weights(ref: LayerRef) -> str:
        index = int(ref)
        if index not in space.by_index:
            return ""
        ratio = updates[ref].ratio
        item = (index, ratio)
        size = space.trained_weights(item) * (8 + scheme.residual_bits) // 8
        text = space.by_index[index].name
        if item in weights:
            text += f"; {words.gain(weights[item])}"
        return f"{text}; {size:,} bytes of weights, {space.kept_input(item):,} of its input"

    return scheme_text(scheme, _title(searched, outcome, best, model, how), of_bias, of_weights)


def is_scheme(data: bytes) -> bool:
    """Whether these bytes are a scheme that a search wrote."""
    return data.startswith((b"# What to train of ", b"# Preset "))


class Words:
    """How scores are said.

    Attributes:
      metric: Of the scores.
    """

    def __init__(self, metric: str) -> None:
        self.metric = metric

    @property
    def is_accuracy(self) -> bool:
        """Whether scores are shares of right answers."""
        return self.metric == ACCURACY

    def difference(self, value: float, error: float | None = None) -> str:
        """`+1.2 ± 0.4 points`."""
        if not self.is_accuracy:
            return f"{value:+.3g}" + ("" if error is None else f" ± {error:.2g}")
        text = f"{100 * value:+.1f}"
        return (text if error is None else f"{text} ± {100 * error:.1f}") + " points"

    def gain(self, gain: Gain) -> str:
        """What something brings."""
        said = self.difference(gain.mean, gain.error)
        return said if gain.seeds else f"{said} (predicted)"

    def score(self, value: float, error: float | None = None) -> str:
        """`accuracy 93.1 ± 0.4 %`."""
        if not self.is_accuracy:
            return f"mean squared error {-value:.4g}" + ("" if error is None else f" ± {error:.2g}")
        text = f"accuracy {100 * value:.1f}"
        return (text if error is None else f"{text} ± {100 * error:.1f}") + " %"


def costs_said(costs: Costs) -> str:
    """`arena 63,552 bytes, ...`."""
    return (
        f"arena {costs.arena:,} bytes, flash {costs.flash:,} bytes (kernels included), a step "
        f"{costs.step_ms:.1f} ms (estimated)"
    )


def budget_said(budget: Budget) -> str:
    """The limits that there are."""
    parts = []
    if budget.arena < float("inf"):
        parts.append(f"arena {budget.arena:,.0f} bytes")
    if budget.flash < float("inf"):
        parts.append(f"flash {budget.flash:,.0f} bytes")
    if budget.step_ms < float("inf"):
        parts.append(f"a step {budget.step_ms:g} ms")
    return ", ".join(parts) or "none"


def _title(searched: Searched, outcome: Outcome, best: Scored, model: str, how: str) -> str:
    words, contender = Words(searched.contributions.metric), best.contender
    lines = [
        f"What to train of {model}, found by",
        f"  {how}",
        f"Limits: {budget_said(outcome.budget)}. This takes {costs_said(contender.costs)}.",
    ]
    if best.finals:
        lines.append(
            f"Measured: {words.score(best.score, best.error)} on test samples that chose nothing "
            f"before, mean of {len(best.finals)} seeds; the head alone "
            f"{words.score(searched.contributions.base)} on others."
        )
    else:
        lines.append("Not measured to the end: the search was interrupted.")
    rates = sorted({f"{x.rate:g}" for x in best.finals}, key=float)
    if rates:
        lines.append(f"Learning rates that were chosen: {', '.join(rates)} (train --lr auto).")
    lines.append(f"Found as: {contender.name}{_expected(contender.expected, words)}.")
    others = [x for x in outcome.ranked[1:] if x.finals]
    for other in others:
        lines.append(
            f"  behind it: {other.contender.name}, {words.score(other.score, other.error)}, "
            f"arena {other.contender.costs.arena:,}"
        )
    lines.append("A comment says what a line brings by itself (on samples that chose), and costs.")
    return "\n".join(lines)


def _expected(expected: float | None, words: Words) -> str:
    if expected is None:
        return ""
    return f", of which the analysis expects {words.difference(expected)} above the head alone"
