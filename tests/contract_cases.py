"""Special cases of methods in the contract tests, collected from ``tests/TOPIC/cases.py``.

Such a module may define

* ``RUNS``: runs that belong to no method, by name: functions ``make(**options)``;
* ``SEEDLESS``: names of methods whose result does not depend on the seed;
* ``LOADERS``: functions ``load(name, **options)`` for the data of a method, by its name;
* ``PICTURES``: pictures with the data of some of their states (see ``tests/plotting/test_picture.py``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from explore.data import load

TESTS = Path(__file__).resolve().parent


def case_modules() -> list[ModuleType]:
    """Import every ``cases.py`` of a topic, and those named by EXPLORE_CASES."""
    others = filter(None, os.environ.get("EXPLORE_CASES", "").split(os.pathsep))
    modules = []
    for path in [*sorted(TESTS.glob("*/cases.py")), *map(Path, others)]:
        spec = spec_from_file_location(f"cases_{path.parent.name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        modules.append(module)
    return modules


@dataclass
class Cases:
    """The definitions of all modules."""

    runs: dict[str, Callable[..., Any]] = field(default_factory=dict)
    seedless: set[str] = field(default_factory=set)
    loaders: dict[str, Callable[..., Any]] = field(default_factory=dict)

    def load_data(self, method: str, data: str | Mapping[str, Any]) -> Any:
        """Return the data set that a method's ``data`` option names."""
        loader = self.loaders.get(method, load)
        return loader(data) if isinstance(data, str) else loader(data["name"], **data["options"])


CASES = Cases()
for _module in case_modules():
    CASES.runs |= getattr(_module, "RUNS", {})
    CASES.seedless |= getattr(_module, "SEEDLESS", set())
    CASES.loaders |= getattr(_module, "LOADERS", {})
