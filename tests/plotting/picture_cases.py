"""Pictures of all topics with the data of some states, from the ``PICTURES`` of ``tests/TOPIC/cases.py``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import xarray
from contract_cases import case_modules

from explore.core.registry import resolve
from explore.plotting.picture import Picture

PICTURES: dict[str, tuple[str, Callable[[], list[xarray.Dataset]]]] = {}
for module in case_modules():
    PICTURES |= getattr(module, "PICTURES", {})


@cache
def case_of(name: str) -> tuple[type[Picture], list[xarray.Dataset]]:
    """Return a picture class and the data of some states, which tests must not change."""
    picture_class, states = PICTURES[name]
    return resolve(picture_class), states()
