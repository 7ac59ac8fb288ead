"""The report as one page that needs nothing else: no script, no font, no request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tflm_train.pages.chart import Chart, Point
from tflm_train.pages.document import card, document, facts, how_it_was_measured, table, versions
from tflm_train.scheme.scheme import Scheme, WeightUpdate
from tflm_train.search.contributions import Gain
from tflm_train.search.search import Outcome, Scored, Searched
from tflm_train.search.written import Words, budget_said
from tflm_train.version import VERSION

_KB = 1024
_KINDS = (
    ("c1", "from the analysis"),
    ("c2", "presets"),
    ("c3", "last layers"),
    ("c4", "ready schemes"),
)
_PACKAGES = ("tflite-micro", "ortools", "numpy")


@dataclass(frozen=True)
class About:
    """What the page says of where the search comes from.

    Attributes:
      model: The model's file.
      data: The data's file or folder.
      command: What was typed.
      samples: How many samples trained, chose, and ranked.
      seconds: How long it took.
    """

    model: str
    data: str
    command: str
    samples: tuple[int, int, int]
    seconds: float


def html_page(searched: Searched, about: About) -> str:
    """The report.

    Args:
      searched: What was found.
      about: Where it comes from.

    Returns:
      HTML with inline style and SVG.
    """
    words = Words(searched.contributions.metric)
    body = [
        f"<h1>What to train of {escape(about.model)}</h1>",
        f"<p class='soft'>Searched on {escape(about.data)} by tflm_train {VERSION}; the head alone "
        f"reaches {words.score(searched.contributions.base, searched.contributions.noise)} on the "
        "samples that choose.</p>",
        *([] if searched.is_complete else [_INTERRUPTED]),
        _cards(searched, words),
        *(_network(searched, outcome) for outcome in searched.outcomes if outcome.best),
        _contributions(searched, words),
        _fronts(searched, words),
        *(_contenders(outcome, words) for outcome in searched.outcomes),
        _how(searched, about),
    ]
    return document(f"What to train of {about.model}", body)


_INTERRUPTED = (
    "<p><strong>The search was interrupted.</strong> This is what was known then; the same command "
    "goes on from there.</p>"
)


def _cards(searched: Searched, words: Words) -> str:
    cards = []
    for outcome in searched.outcomes:
        title = f"<h3>Limit: {escape(budget_said(outcome.budget))}</h3>"
        best = outcome.best
        if best is None:
            cards.append(f"<div class='card'>{title}<p>Nothing that trains fits.</p></div>")
            continue
        costs = best.contender.costs
        known = {
            "Found as": best.contender.name,
            "Arena": f"{costs.arena:,} bytes",
            "Flash, kernels included": f"{costs.flash:,} bytes",
            "A step, estimated": f"{costs.step_ms:,.0f} ms",
            "Trains": _trains(best.contender.scheme),
            "Residual bits": str(best.contender.scheme.residual_bits),
        }
        cards.append(
            f"<div class='card'>{title}<div class='big'>{_score(best, words)}</div>"
            f"{facts(known)}</div>"
        )
    return f"<h2>Found</h2><div class='cards'>{''.join(cards)}</div>"


def _score(best: Scored, words: Words) -> str:
    if not best.finals:
        return "<small>not measured to the end</small>"
    if not words.is_accuracy:
        return f"{-best.score:.4g} <small>± {best.error:.2g} mean squared error</small>"
    return (
        f"{100 * best.score:.1f} % <small>± {100 * best.error:.1f}, test samples, "
        f"{_seeds(len(best.finals))}</small>"
    )


def _trains(scheme: Scheme) -> str:
    parts = ["head"] if scheme.head.train else []
    if scheme.bias_layers:
        parts.append(f"{len(scheme.bias_layers)} biases")
    if scheme.weights:
        parts.append(f"weights of {len(scheme.weights)} layers")
    return ", ".join(parts)


def _network(searched: Searched, outcome: Outcome) -> str:
    """The chosen scheme over the network: a row for each layer."""
    assert outcome.best is not None
    scheme, space = outcome.best.contender.scheme, searched.space
    ratios = {w.layer: w.ratio for w in scheme.weights if isinstance(w, WeightUpdate)}
    layers = [*reversed(space.layers)]
    head = space.all_layers[-1]
    most = max(math.sqrt(layer.weights.size) for layer in [*layers, head])
    rows = []
    for layer in layers:
        ratio = ratios.get(layer.index, 0.0)
        has_bias = layer.index in scheme.bias_layers or ratio > 0
        width = 100 * math.sqrt(layer.weights.size) / most
        inner = f"<i style='width:{ratio * width:.1f}%'></i>" if ratio else ""
        say = f"{_share(ratio)} of {layer.weights.size:,}" if ratio else f"{layer.weights.size:,}"
        rows.append(
            f"<div class='{'trains' if ratio else ''}' title='{escape(layer.name)}'>"
            f"<span class='no'>{layer.index}</span>"
            f"<span class='dot{' on' if has_bias else ''}'></span>"
            f"<span class='track'><i style='width:{width:.1f}%'></i>{inner}</span>"
            f"<span class='say'>{say}</span></div>"
        )
    trained = scheme.head.train
    rows.append(
        f"<div class='trains'><span class='no'>{head.index}</span>"
        f"<span class='dot{' on' if trained else ''}'></span><span class='track'>"
        "<i style='width:100%'></i>" + ("<i style='width:100%'></i>" if trained else "") + "</span>"
        "<span class='say'>head</span></div>"
    )
    key = (
        "<ul class='key'><li><i class='c3'></i>bias trains</li>"
        "<li><i class='box'></i>weights that train</li>"
        "<li><i class='box frozen'></i>frozen weights</li></ul>"
    )
    return (
        f"<h2>What trains within {escape(budget_said(outcome.budget))}</h2>"
        "<p class='soft'>Layers in execution order. A bar's length is the square root of the "
        "number of weights, its coloured part the share of input channels that train.</p>"
        f"<div class='card'><div class='net'>{''.join(rows)}</div>{key}</div>"
    )


def _share(ratio: float) -> str:
    return "all" if ratio == 1 else f"1/{1 / ratio:g}"


def _contributions(searched: Searched, words: Words) -> str:
    found, factor = searched.contributions, 100 if words.is_accuracy else 1
    unit = "points" if words.is_accuracy else "less error"
    biases = Chart("last k biases", f"gain, {unit}", height=190, zero=True, counts=True)
    biases.line([(0, 0), *((k, factor * gain.mean) for k, gain in found.biases)])
    biases.points(
        Point(k, factor * gain.mean, factor * gain.error, f"last {k}: {_said(gain, words)}")
        for k, gain in found.biases
    )
    cards = [card("Biases of the last k layers", biases.svg("gain of the last k biases"))]
    ratios = sorted({ratio for _, ratio in found.weights})
    every = list(found.weights.values())
    for style, ratio in zip(("c1", "c2", "c3", "c4"), ratios, strict=False):
        gains = {layer: gain for (layer, own), gain in found.weights.items() if own == ratio}
        limits = _range(every, factor)
        chart = Chart("layer", f"gain, {unit}", height=190, zero=True, counts=True, y_range=limits)
        chart.points(
            Point(
                layer,
                factor * gain.mean,
                factor * gain.error,
                f"layer {layer}, {_share(ratio)}: {_said(gain, words)}",
                style,
            )
            for layer, gain in sorted(gains.items())
        )
        title = "All input channels" if ratio == 1 else f"{_share(ratio)} of the input channels"
        cards.append(card(f"Weights: {title}", chart.svg(f"gain of weights, {title}")))
    return (
        "<h2>What each part brings</h2>"
        "<p class='soft'>Gain on the samples that choose, with standard errors: of biases above "
        "the head alone, of one layer's weights above the biases of this layer and of those behind "
        f"it. Means of up to {_seeds(max((g.seeds for g in every), default=searched.plan.seeds))}, "
        "each candidate at its own learning rate.</p>"
        f"<div class='cards charts'>{''.join(cards)}</div>"
    )


def _range(gains: Sequence[Gain], factor: float) -> tuple[float, float]:
    ends = [factor * (g.mean + sign * g.error) for g in gains for sign in (-1, 1)]
    return min(ends), max(ends)


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _said(gain: Gain, words: Words) -> str:
    if not gain.seeds:
        return f"{words.gain(gain)} (predicted)"
    return f"{words.gain(gain)} ({_seeds(gain.seeds)}, rate {gain.rate:g})"


def _fronts(searched: Searched, words: Words) -> str:
    factor = 100 if words.is_accuracy else 1
    expected = Chart("arena, KB", "expected gain" + (", points" if words.is_accuracy else ""))
    points = [(p.costs.arena / _KB, factor * p.gain) for p in searched.front]
    if points:
        expected.steps(points, max(p.arena for p in searched.front) / _KB)
        expected.points(Point(x, y, title=f"{x:.1f} KB: {y:+.1f}") for x, y in points)
    measured = Chart("arena, KB", "accuracy, %" if words.is_accuracy else "minus squared error")
    finals = {x.contender: x for outcome in searched.outcomes for x in outcome.ranked if x.finals}
    best = {outcome.best.contender for outcome in searched.outcomes if outcome.best}
    measured.points(
        Point(
            x.contender.costs.arena / _KB,
            factor * x.score,
            factor * x.error,
            f"{x.contender.name}: {words.score(x.score, x.error)}",
            _kind(x.contender.name),
            x.contender.name if x.contender in best else "",
        )
        for x in finals.values()
    )
    used = {_kind(x.contender.name) for x in finals.values()}
    key = "".join(f"<li><i class='{c}'></i>{text}</li>" for c, text in _KINDS if c in used)
    return (
        "<h2>What memory buys</h2>"
        "<div class='cards charts'>"
        + card("Expected: the best sum of gains that fits", expected.svg("expected gain"))
        + card(
            "Measured: fine-tuned schemes on test samples",
            measured.svg("accuracy over arena") + f"<ul class='key'>{key}</ul>",
        )
        + "</div>"
    )


def _kind(name: str) -> str:
    if name.startswith("preset"):
        return "c2"
    if name.startswith("last"):
        return "c3"
    return "c1" if name in ("optimum", "second best") else "c4"


def _contenders(outcome: Outcome, words: Words) -> str:
    headings = ("scheme", "arena", "flash", "step, ms", "residual", "expected", "one run", "test",
                "rate")  # fmt: skip
    rows = []
    for place, x in enumerate(outcome.ranked):
        costs = x.contender.costs
        cells = (
            x.contender.name,
            f"{costs.arena:,}",
            f"{costs.flash:,}",
            f"{costs.step_ms:,.0f}",
            str(x.contender.scheme.residual_bits),
            "" if x.contender.expected is None else words.difference(x.contender.expected),
            "" if x.chosen_by is None else _short(x.chosen_by.score, None, words),
            _short(x.score, x.error, words) if x.finals else "",
            ", ".join(f"{rate:g}" for rate in sorted({run.rate for run in x.finals})),
        )
        rows.append((place == 0 and bool(x.finals), cells))
    return (
        f"<h2>Compared within {escape(budget_said(outcome.budget))}</h2>"
        "<p class='soft'>Those that did best in one run on the samples that choose met again on "
        "the test samples, trained on all others.</p>"
        f"<div class='card scroll'>{table(headings, rows)}</div>"
    )


def _short(value: float, error: float | None, words: Words) -> str:
    if not words.is_accuracy:
        return f"{-value:.4g}"
    return f"{100 * value:.1f}" + ("" if error is None else f" ± {100 * error:.1f}") + " %"


def _how(searched: Searched, about: About) -> str:
    plan, found = searched.plan, searched.contributions
    train, choose, rank = about.samples
    proofs = [x for outcome in searched.outcomes for x in outcome.optima]
    known = {
        "Samples": f"{train:,} trained, {choose:,} chose, {rank:,} ranked; then the first two "
        "trained and the last ones were scored",
        "Analysis": f"{len(found.biases)} numbers of biases, {len(found.weights)} shares of "
        f"layers' weights; {plan.steps:,} steps of one sample, {_seeds(plan.seeds)}; "
        f"{found.stopped} hopeless ones got one seed"
        + ("; most weights are predicted from a few (the fast way)" if plan.fast else ""),
        "Finals": f"{plan.final_steps:,} steps, {_seeds(plan.final_seeds)}, the rate chosen "
        "by short runs on the training samples; ranked by how wrong the answers are, which tells "
        "apart what is right equally often",
        "Optimum": f"{sum(x.proved for x in proofs)} of {len(proofs)} proved, "
        f"{searched.rewrites:,} schemes rewritten to know what they cost",
        "Errors": "standard errors over samples and seeds",
        "Every step": "ran in the TFLM interpreter, in the arithmetic of the device",
        "Time": f"{about.seconds / 60:.1f} minutes",
        "Versions": versions(_PACKAGES),
        "Model": found.model[:16],
        "Data": found.data[:16],
    }
    return how_it_was_measured(known, about.command)
