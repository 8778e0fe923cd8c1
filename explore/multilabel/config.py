"""Options of multi-label trainings and studies. No torch."""

from __future__ import annotations

OVERLAP_NAMES = ("jaccard", "dice", "overlap", "recall", "cosine")
CORRELATION_NAMES = ("outside", "inside", "none")
KERNEL_COVARIANCES = ("isotropic", "anisotropic")
DENSITY_COVARIANCES = ("isotropic", "diagonal")
SIMILARITY_NAMES = ("product", "matched")
