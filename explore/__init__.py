"""explore: see, and use, what ten papers on distillation, attention, mixtures and sparsity compute."""

import lazy_loader

from explore import compiled_cache

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "attention",
        "coresets",
        "data",
        "distill",
        "errors",
        "mixtures",
        "models",
        "plotting",
        "registry",
        "subclass",
        "widgets",
    ],
    submod_attrs={
        "recording": ["open_recording", "pack"],
        "registry": ["build"],
        "runs": ["Run", "record"],
    },
)

compiled_cache.ensure()
