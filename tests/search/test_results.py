"""Results on disk: damaged ones are absent, there are never too many."""

from __future__ import annotations

import os
from pathlib import Path

from tflm_train.search.fine_tune import FineTuned
from tflm_train.search.results import Results


def some(key: str) -> FineTuned:
    return FineTuned(key, 0.1, 0.5, (1.0, 0.0), 0.4, 0.7, "accuracy", 1.5)


def test_another_process_finds_them(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    Results(folder).put(some("a"))
    assert Results(folder).get("a") == some("a")
    assert Results(folder).get("b") is None
    assert [path.name for path in folder.iterdir()] == ["a.fine_tuned"]


def test_every_damage_is_noticed(tmp_path: Path) -> None:
    Results(tmp_path).put(some("a"))
    path = tmp_path / "a.fine_tuned"
    whole = path.read_bytes()
    for place in range(len(whole)):
        for damaged in (
            whole[:place],
            whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :],
        ):
            path.write_bytes(damaged)
            assert Results(tmp_path).get("a") in (None, some("a"))
            if len(damaged) < len(whole):
                assert not path.exists()
    path.write_bytes(whole)
    os.rename(path, tmp_path / "b.fine_tuned")
    assert Results(tmp_path).get("b") is None  # It is of another task.


def test_what_was_used_longest_ago_goes(tmp_path: Path) -> None:
    first = Results(tmp_path)
    for index, key in enumerate("abc"):
        first.put(some(key))
        os.utime(tmp_path / f"{key}.fine_tuned", (index, index))
    size = (tmp_path / "a.fine_tuned").stat().st_size
    (tmp_path / "x.latents").write_bytes(bytes(10 * size))  # Of the other cache.
    assert Results(tmp_path).get("a") is not None
    Results(tmp_path, limit=2 * size).put(some("d"))
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["a.fine_tuned", "c.fine_tuned", "d.fine_tuned", "x.latents"]


def test_no_folder_or_none_to_write_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for results in (Results(None), Results(tmp_path / "file" / "cache")):
        results.put(some("a"))
        assert results.get("a") == some("a")
