"""Validation of the weights, means and covariances of a mixture."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from explore.core.array_validation import as_array
from explore.core.validation import check_flag, check_number, check_seed
from explore.errors import ExploreWarning, InvalidInput
from explore.mixtures._gaussian import symmetric

SUM_TOLERANCE = 1e-6
"""The sum of the weights may differ from one by this much (float32 rounding)."""

SHORT_SUM_TOLERANCES = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
"""The same for weights of these types: their largest relative rounding error."""

SYMMETRY_TOLERANCE = 1e-8
"""Covariances may be asymmetric by this fraction of their largest entry."""

SINGLE_SYMMETRY_TOLERANCE = 1e-5
"""The same for covariances that were computed in float32; with a warning if they are float64."""

JITTER_GROWTH, MAX_JITTER = 10.0, 1e-4


def finite_array(name: str, values: Any) -> np.ndarray:
    """Return a float64 copy of finite numbers.

    Args:
        name: how messages call them.
        values: an array, a tensor, a list, or a table of pandas or xarray.

    Raises:
        InvalidInput: a value is no real number, is masked, or is NaN or infinite.
    """
    array = number_array(name, values).astype(np.float64)
    if not np.isfinite(array).all():
        index = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
        component = f" of component {index[0]}" if index else ""
        raise InvalidInput(f"{name} must be finite, got {array[index]}{component}")
    return array


def number_array(name: str, values: Any) -> np.ndarray:
    """Return integers or floats as an array.

    Raises:
        InvalidInput: the values are something else, such as masked ones, text, or true and false.
    """
    if isinstance(values, Sequence) and any(isinstance(v, np.ma.MaskedArray) for v in values):
        values = [as_array(name, value) for value in values]
    array = as_array(name, values)
    if array.dtype.kind == "b":
        raise InvalidInput(f"{name} must be numbers, got {array.dtype} {list(array.shape)}")
    return array


def validate_weights(values: Any, n: int, normalize: Any) -> np.ndarray:
    """Return weights ``[n]`` with sum one, or raise ``InvalidInput``."""
    normalize = check_flag("normalize", normalize)
    weights = finite_array("weights", values)
    if weights.shape != (n,):
        advice = "; pass weights.ravel()" if weights.shape in ((n, 1), (1, n)) else ""
        raise InvalidInput(
            f"weights must be [{n}] for {n} means, got shape {weights.shape}{advice}"
        )
    if (weights < 0).any():
        k = int(np.argmin(weights))
        raise InvalidInput(f"weights must not be negative, component {k} has {weights[k]:g}")
    largest = float(weights.max())
    if largest == 0:
        raise InvalidInput("weights must not all be zero")
    if normalize:
        weights = weights / largest  # The sum of very large weights would overflow.
    total = float(weights.sum())
    if not normalize and not abs(total - 1) <= _sum_tolerance(values):
        raise InvalidInput(
            f"weights must have sum one, got {total:g}; give normalize=True to divide by the sum"
        )
    return weights / total


def _sum_tolerance(values: Any) -> float:
    name = str(getattr(values, "dtype", "")).removeprefix("torch.")
    return SHORT_SUM_TOLERANCES.get(name, SUM_TOLERANCE)


def validate_covariances(values: Any, n: int, d: int, jitter: Any) -> np.ndarray:
    """Return positive definite covariances ``[n, d, d]``, or raise ``InvalidInput``."""
    jitter = check_number("jitter", jitter, at_least=0, at_most=MAX_JITTER)
    covariances = finite_array("covariances", values)
    if covariances.shape == (n,):
        covariances = np.einsum("n,ij->nij", covariances, np.eye(d))
    elif covariances.shape == (n, d):
        symmetric_matrix = n == d > 1 and np.array_equal(covariances, covariances.T)
        if symmetric_matrix and np.count_nonzero(covariances) > n:
            text = (
                f"covariances [{n}, {d}] are read as the variances of {n} components; if you mean "
                f"one covariance matrix for all components, give [{n}, {d}, {d}]"
            )
            warnings.warn(text, ExploreWarning, stacklevel=4)
        covariances = np.einsum("ni,ij->nij", covariances, np.eye(d))
    elif covariances.shape != (n, d, d):
        expected = f"[{n}, {d}, {d}], [{n}, {d}] or [{n}]"
        raise InvalidInput(
            f"covariances must be {expected}, got shape {covariances.shape}"
            f"{_covariance_advice(covariances.shape, n, d)}"
        )
    else:
        _check_symmetry(covariances, str(getattr(values, "dtype", "")))
        covariances = symmetric(covariances)
    try:
        np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        for k in range(n):
            covariances[k], fraction = _lift_diagonal(covariances[k], k, jitter)
            if fraction:
                text = (
                    f"component {k} was nearly singular; {fraction:g} of its mean variance was "
                    "added to its diagonal"
                )
                warnings.warn(text, ExploreWarning, stacklevel=4)
    return np.ascontiguousarray(covariances)


def _covariance_advice(shape: tuple[int, ...], n: int, d: int) -> str:
    """Return what to do with covariances as other programs store them."""
    if shape == (d, d, n):
        return "; MATLAB stores them so: pass np.moveaxis(covariances, -1, 0)"
    if shape == (1, d, n):
        return "; MATLAB stores variances so: pass covariances[0].T"
    if shape == (d, d):
        return f"; for one matrix for all pass np.tile(covariances, ({n}, 1, 1))"
    return "; pass covariances.ravel()" if shape in ((n, 1), (1, n)) and d > 1 else ""


def _check_symmetry(covariances: np.ndarray, dtype: str) -> None:
    """Check that all matrices are symmetric, but for rounding.

    Raises:
        InvalidInput: one is not.

    Warns:
        ExploreWarning: one is asymmetric by more than the rounding of float64.
    """
    size = np.abs(covariances).max((1, 2))
    asymmetry = np.abs(covariances - np.swapaxes(covariances, 1, 2)).max((1, 2))
    asymmetric = asymmetry > SYMMETRY_TOLERANCE * size
    if not asymmetric.any():
        return
    k = int(asymmetric.argmax())
    if (asymmetry > SINGLE_SYMMETRY_TOLERANCE * size).any():
        k = int((asymmetry > SINGLE_SYMMETRY_TOLERANCE * size).argmax())
        advice, turned = "", np.moveaxis(covariances, -1, 0)
        if np.array_equal(turned, np.swapaxes(turned, 1, 2)):
            advice = "; if they are [d, d, n] of MATLAB, pass np.moveaxis(covariances, -1, 0)"
        raise InvalidInput(f"covariances must be symmetric, component {k} is not{advice}")
    if "float64" in dtype or not dtype:
        text = (
            f"component {k} is asymmetric by {asymmetry[k] / size[k]:.1g} of its largest entry, as "
            "after a computation in float32; its symmetric part is used"
        )
        warnings.warn(text, ExploreWarning, stacklevel=5)


def _lift_diagonal(covariance: np.ndarray, k: int, jitter: float) -> tuple[np.ndarray, float]:
    """Add as little to the diagonal as makes a covariance positive definite.

    Returns:
        The covariance, and which fraction of the mean variance was added.
    """
    fraction, scale = 0.0, float((np.diag(covariance) / len(covariance)).sum())
    while True:
        lifted = covariance + fraction * scale * np.eye(len(covariance))
        try:
            np.linalg.cholesky(lifted)
        except np.linalg.LinAlgError:
            fraction = fraction * JITTER_GROWTH if fraction else jitter
            if 0 < fraction <= MAX_JITTER and scale > 0:
                continue
            size = float(np.abs(covariance).max()) or 1.0
            lowest = size * float(np.linalg.eigvalsh(covariance / size)[0])
            hint = "" if jitter else "; if it is only nearly singular, give jitter=1e-10"
            raise InvalidInput(
                f"covariances must be positive definite, component {k} has the eigenvalue "
                f"{lowest:.3g}{hint}"
            ) from None
        return lifted, fraction


def as_generator(rng: Any) -> np.random.Generator:
    """Return a generator of NumPy for itself, for a seed, or for None (other draws each time).

    Raises:
        InvalidInput: none of these.
    """
    kinds = np.random.Generator | np.random.BitGenerator | np.random.SeedSequence
    if rng is None or isinstance(rng, kinds | np.random.RandomState):
        return np.random.default_rng(rng)
    return np.random.default_rng(check_seed(rng, "rng"))
