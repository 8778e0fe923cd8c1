"""Widgets that know no method: a picture with live alternative text, controls linked to state, a job in a thread."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "controls": ["Button", "Choice", "Slider"],
        "explorer": ["Explorer"],
        "job": ["Job"],
        "view": ["FigureView"],
    },
)
