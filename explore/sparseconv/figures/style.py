"""Names and colours that the pictures of sparse convolution share."""

from __future__ import annotations

from typing import Any

from explore.plotting.style import PALETTE

FORMAT_LABELS = {"im2col": "im2col", "mec": "MEC", "cscc": "CSCC", "cpo": "CPO", "cps": "CPS"}
FORMAT_STYLES: dict[str, dict[str, Any]] = {
    "mec": {"color": PALETTE["grey"], "marker": "v"},
    "cscc": {"color": PALETTE["purple"], "marker": "D"},
    "cpo": {"color": PALETTE["green"], "marker": "^"},
    "cps": {"color": PALETTE["vermilion"], "marker": "s"},
}
