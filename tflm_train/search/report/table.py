"""What was measured, as a table for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from tflm_train.search.contributions import Gain
from tflm_train.search.search import Scored, Searched

HEADINGS = (
    "kind", "name", "budget_bytes", "layer", "ratio", "arena_bytes", "flash_bytes", "step_ms",
    "residual_bits", "score", "error", "seeds", "rate",
)  # fmt: skip


def csv_table(searched: Searched) -> str:
    """All measured values.

    Returns:
      CSV with `HEADINGS`. Of kind `biases` and `weights` the score is a gain (of the last `layer`
      biases, or of layer `layer`), of kind `front` the expected gain of the best choice, of kind
      `scheme` a score on the test samples, or of `one_run` on those that choose.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADINGS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in _rows(searched):
        writer.writerow(row)
    return text.getvalue()


def is_table(data: bytes) -> bool:
    """Whether these bytes are such a table."""
    return data.startswith(",".join(HEADINGS).encode())


def _rows(searched: Searched) -> Iterator[dict[str, object]]:
    found = searched.contributions
    for last, gain in found.biases:
        yield {"kind": "biases", "layer": last} | _gain(gain)
    for (layer, ratio), gain in found.weights.items():
        yield {"kind": "weights", "layer": layer, "ratio": ratio} | _gain(gain)
    for point in searched.front:
        costs = {"budget_bytes": point.arena, "arena_bytes": point.costs.arena}
        yield {"kind": "front", "score": point.gain} | costs
    for outcome in searched.outcomes:
        for x in outcome.ranked:
            yield from _schemes(x, outcome.budget.arena)


def _gain(gain: Gain) -> dict[str, object]:
    return {"score": gain.mean, "error": gain.error, "seeds": gain.seeds, "rate": gain.rate}


def _schemes(x: Scored, limit: float) -> Iterator[dict[str, object]]:
    costs = x.contender.costs
    row: dict[str, object] = {
        "name": x.contender.name,
        "budget_bytes": limit,
        "arena_bytes": costs.arena,
        "flash_bytes": costs.flash,
        "step_ms": round(costs.step_ms, 3),
        "residual_bits": x.contender.scheme.residual_bits,
    }
    once = x.chosen_by
    if once is not None:
        yield row | {"kind": "one_run", "score": once.score, "seeds": 1, "rate": once.rate}
    if x.finals:
        rates = " ".join(f"{rate:g}" for rate in sorted({run.rate for run in x.finals}))
        means = {"score": x.score, "error": x.error, "seeds": len(x.finals), "rate": rates}
        yield row | {"kind": "scheme"} | means
