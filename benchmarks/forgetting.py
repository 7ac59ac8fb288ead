"""What a model forgets when it adapts to new data, and how much of it replayed latents bring back.

    python -m benchmarks.forgetting [--only 0120 0173 phone_to_watch shoulder_left_arm] [--seeds 4]
        [--workers 1] [--choose] [--json] [--save FILE]

A model trains on the field data of one group (a meter, a person), from the factory's weights, once
without and once with replay: between new samples, stored ones of the factory's training data are
learned again: equally often throughout, or less and less as the rate falls, so that the last steps
make the most of the new samples. The target of a stored sample is its label, or what the factory's
model answered ("dark experience replay": Buzzega et al., NeurIPS 2020); a record then holds a
latent and the probability of each class in 255ths. The store is that of the firmware in its Python
twin: reservoir sampling of one pass through the factory's data, with classes balanced or as
frequent as they come, as many records as its size holds. In the target of a new sample too a share
may be what the model answered before it began to adapt ("learning without forgetting": Li and
Hoiem, ECCV 2016), which takes no memory. Every step runs in the TFLM interpreter, on latents.
Accuracy on the group's own field test data and on the factory's test data, in percent; means over
groups weighted by their test samples, then over seeds of order and sampling. "Change" is the
accuracy on new data against that without replay of the same groups and seeds, with its standard
error over seeds and over groups (persons, meters: few, and unlike each other). "Brought back" is
the share of the accuracy lost on the factory's test data.

Settings are chosen on held-out training data (`--choose` shows the grid), in up to three folds.
Each of the factory's meters or persons is held out once, with an activity model made without them;
of the new samples every n-th of each group, of movement each of two recordings or, where each class
has one only, its end and its beginning (windows overlap). The rate is that with the largest
accuracy on the new data without replay, as somebody without old data would choose it.
With 64 KB of replay it stays; of the other settings those with the largest margin, in points, to
the nearer of two limits: two thirds of what was lost, and the accuracy on new data that replay may
cost. Test data choose nothing.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from benchmarks.adapting import (
    Fold,
    Parts,
    Run,
    Settings,
    Story,
    Workshop,
    before,
    mean,
    paired_errors,
    run,
)
from benchmarks.held_out import folds_of, held_out, held_out_groups, held_out_parts
from benchmarks.report import Column, parser_of, publish, show
from tflm_train import Scheme
from tflm_train.runtime.latent_store import Balance
from tflm_train.scheme import Loss, WeightUpdate

SIZES_KB = (4, 16, 64, 256)
GOAL_KB = 64
GOAL = 2 / 3
MOST_LOST = 1.0
"""Points of accuracy on the new data that replay may cost."""
_ACCURACIES = ("new", "old", "brought_back")
_CHANGES = ("change", "seed_error", "group_error")
_LOSS = Loss(target="probabilities")
_READER = Scheme(loss=_LOSS)
_ACTIVITY = Scheme(biases_last=2, weights=(WeightUpdate(1), WeightUpdate(2)), loss=_LOSS)

CASES = (
    Story(
        "0120",
        "meter_digits",
        "dig-class100-0120_s2_q.tflite",
        _READER,
        Settings(1e-2, 60),
        Settings(1e-2, 60, 1, Balance.CLASSES, True, 0.3),
    ),
    Story(
        "0173",
        "meter_digits",
        "dig-class100-0173-s2-q.tflite",
        _READER,
        Settings(3e-3, 60),
        Settings(3e-3, 60, 1, Balance.CLASSES, True, 0.3),
    ),
    Story(
        "phone_to_watch",
        "phone_to_watch",
        None,
        _ACTIVITY,
        Settings(3e-2, 60),
        Settings(3e-2, 60, 1, Balance.CLASSES, fading=True),
    ),
    Story(
        "shoulder_left_arm",
        "shoulder_left_arm",
        None,
        _ACTIVITY,
        Settings(3e-2, 60),
        Settings(3e-2, 60, 0.25, Balance.CLASSES, fading=True),
    ),
)
EPOCHS = 60


@dataclass(frozen=True)
class Grid:
    """What is tried: rates alone; with replay shares, balances, such targets, fading or not."""

    rates: tuple[float, ...]
    replayed: tuple[float, ...]
    targets: tuple[tuple[bool, float], ...]
    fading: tuple[bool, ...]


_READER_GRID = Grid((3e-3, 1e-2, 3e-2), (0.5, 1, 2), ((True, 0.3),), (False,))
_ACTIVITY_GRID = Grid(
    (1e-2, 3e-2), (0.25, 0.5, 1), ((False, 0.0), (True, 0.0), (True, 0.3)), (False, True)
)


def measure(case: Story, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The table of a story.

    Returns:
        Rows: `story`, `store_kb` (None: before training, 0: without replay), `records`, `new`,
        `old`, `brought_back` (share), `change` of `new` with its `seed_error` and `group_error`.
    """
    shop = Workshop(case)
    parts = Parts(shop.factory, shop.factory_test, shop.field, shop.field_test)
    folds = [(shop, parts)]
    base = before(folds)
    rows: list[dict[str, Any]] = [_row(case, None, None, base)]
    without: list[Run] = []
    for size_kb in (0, *SIZES_KB):
        settings = case.replayed if size_kb else case.alone
        runs = run(folds, settings, size_kb, seeds)
        records = min(shop.records(size_kb, settings), len(parts.old.y))
        row = _row(case, size_kb, records, mean(runs))
        if size_kb:
            alone = mean(without)
            lost = base["old"] - alone["old"]
            row["brought_back"] = (row["old"] - alone["old"]) / lost if lost > 0 else None
            row |= {"change": row["new"] - alone["new"], **paired_errors(runs, without)}
        else:
            without = runs
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    return rows


