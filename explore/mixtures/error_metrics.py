"""How far a reduced mixture is from the original, by every measure side by side, none of which tells all."""

from __future__ import annotations

import numpy as np

from explore.mixtures.distances import KINDS, divergence_of, inner_log, overlap
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.modes import modes

MEASURES = {
    "angle": ("angle in L2", "rad"),
    "ise": ("integrated squared error", "1 / volume"),
    "nise": ("normalised integrated squared error", "1"),
    "cauchy_schwarz": ("Cauchy–Schwarz divergence", "nat"),
    "kl": ("Kullback–Leibler divergence from the original", "nat"),
    "kl_error": ("standard error of it; 0 where it was integrated", "nat"),
    "mean_error": ("how far the mean moved, in standard deviations of the original", "1"),
    "covariance_error": (
        "Frobenius norm of the change of covariance, in units of the original's",
        "1",
    ),
    "peaks": ("local maxima of the density", "1"),
}
"""What ``measure`` returns: long name and unit."""


ON_A_LINE = 100
"""In one dimension and up to so many components the KL divergence is integrated, not sampled."""


class Yardstick:
    """Measures mixtures against one original; what concerns the original alone is computed once.

    Args:
        original: f.
        draws: points of f that the KL divergence is averaged over, the same for every mixture, so that their
            differences are surer than each. In one dimension it is integrated on a fine grid (see ``ON_A_LINE``).
        seed: of the draws.

    Example:
        >>> f = GaussianMixture([0.5, 0.5], [-1.0, 1.0], [0.1, 0.1])
        >>> found = Yardstick(f).measure(GaussianMixture([1.0], [0.0], [1.1]))
        >>> round(found["angle"], 3), found["peaks"], abs(found["mean_error"]) < 1e-12
        (0.805, 1.0, True)
    """

    def __init__(self, original: GaussianMixture, draws: int = 10_000, seed: int = 0) -> None:
        self.original = original
        self._own = inner_log(original, original)
        self._mass: np.ndarray | None = None
        if original.dimension == 1 and len(original) <= ON_A_LINE:
            spread = np.sqrt(original.covariances[:, :, 0])
            self._points = np.unique(original.means + spread * np.linspace(-9, 9, 721))
            width = np.gradient(self._points)
            width[[0, -1]] *= 0.5  # the trapezoidal rule
            self._mass = width * original.pdf(self._points)
        else:
            self._points = original.sample(draws, seed)
        self._log_f = original.log_pdf(self._points)
        self._inverse = np.linalg.inv(np.linalg.cholesky(original.covariance))

    def measure(self, g: GaussianMixture) -> dict[str, float]:
        """Every one of ``MEASURES``, of ``g``."""
        f, products = self.original, overlap(self.original, g, self._own)
        found = {
            name: KINDS[name.replace("_", "-")](f, g, products)
            for name in ("angle", "ise", "nise", "cauchy_schwarz")
        }
        found["kl"], found["kl_error"] = self.divergence(g)
        found["mean_error"] = float(np.linalg.norm(self._inverse @ (g.mean - f.mean)))
        found["covariance_error"] = float(
            np.linalg.norm(self._inverse @ (g.covariance - f.covariance) @ self._inverse.T)
        )
        found["peaks"] = float(len(modes(g)))
        return found

    def divergence(self, g: GaussianMixture) -> tuple[float, float]:
        """``KL(original‖g)`` in nats, and its standard error (0 where it was integrated)."""
        surplus = self._log_f - g.log_pdf(self._points)
        if self._mass is None:
            return divergence_of(surplus)
        felt = self._mass > 0
        return float(self._mass[felt] @ surplus[felt]), 0.0
