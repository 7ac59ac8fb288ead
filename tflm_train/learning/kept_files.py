"""Files that are kept so that nothing is computed twice, in a folder that several processes share.

They appear whole or not at all, whenever a process is killed. What was used longest ago goes first
when there is too much.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KeptFiles:
    """The files of one kind in a folder.

    Attributes:
      folder: Where; made when first written to.
      suffix: What their names end in.
    """

    folder: Path
    suffix: str

    def read(self, key: str) -> bytes | None:
        """The content of a file; None where there is none."""
        try:
            return self._path(key).read_bytes()
        except OSError:
            return None

    def write(self, key: str, data: bytes) -> None:
        """Makes or replaces a file.

        Raises:
          OSError: The folder cannot be written to.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=self.suffix)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
            os.replace(temporary, self._path(key))
        except BaseException:
            os.unlink(temporary)
            raise

    def was_used(self, key: str) -> None:
        """Notes that a file was of use now."""
        with contextlib.suppress(OSError):
            os.utime(self._path(key))

    def remove(self, key: str) -> None:
        """Removes a file, if it is there and can be."""
        with contextlib.suppress(OSError):
            self._path(key).unlink()

    def evict(self, limit: int) -> None:
        """Removes what was used longest ago until at most `limit` bytes are left."""
        found = []
        # What a process that was killed left behind begins with a dot and is found here as well.
        for path in self.folder.glob(f"*{self.suffix}"):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= limit:
                return
            with contextlib.suppress(OSError):  # Another process may have removed it.
                path.unlink()
            total -= size

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{self.suffix}"
