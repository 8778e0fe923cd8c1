"""Small runs on digits of 8×8 pixels for the tests of several packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray

from explore import build, record
from explore.core.recording import product_path

DATA = {"name": "digits", "options": {"size": 8, "margin": 0}}
DM = {
    "method": "dm",
    "data": DATA,
    "preset": "lesson",
    "width": 4,
    "batch": 2,
    "probe_images": 2,
    "probes": 1,
}
"""A distillation that takes milliseconds; the number of steps is to be added."""


def record_set(config: dict[str, Any], path: Path) -> Path:
    """Record a run that distils or selects images, and return the file of its distilled set."""
    record(build(config), path, every=1)
    return product_path(path, ".safetensors")


def record_evaluation(distilled: Path, path: Path, **options: Any) -> xarray.Dataset:
    """Record the evaluation of a distilled set."""
    return record(build({"method": "evaluate", "distilled": str(distilled), **options}), path)
