"""Compute and show what papers on distillation, Gaussian mixtures and sparse convolution describe."""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "attention",
        "core",
        "coresets",
        "data",
        "distill",
        "errors",
        "mixtures",
        "models",
        "plotting",
        "sparseconv",
        "subclass",
        "sweep",
        "widgets",
    ],
    submod_attrs={
        "core": ["registry"],
        "core.recording": ["open_recording", "pack"],
        "core.registry": ["build"],
        "core.record": ["record"],
        "core.runs": ["BaseRun", "Run"],
    },
)
