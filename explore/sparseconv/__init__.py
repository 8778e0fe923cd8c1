"""Sparse-activation convolution: the published formats of maps with many zeros, array by array, and
compiled."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "formats.density_bounds": ["density_bound"],
        "config": ["DensityConfig"],
        "networks.comparison": ["agreement"],
        "networks.convert": ["convert"],
        "networks.sparse_module": ["SparseConv2d"],
        "formats.cps_stream": ["CPSStream", "encode_cps_stream"],
        "networks.density": ["activation_density"],
        "formats.base": ["Encoding"],
        "encoding": ["encode"],
        "formats.geometry": ["Geometry"],
        "convolution": ["Layer", "conv2d", "prepare"],
        "_compiled.products": ["multiply"],
        "networks.autotune": ["select"],
        "networks.tuning_result": ["Selection"],
        "networks.survey": ["DensityRun", "load_network"],
    },
)
