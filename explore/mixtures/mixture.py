"""GaussianMixture: validated, immutable weights, means and covariances."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from explore.core.validation import check_whole_number
from explore.errors import InvalidInput
from explore.mixtures._gaussian import LOG_2PI, log_sum_exp, quiet, symmetric
from explore.mixtures._validation import (
    as_generator,
    finite_array,
    number_array,
    validate_covariances,
    validate_weights,
)

MAX_SAMPLED = 10**9
"""The most numbers that are drawn at once."""

BLOCK_SIZE = 300_000
"""Numbers in a block of points whose densities are computed together."""


@dataclass(frozen=True, eq=False, repr=False, init=False)
class GaussianMixture:
    """A density ``Σ w_i N(x; μ_i, Σ_i)`` with read-only float64 arrays.

    Args:
        weights: ``[n]``, not negative, with sum one but for the rounding of their type.
        means: ``[n, d]``, or ``[n]`` in one dimension.
        covariances: ``[n, d, d]``, or ``[n, d]`` (diagonals), or ``[n]`` (one variance each). The
            symmetric part is used of those that are asymmetric by less than 1e-5 of their largest
            entry; above 1e-8 with a warning, unless they are float32.
        normalize: divide the weights by their sum.
        jitter: where a covariance is not positive definite, add this fraction of its mean variance
            to its diagonal, ten times as much if that is not enough, up to 1e-4; with a warning.
            Off by default.

    Raises:
        InvalidInput: a weight is negative, the sum is not one, a value is NaN, infinite, masked or
            complex, the shapes do not fit, or a covariance is asymmetric or not positive definite;
            the message names the component.

    Arrays, lists, tables and tensors (also those that need gradients) are accepted. The first axis
    is always that of the components, in contrast to MATLAB.

    Example:
        >>> mixture = GaussianMixture([0.5, 0.5], [-1.0, 1.0], [0.1, 0.2])
        >>> mixture
        GaussianMixture(2 components in 1 dimension)
        >>> mixture.mean, mixture.covariance
        (array([0.]), array([[1.15]]))
        >>> mixture.pdf([0.0]).round(4)
        array([0.0409])
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    @quiet
    def __init__(
        self,
        weights: ArrayLike | Any,
        means: ArrayLike | Any,
        covariances: ArrayLike | Any,
        normalize: bool = False,
        jitter: float = 0.0,
    ) -> None:
        points = finite_array("means", means)
        points = points[:, None] if points.ndim == 1 else points
        if points.ndim != 2 or 0 in points.shape:
            raise InvalidInput(
                f"means must be [n, d] or [n] with n, d ≥ 1, got shape {np.shape(means)}"
            )
        n, d = points.shape
        self._set_arrays(
            validate_weights(weights, n, normalize),
            points,
            validate_covariances(covariances, n, d, jitter),
        )

    def _set_arrays(self, *arrays: np.ndarray) -> None:
        for name, array in zip(("weights", "means", "covariances"), arrays, strict=True):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @classmethod
    def _unchecked(
        cls,
        weights: np.ndarray,
        means: np.ndarray,
        covariances: np.ndarray,
        origin: Mapping[str, Any] | None = None,
    ) -> GaussianMixture:
        """Build a mixture from valid arrays without validating them."""
        mixture = object.__new__(cls)
        mixture._set_arrays(weights, means, covariances)
        object.__setattr__(mixture, "_origin", dict(origin or {}))
        return mixture

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and unpickled mixtures are read-only too."""
        return type(self)._unchecked, (self.weights, self.means, self.covariances, self.origin)

    @property
    def origin(self) -> dict[str, Any]:
        """Name and options of the ``load_mixture`` call behind this mixture; empty for others."""
        return dict(self.__dict__.get("_origin", {}))

    def with_origin(self, name: str, **options: Any) -> GaussianMixture:
        """Return the same mixture with the name and options that ``load_mixture`` built it from."""
        origin = {"name": name, "options": options}
        return GaussianMixture._unchecked(self.weights, self.means, self.covariances, origin)

    def __len__(self) -> int:
        return len(self.weights)

    def __repr__(self) -> str:
        n, d = self.means.shape
        return f"GaussianMixture({n} component{'s'[: n > 1]} in {d} dimension{'s'[: d > 1]})"

    @property
    def dimension(self) -> int:
        """d, the number of dimensions."""
        return self.means.shape[1]

    @cached_property
    @quiet
    def mean(self) -> np.ndarray:
        """Mean of the density, ``[d]``."""
        return self.weights @ self.means

    @cached_property
    @quiet
    def covariance(self) -> np.ndarray:
        """Covariance of the density, ``[d, d]``.

        Raises:
            InvalidInput: it is larger than any number.
        """
        centred = self.means - self.mean
        covariance: np.ndarray = (
            np.tensordot(self.weights, self.covariances, 1) + (centred.T * self.weights) @ centred
        )
        if not np.isfinite(covariance).all():
            raise InvalidInput(
                f"the means of this mixture, up to {np.abs(self.means).max():.3g}, have squares "
                "that are larger than any number; choose a larger unit"
            )
        return covariance

    @cached_property
    @quiet
    def covariance_factor(self) -> np.ndarray:
        """Lower Cholesky factor of the covariance of the density, ``[d, d]``.

        Raises:
            InvalidInput: the covariance is too large, or singular but for rounding.
        """
        try:
            return np.linalg.cholesky(self.covariance)
        except np.linalg.LinAlgError:
            raise InvalidInput(
                "the covariance of this mixture is singular but for rounding: it is spread much "
                "farther along one direction than along another; scale or rotate the axes, or "
                "leave one out"
            ) from None

    @cached_property
    @quiet
    def factors(self) -> np.ndarray:
        """Lower Cholesky factors of the covariances, ``[n, d, d]``."""
        return np.linalg.cholesky(self.covariances)

    @cached_property
    @quiet
    def _whitening(self) -> tuple[np.ndarray, np.ndarray]:
        """Inverse factors ``[n, d, d]``, and logs of the weighted normalising constants ``[n]``."""
        # Inverting a factor is safe: it is triangular and no worse conditioned than a deviation.
        inverse = np.linalg.inv(self.factors)
        with np.errstate(divide="ignore"):
            log_constants = (
                np.log(self.weights)
                + np.log(np.diagonal(inverse, axis1=1, axis2=2)).sum(1)
                - 0.5 * self.dimension * LOG_2PI
            )
        return inverse, log_constants

    @quiet
    def log_pdf(self, x: Any) -> np.ndarray:
        """Compute the log density.

        Args:
            x: points ``[..., d]``; in one dimension ``[...]`` too (a vector is always many points).
                An array, a list, a table or a tensor.

        Returns:
            ``[...]``; minus infinity where it is below the least number.

        Raises:
            InvalidInput: the points have another dimension, or are masked, NaN or no real numbers.
        """
        points = number_array("points", x).astype(np.float64, copy=False)
        n, d = self.means.shape
        if d == 1 and (points.ndim < 2 or points.shape[-1] != 1):
            points = points[..., None]
        if points.ndim == 0 or points.shape[-1] != d:
            raise InvalidInput(
                f"points must be [..., {d}] for this mixture, got shape {np.shape(points)}"
            )
        flat = points.reshape(-1, d)
        inverse, log_constants = self._whitening
        logs = np.empty(len(flat))
        for start in range(0, len(flat), size := max(1, BLOCK_SIZE // (n * d))):
            block = flat[start : start + size]
            differences = block.T[None] - self.means[:, :, None]  # [n, d, points]
            if d > 3:
                squares = ((inverse @ differences) ** 2).sum(1)
            else:  # For such small matrices, row by row is faster than a matrix product.
                squares = np.zeros((n, len(block)))
                for row in range(d):
                    terms = (inverse[:, row, k, None] * differences[:, k] for k in range(row + 1))
                    squares += sum(terms) ** 2
            logs[start : start + size] = log_sum_exp(log_constants[:, None] - 0.5 * squares, 0)
        if len(bad := np.flatnonzero(np.isnan(logs))):
            raise InvalidInput(
                f"points must be finite and near the mixture, in units of its deviations; row "
                f"{int(bad[0])} is {flat[bad[0]].tolist()}"
            )
        return logs.reshape(points.shape[:-1])

    @quiet
    def pdf(self, x: Any) -> np.ndarray:
        """Compute the density at points ``[..., d]`` (in 1-D ``[...]`` too), as ``[...]``."""
        return np.exp(self.log_pdf(x))

    @quiet
    def sample(self, count: int, rng: Any = 0) -> np.ndarray:
        """Draw ``[count, d]`` points.

        Args:
            count: number of points, up to a billion numbers in all.
            rng: a generator of NumPy or a seed.

        Raises:
            InvalidInput: ``count`` is not a whole number of at least 0, or ``rng`` something else.
        """
        count = check_whole_number("count", count, at_least=0)
        check_whole_number("count", count, at_most=MAX_SAMPLED // self.dimension)
        generator = as_generator(rng)
        components = generator.choice(len(self), count, p=self.weights)
        noise = generator.standard_normal((count, self.dimension))
        return self.means[components] + np.einsum("nij,nj->ni", self.factors[components], noise)

    @quiet
    def affine(self, matrix: Any, shift: Any = 0.0) -> GaussianMixture:
        """Return the density of ``matrix @ x + shift``.

        Args:
            matrix: ``[k, d]`` of rank k; k < d projects.
            shift: ``[k]``.

        Raises:
            InvalidInput: the matrix has another shape or a lower rank, or the shift another length.
        """
        a = np.atleast_2d(finite_array("matrix", matrix))
        # Axes may have any unit, so the rank is that of rows of equal size.
        scale = np.abs(a).max(-1, keepdims=True, initial=0.0)
        if (
            a.ndim != 2
            or a.shape[1] != self.dimension
            or not a.size
            or not scale.all()
            or np.linalg.matrix_rank(a / scale) < len(a)
        ):
            raise InvalidInput(
                f"matrix must be [k, {self.dimension}] with independent rows, got shape {a.shape}"
            )
        b = finite_array("shift", shift)
        if b.shape not in ((), (len(a),)):
            raise InvalidInput(f"shift must be [{len(a)}] for this matrix, got shape {b.shape}")
        return GaussianMixture(
            self.weights, self.means @ a.T + b, symmetric(a @ self.covariances @ a.T)
        )

    @classmethod
    def from_sklearn(cls, model: Any, jitter: float = 0.0) -> GaussianMixture:
        """Convert a fitted scikit-learn ``GaussianMixture`` or ``BayesianGaussianMixture``.

        Args:
            model: fitted, with covariances of any type.
            jitter: as for a mixture.

        Raises:
            InvalidInput: something else, such as a pipeline; or a model that is not fitted.

        Example:
            >>> from sklearn.datasets import load_iris
            >>> from sklearn.mixture import GaussianMixture as Fitted
            >>> GaussianMixture.from_sklearn(Fitted(3, random_state=0).fit(load_iris().data))
            GaussianMixture(3 components in 4 dimensions)
        """
        from explore.mixtures._conversions import arrays_of_sklearn

        return cls(*arrays_of_sklearn(model), normalize=True, jitter=jitter)

    @quiet
    def to_sklearn(self) -> Any:
        """Convert to a ``sklearn.mixture.GaussianMixture`` that is ready to predict and sample.

        Its covariances are "full", so that its number of free parameters, and with it AIC and BIC,
        are those of full covariances.
        """
        from explore.mixtures._conversions import to_sklearn

        inverse, _ = self._whitening
        return to_sklearn(self.weights, self.means, self.covariances, inverse)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the three arrays as ``.npz``; missing folders are made.

        Raises:
            InvalidInput: no path.
            RecordingFailed: the file cannot be written.
        """
        from explore.mixtures._conversions import write_npz

        write_npz(path, weights=self.weights, means=self.means, covariances=self.covariances)

    @classmethod
    def load(cls, path: str | os.PathLike[str], normalize: bool = False) -> GaussianMixture:
        """Read a file of ``save``, or any ``.npz`` with ``weights``, ``means`` and ``covariances``.

        Raises:
            DataMissing: there is no such file.
            InvalidInput: the file has another format or does not hold a valid mixture.
        """
        from explore.mixtures._conversions import read_npz

        weights, means, covariances = read_npz(path, ("weights", "means", "covariances"))
        return cls(weights, means, covariances, normalize=normalize)
