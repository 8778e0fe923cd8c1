"""Where a network is active: spatial and channel attention, and class activation maps."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "class_maps": ["ActivationMapper", "ClassMaps", "gradcam"],
        "faithfulness": [
            "deletion_curve",
            "insertion_curve",
            "randomization_check",
            "randomized",
        ],
        "localization": ["activation_area", "mass_inside", "overlap", "pointing_game"],
        "maps": ["channel_attention", "spatial_attention"],
        "power_sums": ["PowerSums", "power_sums"],
        "receptive_field": ["receptive_field"],
    },
)
