"""The cache of latents: what it keeps, what it gives up, and what it does not trust."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tflm_train.learning.latent_cache import CACHE_VARIABLE, LatentCache


def array(seed: int, size: int = 1000) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, size).astype(np.int8)


def test_it_gives_back_what_it_was_given(tmp_path: Path) -> None:
    cache = LatentCache(tmp_path / "deep" / "folder")
    assert cache.get("a") is None
    cache.put("a", array(1).reshape(10, 100))
    found = cache.get("a")
    assert found is not None and found.dtype == np.int8
    np.testing.assert_array_equal(found, array(1).reshape(10, 100))
    assert cache.get("b") is None


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: b"", lambda d: d[:50] + b"x" + d[51:]]
)
def test_a_damaged_file_is_not_trusted(tmp_path: Path, damage: object) -> None:
    cache = LatentCache(tmp_path)
    cache.put("a", array(1))
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]
    assert cache.get("a") is None and not file.exists()


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = LatentCache(tmp_path, limit=3500)
    for age, key in enumerate("abc"):
        cache.put(key, array(age))
        (file,) = tmp_path.glob(f"{key}*")
        os.utime(file, (1000 + age, 1000 + age))
    assert cache.get("a") is not None  # Now it is b that was used longest ago.
    cache.put("d", array(4))
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "c", "d"]
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 3500
    cache.put("e", array(5, 5000))  # More than there may be at all.
    assert cache.get("e") is None and cache.get("d") is not None


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = LatentCache(tmp_path / "file")
    cache.put("a", array(1))
    assert cache.get("a") is None


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    program = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from tflm_train.learning.latent_cache import LatentCache\n"
        "cache = LatentCache(Path(sys.argv[1]), limit=20000)\n"
        "for i in range(300):\n"
        "    key = str(i % 30)\n"
        "    want = np.full(1000, i % 30, np.int8)\n"
        "    found = cache.get(key)\n"
        "    assert found is None or (found == want).all()\n"
        "    cache.put(key, want)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    running = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    assert not list(tmp_path.glob(".*"))


def test_where_the_users_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert LatentCache.of_user() == LatentCache(tmp_path / ".cache" / "tflm_train")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert LatentCache.of_user() == LatentCache(tmp_path / "xdg" / "tflm_train")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "other"))
    assert LatentCache.of_user() == LatentCache(tmp_path / "other")
    assert LatentCache.of_user(str(tmp_path)) == LatentCache(tmp_path)
    assert LatentCache.of_user("none") is None
    monkeypatch.setenv(CACHE_VARIABLE, "none")
    assert LatentCache.of_user() is None
