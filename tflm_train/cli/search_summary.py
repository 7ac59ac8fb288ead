"""What `tflm_train search` found, as it is printed."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from tflm_train.cli import tables
from tflm_train.records import sometimes
from tflm_train.rewriter.coins import Budget
from tflm_train.search.search import Outcome, Searched
from tflm_train.search.written import Words, budget_said


@dataclass(frozen=True)
class RankedScheme:
    """A scheme that was fine-tuned, or that fits and was not.

    Attributes:
      found_as: Where it comes from: the optimum of the analysis, a preset, and so on.
      arena_bytes: The smallest arena that is enough.
      flash_bytes: Of the model and the kernels that it needs.
      step_ms: Estimated time of a training step.
      residual_bits: Extra bits kept for each trained weight.
      expected_gain: What the analysis expects it to bring above the head alone, in score.
      chosen_by: Score on the samples that choose, one seed; left out where it was not run.
      score: Mean score on test samples; left out where it was no finalist.
      error: Standard error of that.
      seeds: Runs that it is the mean of.
    """

    found_as: str
    arena_bytes: int
    flash_bytes: int
    step_ms: float
    residual_bits: int
    expected_gain: float | None
    chosen_by: float | None = sometimes()
    score: float | None = sometimes()
    error: float | None = sometimes()
    seeds: int | None = sometimes()


@dataclass(frozen=True)
class FoundScheme:
    """What was found for one budget.

    Attributes:
      budget_bytes: The arena that it was to fit; null: any.
      output: The scheme's file; null where nothing fits.
      proved: Whether the optimum of the summed contributions is proved to be that.
      optimum_gain: What that is expected to bring, in score.
      gain_bound: No scheme that fits is expected to bring more; null where that is not known.
      rewrites: Schemes that were rewritten to find it.
      ranked: What was compared, the best first.
    """

    budget_bytes: int | None
    output: str | None
    proved: bool
    optimum_gain: float
    gain_bound: float | None
    rewrites: int
    ranked: tuple[RankedScheme, ...]


@dataclass(frozen=True)
class SearchSummary:
    """The schemes that a search found.

    Attributes:
      model: The model's file.
      metric: What scores are: `accuracy`, shares of right answers, or `mean_squared_error`, with a
        minus before it. More is better.
      base: Score of the head alone, on the samples that choose.
      found: For each budget.
      steps: Training steps of each fine-tune of the analysis, and of each at the end.
      seconds: How long it took.
      report: The report's files.
    """

    model: str
    metric: str
    base: float
    found: tuple[FoundScheme, ...]
    steps: tuple[int, int]
    seconds: float
    report: tuple[str, ...] | None = sometimes()


def summary(
    arguments: argparse.Namespace,
    searched: Searched,
    outputs: list[Path],
    seconds: float,
    report: tuple[str, ...] | None,
) -> SearchSummary:
    """What a search found, in plain values; `outputs` are the schemes' files, one a budget."""
    found = [
        _found(outcome, None if outcome.best is None else str(output))
        for outcome, output in zip(searched.outcomes, outputs, strict=True)
    ]
    plan = searched.plan
    return SearchSummary(
        arguments.model,
        searched.contributions.metric,
        searched.contributions.base,
        tuple(found),
        (plan.steps, plan.final_steps),
        seconds,
        report,
    )


def _found(outcome: Outcome, output: str | None) -> FoundScheme:
    first = outcome.optima[-2] if len(outcome.optima) > 1 else outcome.optima[0]
    arena = outcome.budget.arena
    ranked = [
        RankedScheme(
            x.contender.name,
            x.contender.costs.arena,
            x.contender.costs.flash,
            x.contender.costs.step_ms,
            x.contender.scheme.residual_bits,
            x.contender.expected,
            None if x.chosen_by is None else x.chosen_by.score,
            x.score if x.finals else None,
            x.error if x.finals else None,
            len(x.finals) or None,
        )
        for x in outcome.ranked
    ]
    return FoundScheme(
        int(arena) if arena < float("inf") else None,
        output,
        first.proved,
        first.gain,
        first.bound if first.bound < float("inf") else None,
        sum(x.trials for x in outcome.optima),
        tuple(ranked),
    )


def show(result: SearchSummary) -> None:
    """Prints a table for each budget, and the command that comes next."""
    console, words = tables.console(), Words(result.metric)
    console.print(f"head alone: {words.score(result.base)}")
    for found in result.found:
        budget = budget_said(Budget(found.budget_bytes or float("inf")))
        table = tables.new_table(
            f"within {budget}",
            ("found as", "arena", "residual", "expected", "one run", "test", "seeds"),
            ("found as",),
        )
        for row in found.ranked:
            table.add_row(
                row.found_as,
                f"{row.arena_bytes:,}",
                str(row.residual_bits),
                "" if row.expected_gain is None else words.difference(row.expected_gain),
                "" if row.chosen_by is None else words.score(row.chosen_by),
                "" if row.score is None else words.score(row.score, row.error),
                "" if row.seeds is None else str(row.seeds),
            )
        console.print(table)
        if found.output is None:
            console.print("nothing that trains fits; a larger --budget, or a smaller model")
            continue
        proof = "proved" if found.proved else "not proved"
        console.print(
            f"optimum of the contributions: {words.difference(found.optimum_gain)} ({proof}, "
            f"{found.rewrites} schemes rewritten); written: {found.output}"
        )
        console.print(
            f"next: tflm_train rewrite {result.model} --scheme {found.output} "
            f"--budget {found.budget_bytes}",
            soft_wrap=True,
        )
