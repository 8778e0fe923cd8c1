"""Compute and show what papers on distillation, graphs, mixtures and sparse convolution say."""

from pkgutil import iter_modules

import lazy_loader

__version__ = "0.1.0"

_PACKAGES = {module.name for module in iter_modules(__path__) if module.name[0] != "_"} - {"cli"}

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=_PACKAGES,
    submod_attrs={
        "core": ["registry"],
        "core.recording": ["open_recording", "pack"],
        "core.registry": ["build"],
        "core.record": ["record"],
        "core.runs": ["BaseRun", "Run"],
    },
)
