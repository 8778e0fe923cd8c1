"""Sparse-activation convolution: the published formats of maps with many zeros, array by array, and compiled."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "bounds": ["density_bound"],
        "convolution": ["conv2d", "encode"],
        "cps_stream": ["CPSStream", "encode_cps_stream"],
        "encoding": ["Encoding"],
        "geometry": ["Geometry"],
        "products": ["multiply"],
    },
)
