"""Results of fine-tunes on disk, by content, so that what was once measured never is again.

An entry is a JSON file named after its task. It holds the digest of its content, so a damaged file
is recognised, removed, and measured again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from tflm_train.learning.kept_files import KeptFiles
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
        if key not in self._known and self._files is not None:
            found = _read(self._files, key)
            if found is not None and found.key == key:
                self._known[key] = found
        return self._known.get(key)

    def put(self, result: FineTuned) -> None:
        """Keeps a result; a folder that cannot be written to keeps nothing."""
        self._known[result.key] = result
        if self._files is None:
            return
        content = json.dumps(result.to_json())
        entry = {"digest": _digest(content), "content": content}
        with contextlib.suppress(OSError):
            if self._puts % _PUTS_BETWEEN_LOOKS == 0:
                self._files.evict(self.limit)
            self._puts += 1
            self._files.write(result.key, json.dumps(entry).encode())

    @property
    def _files(self) -> KeptFiles | None:
        return None if self.folder is None else KeptFiles(self.folder, _SUFFIX)


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _read(files: KeptFiles, key: str) -> FineTuned | None:
    data = files.read(key)
    if data is None:
        return None
    try:
        entry = json.loads(data)
        if _digest(entry["content"]) == entry["digest"]:
            files.was_used(key)
            return FineTuned.from_json(json.loads(entry["content"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # It is damaged in one way or the other.
    files.remove(key)
    return None
