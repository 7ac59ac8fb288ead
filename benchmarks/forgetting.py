"""What a model forgets when it adapts to new data, and how much of it replayed latents bring back.

    python -m benchmarks.forgetting [--only 0120 0173 phone_to_watch shoulder_left_arm] [--seeds 2]
        [--choose] [--json] [--save FILE]

A model trains on the field data of one group (a meter, a person), from the factory's weights, once
without and once with replay: between new samples, stored ones of the factory's training data are
learned again. The target of a stored sample is its label, or what the factory's model answered
("dark experience replay": Buzzega et al., NeurIPS 2020); a record then holds a latent and the
probability of each class in 255ths. The store is that of the firmware in its Python twin: reservoir
sampling of one pass through the factory's data, with classes balanced or as frequent as they come,
as many records as its size holds. In the target of a new sample too a share may be what the model
answered before it began to adapt ("learning without forgetting": Li and Hoiem, ECCV 2016), which
takes no memory. Every step runs in the TFLM interpreter, on latents. Accuracy on the group's own
field test data and on the factory's test data, in percent; means over groups weighted by their test
samples, then over seeds of order and sampling. "Brought back" is the share of the accuracy lost on
the factory's test data.

Settings are chosen on held-out training data (`--choose` shows the grid): 30 % of each group's new
samples (of movement the last recordings, and in a second fold the first ones; where a class has one
only its end or beginning: windows overlap), and of the factory's the last 30 % of its meters or
persons, whom the activity models that settings are chosen with have not seen either. Rate and
epochs are those with the largest accuracy on the new data without replay, as somebody without old
data would choose them. With 64 KB of replay they stay; of the settings that bring two thirds back,
those with the largest accuracy on the new data. Test data choose nothing.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.adapting import Parts, Settings, Story, Workshop, before, run
from benchmarks.held_out import held_out, held_out_ends, held_out_groups
from benchmarks.report import Column, parser_of, publish, show
from tflm_train import Scheme
from tflm_train.runtime.latent_store import Balance
from tflm_train.scheme import Loss, WeightUpdate

SIZES_KB = (4, 16, 64, 256)
GOAL_KB = 64
GOAL = 2 / 3
MOST_LOST = 1.0
"""Points of accuracy on the new data that replay may cost."""
_LOSS = Loss(target="probabilities")
_READER = Scheme(loss=_LOSS)
_ACTIVITY = Scheme(biases_last=2, weights=(WeightUpdate(1), WeightUpdate(2)), loss=_LOSS)

CASES = (
    Story(
        "0120",
        "meter_digits",
        "dig-class100-0120_s2_q.tflite",
        _READER,
        Settings(3e-2, 60),
        Settings(3e-2, 60, 0.5, Balance.CLASSES, True, 0.3),
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
        Settings(1e-2, 60),
        Settings(1e-2, 60, 0.5, Balance.CLASSES),
    ),
    Story(
        "shoulder_left_arm",
        "shoulder_left_arm",
        None,
        _ACTIVITY,
        Settings(3e-2, 60),
        Settings(3e-2, 60, 0.25, Balance.DOMAINS),
    ),
)
RATES = (3e-3, 1e-2, 3e-2)
EPOCHS = (20, 60)
REPLAYED = (0.25, 0.5, 1)
TARGETS = ((False, 0.0), (True, 0.0), (True, 0.3))


def measure(case: Story, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The table of a story.

    Returns:
        Rows: `story`, `store_kb` (None: before training, 0: without replay), `records`, `new`,
        `old`, `brought_back` (share).
    """
    shop = Workshop(case)
    parts = Parts(shop.factory, shop.factory_test, shop.field, shop.field_test)
    base = before(shop, [parts])
    rows: list[dict[str, Any]] = [
        {"story": case.name, "store_kb": None, "records": None, **base, "brought_back": None}
    ]
    lost = 0.0
    for size_kb in (0, *SIZES_KB):
        settings = case.replayed if size_kb else case.alone
        found = run(shop, [parts], settings, size_kb, seeds)
        lost = lost or base["old"] - found["old"]
        back = (found["old"] - base["old"] + lost) / lost if size_kb and lost > 0 else None
        records = min(shop.records(size_kb, settings), len(parts.old.y))
        row = {"story": case.name, "store_kb": size_kb, "records": records, **found}
        rows.append({**row, "brought_back": back})
        print(row, file=sys.stderr, flush=True)
    return rows


def choose(case: Story, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The grid of a story on held-out training data: without and with replay, the chosen first."""
    shop = Workshop(case, without_last=True)
    old = held_out_groups(shop.factory)
    is_movement = bool(shop.recordings)
    ends = held_out_ends(shop.field, shop.recordings) if is_movement else [held_out(shop.field)]
    folds = [Parts(*old, *new) for new in ends]
    base = before(shop, folds)["old"]

    def row_of(settings: Settings) -> dict[str, Any]:
        found = run(shop, folds, settings, GOAL_KB if settings.replayed else 0, seeds)
        shown = vars(settings) | {"balance": settings.balance.name.lower()}
        row = {"story": case.name, **shown, **found, "brought_back": None}
        print(row, file=sys.stderr, flush=True)
        return row

    alone = [row_of(Settings(*one)) for one in itertools.product(RATES, EPOCHS)]
    alone.sort(key=lambda row: (-row["new"], -row["old"]))
    rate, epochs, lost = alone[0]["rate"], alone[0]["epochs"], base - alone[0]["old"]
    replayed = [
        row_of(Settings(rate, epochs, n, balance, *target))
        for n, balance, target in itertools.product(REPLAYED, Balance, TARGETS)
    ]
    for row in replayed:
        row["brought_back"] = (row["old"] - alone[0]["old"]) / lost
    return [*alone, *sorted(replayed, key=preference)]


def preference(row: dict[str, Any]) -> tuple[bool, float, float]:
    """Sorts settings with replay, the chosen one first."""
    return row["brought_back"] < GOAL, -row["new"], -row["old"]


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
    parser.add_argument("--seeds", type=int, default=2, help="how many (default: 2)")
    parser.add_argument("--choose", action="store_true", help="show the grid of settings instead")
    arguments = parser.parse_args()
    cases = [case for case in CASES if case.name in arguments.only]
    work = choose if arguments.choose else measure
    tables = [work(case, range(arguments.seeds)) for case in cases]
    rows = [row for table in tables for row in table]
    publish("forgetting", {"rows": rows}, arguments)
    if not arguments.json:
        keys = [key for key in rows[0] if key not in ("new", "old", "brought_back")]
        shown = [Column(key.replace("_", " "), key) for key in keys]
        shown += [Column("new, %", "new", "{:.1f}"), Column("old, %", "old", "{:.1f}")]
        shown.append(Column("brought back", "brought_back", "{:.0%}"))
        show("Forgetting", shown, rows)
    return 0 if arguments.choose or all(map(passes, tables)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
