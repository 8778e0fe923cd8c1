"""Import PyTorch Geometric, which takes seconds and warns about its own use of PyTorch."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any


def import_pyg(module: str) -> Any:
    """Return a module of PyTorch Geometric, such as ``"nn"``.

    Its import with a new PyTorch prints a FutureWarning that a reader can do nothing about.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return import_module(f"torch_geometric.{module}")