def _row(
    case: Story, size_kb: int | None, records: int | None, found: dict[str, float]
) -> dict[str, Any]:
    empty = dict.fromkeys(("brought_back", "change", "seed_error", "group_error"))
    return {"story": case.name, "store_kb": size_kb, "records": records, **found, **empty}


def choose(case: Story, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The grid of a story on held-out training data: without and with replay, the chosen first."""
    grid = _READER_GRID if case.model_file else _ACTIVITY_GRID
    folds = held_out_folds(case)
    base = before(folds)["old"]

    def row_of(settings: Settings) -> dict[str, Any]:
        found = mean(run(folds, settings, GOAL_KB if settings.replayed else 0, seeds))
        shown = vars(settings) | {"balance": settings.balance.name.lower()}
        row = {"story": case.name, **shown, **found, "brought_back": None}
        print(row, file=sys.stderr, flush=True)
        return row

    alone = [row_of(Settings(rate, EPOCHS)) for rate in grid.rates]
    alone.sort(key=lambda row: (-row["new"], -row["old"]))
    without = alone[0]
    replayed = [
        row_of(Settings(without["rate"], EPOCHS, n, balance, *targets, fading))
        for n, balance, targets, fading in itertools.product(
            grid.replayed, Balance, grid.targets, grid.fading
        )
    ]
    for row in replayed:
        row["brought_back"] = (row["old"] - without["old"]) / (base - without["old"])
    return [*alone, *sorted(replayed, key=lambda row: -margin(row, without, base))]


def held_out_folds(case: Story) -> list[Fold]:
    """The folds of a story's training data, each with the model for it."""
    whole = Workshop(case)
    count = folds_of(whole.factory.group)
    folds = []
    for fold in range(count):
        shop = whole if case.model_file else Workshop(case, fold)
        if shop.recordings:
            parts = held_out_parts(shop.field, shop.recordings)
        else:
            parts = [held_out(shop.field, fold, count)]
        old = held_out_groups(shop.factory, fold)
        folds += [(shop, Parts(*old, *part)) for part in parts]
    return folds


def margin(row: dict[str, Any], without: dict[str, Any], base: float) -> float:
    """How far settings with replay are from the nearer limit, in points; below 0: beyond it.

    Args:
        row: accuracies with replay.
        without: without.
        base: accuracy of the factory's model on its data.
    """
    least = without["old"] + GOAL * (base - without["old"])
    return float(min(row["old"] - least, row["new"] - without["new"] + MOST_LOST))


def passes(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether replay from the goal's store is worth it in a story."""
    by_size = {row["store_kb"]: row for row in rows}
    with_replay, without = by_size[GOAL_KB], by_size[0]
    back = with_replay["brought_back"]
    enough = back is None or back >= GOAL
    return bool(enough and with_replay["new"] >= without["new"] - MOST_LOST)


def main() -> int:
    """The command line; exit status 1 where a story misses the goal."""
    parser = parser_of(__doc__)
    names = [case.name for case in CASES]
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, help="leave the rest out"
    )
    parser.add_argument("--seeds", type=int, default=4, help="how many (default: 4)")
    parser.add_argument("--workers", type=int, default=1, help="stories at a time (default: 1)")
    parser.add_argument("--choose", action="store_true", help="show the grid of settings instead")
    arguments = parser.parse_args()
    cases = [case for case in CASES if case.name in arguments.only]
    work = choose if arguments.choose else measure
    with ProcessPoolExecutor(arguments.workers) as pool:
        tables = list(pool.map(work, cases, itertools.repeat(range(arguments.seeds))))
    rows = [row for table in tables for row in table]
    publish("forgetting", {"rows": rows}, arguments)
    if not arguments.json:
        keys = [key for key in rows[0] if key not in (*_ACCURACIES, *_CHANGES)]
        shown = [Column(key.replace("_", " "), key) for key in keys]
        shown += [Column("new, %", "new", "{:.1f}"), Column("old, %", "old", "{:.1f}")]
        if not arguments.choose:
            shown += [Column(key.replace("_", " "), key, "{:.1f}") for key in _CHANGES]
        shown.append(Column("brought back", "brought_back", "{:.0%}"))
        show("Forgetting", shown, rows)
    return 0 if arguments.choose or all(map(passes, tables)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
