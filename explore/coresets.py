"""Coresets by their public name: ``explore.coresets.select`` is ``explore.data.coresets.select``."""

from explore.data.coresets import select

__all__ = ["select"]
