"""Import PyTorch Geometric, which takes seconds and warns about its own use of PyTorch."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

from explore.errors import DependencyMissing


def import_pyg(module: str) -> Any:
    """Return a module of PyTorch Geometric, such as ``"nn"``.

    Its import with a new PyTorch prints a FutureWarning that a reader can do nothing about.

    Raises:
        DependencyMissing: it is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            return import_module(f"torch_geometric.{module}")
        except ImportError as error:
            raise DependencyMissing(
                f"PyTorch Geometric cannot be imported ({error}): pip install torch-geometric"
            ) from error
