"""Activation areas: how much of an image a network uses, and the complexity of a data set."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "complexity": ["ComplexityRun"],
        "config": ["AreasConfig", "ComplexityConfig"],
        "evolution": ["AreasRun"],
    },
)
