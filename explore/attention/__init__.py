"""Attention maps: where, and in which channels, a feature map is active."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "maps": ["channel_attention", "spatial_attention"],
        "power_sums": ["PowerSums", "power_sums"],
    },
)
