"""What each preset learns, and in how much memory.

    python -m benchmarks.presets [--only NAME ...] [--epochs 2] [--json] [--save FILE]

The tests' small networks meet digits that were mirrored, turned or inverted (`tests/networks`), and
train on them as each preset says, at several rates; the best of these counts, for every preset
chosen by the same test samples from as many.
"""

from __future__ import annotations

from typing import Any

from benchmarks.report import Column, parser_of, publish, show
from tests.networks import CONVOLUTIONAL, NETWORKS, load_network
from tflm_train import Interpreter, preset_scheme
from tflm_train.learning.training import train
from tflm_train.rewriter.trials import Way
from tflm_train.scheme.presets import Preset

FACTORS = (0.1, 0.3, 1.0, 3.0)
"""Of the network's own rate."""
COLUMNS = (
    Column("network", "network"),
    Column("preset", "preset"),
    Column("arena", "arena_bytes", "{:,}"),
    Column("before", "before", "{:.1%}"),
    Column("best", "best", "{:.1%}"),
    Column("at rate", "rate", "{:g}"),
    Column("at all rates", "shown"),
)


def measure(name: str, preset: Preset, epochs: int) -> dict[str, Any]:
    """Trains a network as a preset says.

    Args:
        name: of one of `CONVOLUTIONAL`.
        preset: what trains.
        epochs: how long, at each rate.

    Returns:
        A row.
    """
    network, model = NETWORKS[name], load_network(name)
    result = Way().rewrite(model, preset_scheme(preset, model))
    by_rate = {}
    before = 0.0
    for rate in (factor * network.rate for factor in FACTORS):
        interpreter = Interpreter(result.model_bytes)
        record = train(interpreter, network.dataset(), epochs=epochs, learning_rate=rate)
        by_rate[rate], before = record.test_accuracy, record.test_accuracy_before
    rate = max(by_rate, key=lambda each: by_rate[each])
    return {
        "network": name,
        "preset": str(preset),
        "arena_bytes": result.memory.minimum_bytes,
        "before": before,
        "best": by_rate[rate],
        "rate": rate,
        "by_rate": {f"{each:g}": accuracy for each, accuracy in by_rate.items()},
        "shown": " / ".join(f"{accuracy:.1%}" for accuracy in by_rate.values()),
    }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="+", choices=CONVOLUTIONAL, default=CONVOLUTIONAL)
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    rows = [measure(name, preset, arguments.epochs) for name in arguments.only for preset in Preset]
    if not arguments.json:
        show(f"presets, {arguments.epochs} epochs", COLUMNS, rows)
    kept = [{key: value for key, value in row.items() if key != "shown"} for row in rows]
    publish("presets", {"epochs": arguments.epochs, "rows": kept}, arguments)


if __name__ == "__main__":
    main()
