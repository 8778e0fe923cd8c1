"""Widgets for all methods: a picture with alternative text, controls, and a job in a thread."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "controls": ["Button", "Choice", "MultiChoice", "Slider"],
        "explorer": ["Explorer"],
        "job": ["Job"],
        "prediction": ["Prediction"],
        "view": ["FigureView"],
    },
)
