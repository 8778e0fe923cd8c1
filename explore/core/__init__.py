"""Recordings, runs, configurations, the registry of methods, and results of recordings."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["compare", "recording", "registry", "reproduce", "runs", "statistics", "tables"],
)
