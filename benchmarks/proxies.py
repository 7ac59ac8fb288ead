"""How well cheap proxies rank what really fine-tuning the layers ranks.

    python -m benchmarks.proxies [--only NAME ...] [--json] [--save FILE]

The truth is a contribution analysis (`tflm_train analyze`); its fine-tunes are taken from the
user's cache where they were done before. A rank correlation of 1 orders the candidates as they do,
one of 0 as chance does. `whole` compares the layers with each other, all of their channels trained,
`all` the shares of channels as well.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import SHARED
from tflm_train.data import load_dataset
from tflm_train.learning.latent_cache import LatentCache
from tflm_train.model import load
from tflm_train.scheme import Head
from tflm_train.search.candidates import list_candidates
from tflm_train.search.contributions import analyze
from tflm_train.search.fine_tune import FineTune, FineTuner, model_digest
from tflm_train.search.processes import Processes
from tflm_train.search.proxies import PROXIES, proxies, spearman
from tflm_train.search.results import Results
from tflm_train.search.split_data import split_data


@dataclass(frozen=True)
class Truth:
    """An analysis."""

    model: str
    data: str
    depth: int | None
    steps: int | None
    seeds: int


TRUTHS = {
    "kws": Truth("kws_ref_model", "fsdd_mfcc_49x10", None, None, 3),
    "mcunet": Truth("mcunet-5fps.nopad", "cifar10_32", 12, 600, 1),
    "person_detect": Truth("person_detect", "clothing10_96", 14, 540, 1),
}
COLUMNS = (
    Column("network", "network"),
    Column("candidates", "candidates"),
    *(
        Column(f"{name}, {which}", f"{name}_{which}", "{:.2f}")
        for which in ("whole", "all")
        for name in PROXIES
    ),
    Column("seconds, proxies", "proxy_seconds", "{:.0f}"),
)


def measure(name: str, workers: int) -> dict[str, Any]:
    """Compares the proxies of a network with the truth.

    Args:
        name: of one of `TRUTHS`.
        workers: processes that fine-tune what is not known.

    Returns:
        A row.
    """
    truth = TRUTHS[name]
    model = load(SHARED / "models" / f"{truth.model}.tflite")
    data = split_data(load_dataset(SHARED / "data" / f"{truth.data}.npz"), model)
    tuner = FineTuner(model, data, LatentCache.of_user())
    processes = Processes(tuner, workers)
    try:
        found = analyze(
            model,
            data,
            Head(10),
            processes,
            Results.beside(tuner.cache),
            seeds=truth.seeds,
            steps=truth.steps,
            depth=truth.depth,
        )
    finally:
        processes.close()
    started = time.process_time()
    candidates = list_candidates(model, Head(10), truth.depth)
    base = candidates.head.scheme
    task = FineTune(model_digest(model), data.digest, base, found.base_rate, found.steps, 0)
    values = proxies(tuner.trained(task), data, candidates, found.base_rate)
    row: dict[str, Any] = {
        "network": name,
        "candidates": len(found.weights),
        "proxy_seconds": time.process_time() - started,
    }
    for which, keys in (
        ("all", list(found.weights)),
        ("whole", [key for key in found.weights if key[1] == 1]),
    ):
        gains = [found.weights[key].mean for key in keys]
        for proxy in PROXIES:
            row[f"{proxy}_{which}"] = spearman([values[proxy][key] for key in keys], gains)
    row["gains"] = {
        f"{layer} {ratio:g}": gain.mean for (layer, ratio), gain in found.weights.items()
    }
    row["values"] = {
        proxy: {f"{layer} {ratio:g}": value for (layer, ratio), value in values[proxy].items()}
        for proxy in PROXIES
    }
    return row


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="+", choices=TRUTHS, default=list(TRUTHS))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    rows = [measure(name, arguments.workers) for name in arguments.only]
    if not arguments.json:
        show("rank correlation of proxies with fine-tunes", COLUMNS, rows)
    publish("proxies", {"rows": rows}, arguments)


if __name__ == "__main__":
    main()
