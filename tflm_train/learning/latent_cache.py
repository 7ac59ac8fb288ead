"""Latents on disk, by content, so that the next run finds them.

An entry is a file named after its key. It holds the digest of its content, so a damaged file is
recognised, removed and computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.learning.kept_files import KeptFiles

CACHE_VARIABLE = "TFLM_TRAIN_CACHE"
NO_CACHE = "none"
DEFAULT_LIMIT = 1 << 30
"""Bytes that a cache holds at most."""
_SUFFIX = ".latents"
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class LatentCache:
    """A folder of arrays.

    Attributes:
      folder: Where; made when first written to.
      limit: Bytes that it holds at most.
    """

    folder: Path
    limit: int = DEFAULT_LIMIT

    @staticmethod
    def of_user(choice: str | None = None) -> LatentCache | None:
        """The cache that the user wants.

        Args:
          choice: A folder, `none`, or None: what the environment variable TFLM_TRAIN_CACHE says,
            else `tflm_train` in the user's folder for caches (XDG_CACHE_HOME, `~/.cache`).

        Returns:
          The cache; None for `none`.
        """
        choice = choice or os.environ.get(CACHE_VARIABLE)
        if choice == NO_CACHE:
            return None
        if choice:
            return LatentCache(Path(choice))
        home = os.environ.get("XDG_CACHE_HOME", "")
        # By the XDG rules a relative path does not count.
        base = Path(home) if os.path.isabs(home) else Path("~/.cache").expanduser()
        return LatentCache(base / "tflm_train")

    def get(self, key: str) -> npt.NDArray[Any] | None:
        """The array of a key; None where there is none, or only a damaged one."""
        data = self._files.read(key)
        if data is None:
            return None
        digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            self._files.remove(key)
            return None
        self._files.was_used(key)
        found: npt.NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
        return found

    def put(self, key: str, values: npt.NDArray[Any]) -> None:
        """Keeps an array; a cache that cannot be written to keeps nothing."""
        content = io.BytesIO()
        np.save(content, values, allow_pickle=False)
        data = content.getvalue()
        if len(data) + _DIGEST_BYTES > self.limit:
            return
        with contextlib.suppress(OSError):
            self._files.evict(self.limit - len(data) - _DIGEST_BYTES)
            self._files.write(key, hashlib.sha256(data).digest() + data)

    @property
    def _files(self) -> KeptFiles:
        return KeptFiles(self.folder, _SUFFIX)
