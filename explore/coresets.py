"""Coresets by their public name: ``select`` of ``explore.data.coresets``."""

from explore.data.coresets import select

__all__ = ["select"]
