"""GaussianMixture: weights, means and covariances, checked once and never changed."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from explore.errors import DataMissing, ExploreWarning, InvalidInput

SUM_TOLERANCE = 1e-6
"""Weights may miss a sum of one by this much (what float32 leaves); they are then divided by it."""

SYMMETRY = 1e-8
"""Covariances may be asymmetric by this part of their largest entry; they are then made symmetric."""

JITTER_GROWTH, JITTER_MOST = 10.0, 1e-4
LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True, eq=False, repr=False, init=False)
class GaussianMixture:
    """A density ``Σ w_i N(x; μ_i, Σ_i)``; frozen float64 arrays.

    Args:
        weights: ``[n]``, not negative, with sum one.
        means: ``[n, d]``, or ``[n]`` in one dimension.
        covariances: ``[n, d, d]``, or ``[n, d]`` variances (diagonal), or ``[n]`` (one variance for every axis).
        normalize: divide weights of another sum by it.
        jitter: add this part of a covariance's mean variance to its diagonal where it is not positive
            definite, ten times as much if that is not enough, up to 1e-4; with a warning. Off by default.

    Raises:
        InvalidInput: a weight is negative, the sum is not one, something is NaN or infinite, shapes do not
            fit, or a covariance is asymmetric or not positive definite; the message names the component.

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

    def __init__(
        self,
        weights: ArrayLike,
        means: ArrayLike,
        covariances: ArrayLike,
        normalize: bool = False,
        jitter: float = 0.0,
    ) -> None:
        places = _floats("means", means)
        places = places[:, None] if places.ndim == 1 else places
        if places.ndim != 2 or 0 in places.shape:
            raise InvalidInput(
                f"means must be [n, d] or [n] with n, d ≥ 1, got shape {np.shape(means)}"
            )
        n, d = places.shape
        self._keep(_weights(weights, n, normalize), places, _covariances(covariances, n, d, jitter))

    def _keep(self, *arrays: np.ndarray) -> None:
        for name, array in zip(("weights", "means", "covariances"), arrays, strict=True):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @classmethod
    def trusted(
        cls, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray
    ) -> GaussianMixture:
        """A mixture of arrays that are known to be right (``[n]``, ``[n, d]``, ``[n, d, d]``, float64), taken without a look."""
        mixture = object.__new__(cls)
        mixture._keep(weights, means, covariances)
        return mixture

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and what comes out of a pickle are frozen too."""
        return _again, (self.weights, self.means, self.covariances, self.origin)

    @property
    def origin(self) -> dict[str, Any]:
        """The name and options that ``load_mixture`` made it from; empty for others."""
        return dict(self.__dict__.get("_origin", {}))

    def named(self, name: str, **options: Any) -> GaussianMixture:
        """The same mixture, which knows where it came from."""
        mixture = GaussianMixture.trusted(self.weights, self.means, self.covariances)
        object.__setattr__(mixture, "_origin", {"name": name, "options": options})
        return mixture

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
    def mean(self) -> np.ndarray:
        """Of the whole density, ``[d]``."""
        return self.weights @ self.means

    @cached_property
    def covariance(self) -> np.ndarray:
        """Of the whole density, ``[d, d]``."""
        around = self.means - self.mean
        return np.tensordot(self.weights, self.covariances, 1) + (around.T * self.weights) @ around

    @cached_property
    def factors(self) -> np.ndarray:
        """Lower Cholesky factors of the covariances, ``[n, d, d]``."""
        return np.linalg.cholesky(self.covariances)

    @cached_property
    def _whitening(self) -> tuple[np.ndarray, np.ndarray]:
        """Inverse factors ``[n, d, d]``, and the log of what stands before each component's exponential, weight included."""
        inverse = np.linalg.inv(
            self.factors
        )  # triangular and at worst as ill-conditioned as a standard deviation
        with np.errstate(divide="ignore"):
            before = (
                np.log(self.weights)
                + np.log(np.diagonal(inverse, axis1=1, axis2=2)).sum(1)
                - 0.5 * self.dimension * LOG_2PI
            )
        return inverse, before

    def log_pdf(self, x: Any) -> np.ndarray:
        """Log density.

        Args:
            x: points ``[..., d]``; in one dimension ``[...]`` too (a vector is always many points).

        Returns:
            ``[...]``.

        Raises:
            InvalidInput: the points have another dimension.
        """
        points = np.asarray(x, float)
        n, d = self.means.shape
        if d == 1 and (points.ndim < 2 or points.shape[-1] != 1):
            points = points[..., None]
        if points.ndim == 0 or points.shape[-1] != d:
            raise InvalidInput(
                f"points must be [..., {d}] for this mixture, got shape {np.shape(x)}"
            )
        flat, shape = points.reshape(-1, d), points.shape[:-1]
        inverse, before = self._whitening
        found = np.empty(len(flat))
        for start in range(0, len(flat), size := max(1, 300_000 // (n * d))):
            part = flat[start : start + size]
            away = part.T[None] - self.means[:, :, None]  # [n, d, points]
            if d > 3:
                squares = ((inverse @ away) ** 2).sum(1)
            else:  # row by row: such small matrices are not worth a product
                squares = np.zeros((n, len(part)))
                for row in range(d):
                    squares += (
                        sum(inverse[:, row, k, None] * away[:, k] for k in range(row + 1)) ** 2
                    )
            found[start : start + size] = log_sum_exp(before[:, None] - 0.5 * squares, 0)
        return found.reshape(shape)

    def pdf(self, x: Any) -> np.ndarray:
        """Density at points ``[..., d]`` (in one dimension ``[...]`` too), as ``[...]``."""
        return np.exp(self.log_pdf(x))

    def sample(self, count: int, rng: int | np.random.Generator = 0) -> np.ndarray:
        """Draws ``[count, d]``; ``rng`` is a generator or a seed.

        Raises:
            InvalidInput: ``count`` is no whole number ≥ 0.
        """
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0:
            raise InvalidInput(f"count must be a whole number ≥ 0, got {count!r}")
        generator = np.random.default_rng(rng)
        which = generator.choice(len(self), count, p=self.weights)
        noise = generator.standard_normal((count, self.dimension))
        return self.means[which] + np.einsum("nij,nj->ni", self.factors[which], noise)

    def affine(self, matrix: Any, shift: Any = 0.0) -> GaussianMixture:
        """The density of ``matrix @ x + shift``.

        Args:
            matrix: ``[k, d]`` of rank k; k < d projects.
            shift: ``[k]``.

        Raises:
            InvalidInput: the matrix does not fit, or has a lower rank.
        """
        a = np.atleast_2d(_floats("matrix", matrix))
        rows = np.abs(a).max(-1, keepdims=True)  # units of each new axis, which may be of any size
        if (
            a.ndim != 2
            or a.shape[1] != self.dimension
            or not rows.all()
            or np.linalg.matrix_rank(a / rows) < len(a)
        ):
            raise InvalidInput(
                f"matrix must be [k, {self.dimension}] with independent rows, got shape {a.shape}"
            )
        b = _floats("shift", shift)
        if b.shape not in ((), (len(a),)):
            raise InvalidInput(f"shift must be [{len(a)}] for this matrix, got shape {b.shape}")
        return GaussianMixture(
            self.weights, self.means @ a.T + b, symmetric(a @ self.covariances @ a.T)
        )

    @classmethod
    def from_sklearn(cls, model: Any) -> GaussianMixture:
        """From a fitted ``sklearn.mixture.GaussianMixture`` (or ``BayesianGaussianMixture``) of any covariance type.

        Example:
            >>> from sklearn.datasets import load_iris
            >>> from sklearn.mixture import GaussianMixture as Fitted
            >>> GaussianMixture.from_sklearn(Fitted(3, random_state=0).fit(load_iris().data))
            GaussianMixture(3 components in 4 dimensions)
        """
        if not hasattr(model, "covariances_"):
            raise InvalidInput(
                f"expected a fitted scikit-learn mixture, got {type(model).__name__} without covariances_"
            )
        covariances = np.asarray(model.covariances_, float)
        if covariances.ndim > 1 and model.covariance_type in ("full", "tied"):
            covariances = symmetric(
                covariances
            )  # models fitted in float32 are asymmetric by its rounding
        if model.covariance_type == "tied":
            covariances = np.repeat(covariances[None], len(model.weights_), 0)
        return cls(np.asarray(model.weights_, float), model.means_, covariances, normalize=True)

    def to_sklearn(self) -> Any:
        """A ``sklearn.mixture.GaussianMixture`` with these parameters, ready to ``predict``, ``score`` and ``sample``."""
        from sklearn.mixture import GaussianMixture as Fitted

        model = Fitted(len(self), covariance_type="full")
        model.weights_, model.means_, model.covariances_ = (
            self.weights.copy(),
            self.means.copy(),
            self.covariances.copy(),
        )
        model.precisions_cholesky_ = np.transpose(self._whitening[0], (0, 2, 1)).copy()
        model.precisions_ = model.precisions_cholesky_ @ np.transpose(
            model.precisions_cholesky_, (0, 2, 1)
        )
        model.converged_, model.n_iter_, model.n_features_in_ = True, 0, self.dimension
        return model

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the three arrays as ``.npz``."""
        with open(path, "wb") as file:  # noqa: PTH123 - savez would add a suffix to a path
            np.savez(file, weights=self.weights, means=self.means, covariances=self.covariances)

    @classmethod
    def load(cls, path: str | os.PathLike[str], normalize: bool = False) -> GaussianMixture:
        """Read what ``save`` wrote, or any ``.npz`` with ``weights``, ``means`` and ``covariances``.

        Raises:
            DataMissing: there is no such file.
            InvalidInput: it is not such a file, or holds no valid mixture.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = [file[name] for name in ("weights", "means", "covariances")]
        except FileNotFoundError as error:
            raise DataMissing(f"no mixture at {path}") from error
        except Exception as error:  # a wrong file fails in many ways
            raise InvalidInput(
                f"{path} must be an .npz with weights, means and covariances: {error}"
            ) from error
        return cls(arrays[0], arrays[1], arrays[2], normalize=normalize)


def _again(
    weights: np.ndarray, means: np.ndarray, covariances: np.ndarray, origin: dict[str, Any]
) -> GaussianMixture:
    mixture = GaussianMixture.trusted(weights, means, covariances)
    return mixture.named(**{"name": origin["name"], **origin["options"]}) if origin else mixture


def log_sum_exp(values: np.ndarray, axis: int | None = None) -> Any:
    """``log Σ exp(values)`` without overflow; -inf where all are -inf."""
    top = np.max(values, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        found = np.log(np.sum(np.exp(values - top), axis=axis, keepdims=True)) + top
    return found.item() if axis is None else np.squeeze(found, axis)


def _floats(name: str, values: Any) -> np.ndarray:
    try:
        array = np.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} must be numbers: {error}") from error
    if not np.isfinite(array).all():
        at = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
        where = f" of component {at[0]}" if at else ""
        raise InvalidInput(f"{name} must be finite, got {array[at]}{where}")
    return array


def symmetric(covariances: np.ndarray) -> np.ndarray:
    """The symmetric part of matrices ``[..., d, d]``."""
    return 0.5 * (covariances + np.swapaxes(covariances, -1, -2))


def _weights(given: Any, n: int, normalize: bool) -> np.ndarray:
    weights = _floats("weights", given)
    if weights.shape != (n,):
        raise InvalidInput(f"weights must be [{n}] for {n} means, got shape {weights.shape}")
    if (weights < 0).any():
        k = int(np.argmin(weights))
        raise InvalidInput(f"weights must not be negative, component {k} has {weights[k]:g}")
    largest = float(weights.max())
    if largest == 0:
        raise InvalidInput("weights must not all be zero")
    if normalize:
        weights = weights / largest  # so that the sum of large ones is finite
    total = float(weights.sum())
    if not normalize and not abs(total - 1) <= SUM_TOLERANCE:
        raise InvalidInput(
            f"weights must have sum one, got {total:g}; give normalize=True to divide by it"
        )
    return weights / total


def _covariances(given: Any, n: int, d: int, jitter: float) -> np.ndarray:
    if not 0 <= jitter <= JITTER_MOST:
        raise InvalidInput(f"jitter must be in [0, {JITTER_MOST:g}], got {jitter!r}")
    covariances = _floats("covariances", given)
    if covariances.shape == (n,):
        covariances = np.einsum("n,ij->nij", covariances, np.eye(d))
    elif covariances.shape == (n, d):
        if (
            n == d > 1
            and np.array_equal(covariances, covariances.T)
            and np.count_nonzero(covariances) > n
        ):
            text = f"covariances [{n}, {d}] are read as the variances of {n} components; if they are one covariance for all"
            warnings.warn(f"{text}, give [{n}, {d}, {d}]", ExploreWarning, stacklevel=4)
        covariances = np.einsum("ni,ij->nij", covariances, np.eye(d))
    elif covariances.shape != (n, d, d):
        raise InvalidInput(
            f"covariances must be [{n}, {d}, {d}], [{n}, {d}] or [{n}], got shape {covariances.shape}"
        )
    else:
        largest = np.abs(covariances).max((1, 2))
        uneven = (
            np.abs(covariances - np.swapaxes(covariances, 1, 2)).max((1, 2)) > SYMMETRY * largest
        )
        if uneven.any():
            raise InvalidInput(
                f"covariances must be symmetric, component {int(uneven.argmax())} is not"
            )
        covariances = symmetric(covariances)
    try:
        np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        covariances = np.stack([_positive(c, k, jitter) for k, c in enumerate(covariances)])
    return np.ascontiguousarray(covariances)


def _positive(covariance: np.ndarray, k: int, jitter: float) -> np.ndarray:
    """The covariance with as little on its diagonal as makes it positive definite."""
    part, scale = 0.0, np.trace(covariance) / len(covariance)
    while True:
        lifted = covariance + part * scale * np.eye(len(covariance))
        try:
            np.linalg.cholesky(lifted)
        except np.linalg.LinAlgError:
            part = part * JITTER_GROWTH if part else jitter
            if 0 < part <= JITTER_MOST and scale > 0:
                continue
            lowest = float(np.linalg.eigvalsh(covariance)[0])
            hint = "" if jitter else "; if it is only nearly singular, give jitter=1e-10"
            text = f"covariances must be positive definite, component {k} has the eigenvalue {lowest:.3g}{hint}"
            raise InvalidInput(text) from None
        if part:
            text = f"component {k} was nearly singular; {part:g} of its mean variance was added to its diagonal"
            warnings.warn(text, ExploreWarning, stacklevel=6)
        return lifted
