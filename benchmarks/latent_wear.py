"""What a store of latents costs in flash: how many records fit, and how often sectors are erased.

    python -m benchmarks.latent_wear [--latent-bytes N] [--groups N] [--json]

The C++ of the firmware, in a flash simulated in RAM. Written per stored byte is all that is
programmed and erased again (records, copies, headers) over the latents and labels that were kept:
the write amplification. Every sample is kept, in the place of a random one; the sampling keeps
fewer and fewer.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from benchmarks.report import Column, show
from tests.runtime.latent_host import OK, LatentStore, capacity

FLASHES = {
    "64 KB, sectors of 4 KB, units of 256 (RP2040)": (64 * 1024, 4096, 256),
    "64 KB, sectors of 4 KB, units of 4 (nRF52)": (64 * 1024, 4096, 4),
    "64 KB, sectors of 2 KB, units of 8 (STM32L4)": (64 * 1024, 2048, 8),
    "256 KB, sectors of 128 KB, units of 32 (STM32H7)": (256 * 1024, 128 * 1024, 32),
    "64 KB, bytes without erasing (FRAM)": (64 * 1024, 1, 1),
}
SHARES = (1.0, 0.75, 0.5)
ERASES_PER_SECTOR = 6


def measure(flash: tuple[int, int, int], latent_bytes: int, groups: int, share: float) -> Any:
    """One row: a store of a share of what the flash could hold."""
    most = capacity(4 + latent_bytes, groups, flash)
    records = max(1, int(share * most))
    store = LatentStore(latent_bytes, records, groups, flash=flash)
    kept = number = 0
    sectors = store.wear()[2]
    while store.wear()[1] < ERASES_PER_SECTOR * sectors:
        store.forget_counts()
        kept += store.add(bytes(latent_bytes), number % groups) == OK
        number += 1
    _, erases, sectors = store.wear()
    store.close()
    erased = erases * (flash[0] // sectors)
    return {
        "records": records,
        "share": records * (4 + latent_bytes) / flash[0],
        "amplification": erased / (kept * (4 + latent_bytes)),
        "kept_per_erase": kept / (erases / sectors),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--latent-bytes", type=int, default=512)
    parser.add_argument("--groups", type=int, default=12)
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    arguments = parser.parse_args()
    rows = [
        {"flash": name, **measure(flash, arguments.latent_bytes, arguments.groups, share)}
        for name, flash in FLASHES.items()
        for share in SHARES
    ]
    if arguments.json:
        print(json.dumps(rows))
        return
    columns = [
        Column("flash", "flash"),
        Column("records", "records"),
        Column("of the flash", "share", "{:.0%}"),
        Column("written per stored byte", "amplification", "{:.1f}"),
        Column("samples kept per erase of each sector", "kept_per_erase", "{:.0f}"),
    ]
    show(f"latents of {arguments.latent_bytes} bytes, {arguments.groups} classes", columns, rows)


if __name__ == "__main__":
    main()
