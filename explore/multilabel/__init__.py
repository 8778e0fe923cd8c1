"""Multi-label contrastive learning: losses, mixtures, trainings, studies and metrics."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "classification": ["asymmetric_loss", "focal_loss"],
        "contrast": ["Contrast", "multisupcon_loss", "mulsupcon_loss", "pair_contrast"],
        "kernel_mixture": [
            "KernelMixture",
            "KernelMixtureHead",
            "kernel_exponents",
            "kernel_reconstruction",
        ],
        "kmcl": ["kernel_contrast", "kmcl_loss"],
        "metrics": ["average_precision", "choose_threshold", "multilabel_report"],
        "mixture_density": [
            "DensityMixture",
            "MixtureDensityHead",
            "log_mixture_similarity",
            "mixture_similarity",
            "mixture_uncertainty",
        ],
        "probmcl": ["probmcl_loss"],
        "overlap": ["label_overlap", "positive_pairs"],
        "points_table": ["points_table"],
        "run": ["MultilabelRun", "train"],
        "similarity": ["component_similarity"],
        "study_tables": ["table"],
    },
)
