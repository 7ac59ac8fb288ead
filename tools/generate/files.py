"""The generated files, by name."""

from __future__ import annotations

from pathlib import Path

from .json_page import json_page
from .numerics import numerics_page
from .params_header import params_header
from .support_page import support_page
from .tables_header import tables_header

ROOT = Path(__file__).resolve().parents[2]
PAGE = "docs/NUMERICS.md"


def generated() -> dict[str, str]:
    """The text of each generated file; of a page with a generated part the whole page."""
    return {
        "tflm_kernels/spec/op_params.h": params_header(),
        "docs/JSON.md": json_page(),
        "docs/SUPPORTED_OPS.md": support_page(),
        "tflm_kernels/spec/op_tables.h": tables_header(),
        PAGE: numerics_page((ROOT / PAGE).read_text()),
    }
