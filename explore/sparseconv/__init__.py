"""Sparse-activation convolution: the published formats of maps with many zeros, array by array, and compiled."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "bounds": ["density_bound"],
        "config": ["DensityConfig"],
        "conversion": ["SparseConv2d", "agreement", "convert"],
        "cps_stream": ["CPSStream", "encode_cps_stream"],
        "density": ["activation_density"],
        "encoding": ["Encoding"],
        "formats": ["encode"],
        "geometry": ["Geometry"],
        "layer": ["Layer", "conv2d", "prepare"],
        "networks": ["load_network"],
        "products": ["multiply"],
        "selecting": ["select"],
        "selection": ["Selection"],
        "survey": ["DensityRun"],
    },
)
