"""Gaussian mixtures: closed-form distances and reduction by ten methods, without PyTorch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "merging": ["merge_moments"],
        "distances": [
            "cauchy_schwarz",
            "distance",
            "distance_matrix",
            "ise",
            "nise",
            "pdf_angle",
            "pdf_chord",
        ],
        "divergence": ["kl_divergence"],
        "error_metrics": ["Yardstick"],
        "examples": ["load_mixture"],
        "inner_products": ["gram_log", "inner_log"],
        "mixture": ["GaussianMixture"],
        "modes": ["modes"],
        "pair_costs": ["score_pairs"],
        "reduction.gradients": ["gradient"],
        "reduction.refine": ["best_weights"],
        "reduction.result": ["Reduction"],
        "reduction.run": ["ReduceRun", "reduce"],
    },
)
