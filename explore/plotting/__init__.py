"""Pictures of Datasets that are built once and then updated, and their export to files."""

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
