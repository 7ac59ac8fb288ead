"""Results of fine-tunes on disk, by content, so that what was once measured never is again.

An entry is a JSON file named after its task. It holds the digest of its content, so a damaged file
is recognised, removed, and measured again. Files appear whole or not at all, so that several
processes may share the folder and any of them may be killed at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tflm_train.learning.latent_cache import LatentCache
from tflm_train.search.fine_tune import FineTuned

_SUFFIX = ".fine_tuned"
DEFAULT_LIMIT = 1 << 28
"""Bytes that are kept at most."""
_PUTS_BETWEEN_LOOKS = 256


@dataclass
class Results:
    """A folder of results, and those of this process.

    Attributes:
      folder: Where; made when first written to. None: nothing outlives the process.
      limit: Bytes that it holds at most, or few more.
    """

    folder: Path | None
    limit: int = DEFAULT_LIMIT
    _known: dict[str, FineTuned] = field(default_factory=dict)
    _puts: int = 0

    @staticmethod
    def beside(cache: LatentCache | None) -> Results:
        """Results in the folder of latents; only in memory where there is none."""
        return Results(None if cache is None else cache.folder)

    def get(self, key: str) -> FineTuned | None:
        """The result of a task; None where there is none, or only a damaged one."""
        if key not in self._known and self.folder is not None:
            found = _read(self._path(key))
            if found is not None and found.key == key:
                self._known[key] = found
        return self._known.get(key)

    def put(self, result: FineTuned) -> None:
        """Keeps a result; a folder that cannot be written to keeps nothing."""
        self._known[result.key] = result
        if self.folder is None:
            return
        content = json.dumps(result.to_json())
        entry = {"digest": _digest(content), "content": content}
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._puts % _PUTS_BETWEEN_LOOKS == 0:
                self._evict()
            self._puts += 1
            _write(self._path(result.key), json.dumps(entry).encode())

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{key}{_SUFFIX}"

    def _evict(self) -> None:
        """Removes what was used longest ago where there is too much."""
        assert self.folder is not None
        found = []
        # What a process that was killed left behind begins with a dot and is found here as well.
        for path in self.folder.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.limit:
                return
            with contextlib.suppress(OSError):  # Another process may have removed it.
                path.unlink()
            total -= size


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _read(path: Path) -> FineTuned | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    try:
        entry = json.loads(data)
        if _digest(entry["content"]) == entry["digest"]:
            with contextlib.suppress(OSError):
                os.utime(path)  # It was used now.
            return FineTuned.from_json(json.loads(entry["content"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # It is damaged in one way or the other.
    with contextlib.suppress(OSError):
        path.unlink()
    return None


def _write(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=_SUFFIX)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
