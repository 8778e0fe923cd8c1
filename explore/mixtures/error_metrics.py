"""Error metrics of a reduced mixture; no single one shows every kind of loss."""

from __future__ import annotations

import numpy as np

from explore.core.validation import check_seed, check_whole_number
from explore.errors import InvalidInput
from explore.mixtures._gaussian import quiet
from explore.mixtures.distances import CLOSED_FORM_DISTANCES
from explore.mixtures.divergence import mean_log_ratio
from explore.mixtures.inner_products import check_mixture, check_pair, inner_log, inner_products
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.modes import modes

MAX_INTEGRATED = 100
"""In 1-D and up to this many components, the KL divergence is integrated instead of sampled."""


class Yardstick:
    """Error metrics against one original; what depends on the original alone is computed once.

    Args:
        original: f.
        draws: number of samples of f for the KL divergence. All mixtures are measured at the same
            samples, so that their differences are more accurate than each value. In one dimension
            the divergence is integrated on a fine grid (see ``MAX_INTEGRATED``).
        seed: of the samples.

    Example:
        >>> f = GaussianMixture([0.5, 0.5], [-1.0, 1.0], [0.1, 0.1])
        >>> errors = Yardstick(f).measure(GaussianMixture([1.0], [0.0], [1.1]))
        >>> round(errors["angle"], 3), errors["peaks"], abs(errors["mean_error"]) < 1e-12
        (0.805, 1.0, True)
    """

    @quiet
    def __init__(self, original: GaussianMixture, draws: int = 10_000, seed: int = 0) -> None:
        check_mixture("original", original)
        draws, seed = check_whole_number("draws", draws, at_least=2), check_seed(seed)
        self.original = original
        self._norm = inner_log(original, original)
        self._mass: np.ndarray | None = None
        if original.dimension == 1 and len(original) <= MAX_INTEGRATED:
            deviations = np.sqrt(original.covariances[:, :, 0])
            self._points = np.unique(original.means + deviations * np.linspace(-9, 9, 721))
            width = np.gradient(self._points)
            width[[0, -1]] *= 0.5  # This is the trapezoidal rule.
            self._mass = width * original.pdf(self._points)
        else:
            self._points = original.sample(draws, seed)
        self._log_f = original.log_pdf(self._points)
        self._whitening = np.linalg.inv(original.covariance_factor)

    @quiet
    def measure(self, g: GaussianMixture) -> dict[str, float]:
        """Compute all ``ERROR_METRICS`` of ``g``."""
        f, whitening = self.original, self._whitening
        products = inner_products(f, g, self._norm)
        errors = {
            name: CLOSED_FORM_DISTANCES[name.replace("_", "-")](f, g, products)
            for name in ("angle", "ise", "nise", "cauchy_schwarz")
        }
        errors["kl"], errors["kl_error"] = self.divergence(g)
        change = whitening @ (g.covariance - f.covariance) @ whitening.T
        errors["mean_error"] = float(np.linalg.norm(whitening @ (g.mean - f.mean)))
        errors["covariance_error"] = float(np.linalg.norm(change))
        errors["peaks"] = float(len(modes(g)))
        if wrong := [name for name, error in errors.items() if not np.isfinite(error)]:
            raise InvalidInput(
                f"the {', '.join(wrong)} of these mixtures is larger than any number; choose "
                "another unit"
            )
        return errors

    @quiet
    def divergence(self, g: GaussianMixture) -> tuple[float, float]:
        """Compute ``KL(original‖g)`` in nats, and its standard error (0 where it is integrated)."""
        check_pair(self.original, g)
        log_ratios = self._log_f - g.log_pdf(self._points)
        if self._mass is None:
            return mean_log_ratio(log_ratios)
        positive = self._mass > 0
        return float(self._mass[positive] @ log_ratios[positive]), 0.0
