"""Gaussian mixtures: closed-form distances, and reduction by ten methods, merge by merge. NumPy float64, no torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "distances": [
            "cauchy_schwarz",
            "distance",
            "distance_matrix",
            "gram_log",
            "inner_log",
            "ise",
            "kl_divergence",
            "nise",
            "pdf_angle",
            "pdf_chord",
        ],
        "examples": ["load_mixture"],
        "reduction.gradients": ["gradient"],
        "reduction.run": ["ReduceRun", "Reduction", "reduce"],
        "mixture": ["GaussianMixture"],
        "modes": ["modes"],
        "components": ["merge_moments"],
        "reduction.refine": ["best_weights"],
        "pair_costs": ["score_pairs"],
        "error_metrics": ["Yardstick"],
    },
)
