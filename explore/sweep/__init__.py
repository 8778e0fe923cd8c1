"""Sweeps: record many configurations at once, on this machine or on a Dask cluster."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"scheduler": ["connect", "run"], "plan": ["plan", "read"]},
)
