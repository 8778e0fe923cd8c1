"""Pictures of Datasets that are built once and then updated, and their export to files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "export": ["save", "write_html"],
        "figure_files": ["save_figure"],
        "mosaic": ["mosaic", "where"],
        "picture": ["Picture", "Target"],
        "print_layout": ["PrintLayout", "parse_width"],
        "style": ["PALETTE", "SEQUENTIAL", "STYLE"],
    },
)
