"""Pictures: pure functions of a Dataset, built once and updated in place, exported to any format."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "export": ["save", "save_figure", "write_html"],
        "mosaic": ["mosaic", "where"],
        "picture": ["Picture", "Target"],
        "style": ["PALETTE", "SEQUENTIAL", "STYLE"],
    },
)
