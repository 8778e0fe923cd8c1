"""Mixtures from and to scikit-learn, and as ``.npz`` files."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from explore.core.validation import check_path
from explore.errors import DataMissing, InvalidInput, RecordingFailed
from explore.mixtures._gaussian import symmetric
from explore.mixtures._validation import finite_array

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")

MAX_UNPACKED = 4 * 2**30
"""The most bytes that the arrays of a file may have; a small file can hold many zeros."""


def arrays_of_sklearn(model: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights, means and covariances of a fitted mixture of scikit-learn.

    Raises:
        InvalidInput: something else, or a mixture that is not fitted.
    """
    names = ("weights_", "means_", "covariances_")
    if not all(hasattr(model, name) for name in names):
        advice = ""
        if hasattr(model, "steps") and hasattr(model, "named_steps"):
            advice = "; pass pipeline[-1], whose points are those that the earlier steps return"
        elif hasattr(model, "best_estimator_"):
            advice = "; pass search.best_estimator_"
        elif hasattr(model, "fit"):
            advice = "; call fit first"
        raise InvalidInput(
            f"expected a fitted scikit-learn mixture, got {type(model).__name__} without "
            f"covariances_{advice}"
        )
    kind = getattr(model, "covariance_type", None)
    if kind not in COVARIANCE_TYPES:
        raise InvalidInput(
            f"covariance_type must be one of {', '.join(COVARIANCE_TYPES)}, got {kind!r}"
        )
    weights, means, covariances = (finite_array(name, getattr(model, name)) for name in names)
    if covariances.ndim > 1 and kind in ("full", "tied"):
        covariances = symmetric(covariances)  # Models fitted in float32 are slightly asymmetric.
    if kind == "tied":
        covariances = np.repeat(covariances[None], len(weights), 0)
    return weights, means, covariances


def to_sklearn(
    weights: np.ndarray, means: np.ndarray, covariances: np.ndarray, inverse_factors: np.ndarray
) -> Any:
    """Return a mixture of scikit-learn; ``inverse_factors`` are those of its covariances."""
    from sklearn.mixture import GaussianMixture as Fitted

    model = Fitted(len(weights), covariance_type="full")
    model.weights_, model.means_ = weights.copy(), means.copy()
    model.covariances_ = covariances.copy()
    factors = np.transpose(inverse_factors, (0, 2, 1)).copy()
    model.precisions_cholesky_ = factors
    model.precisions_ = factors @ np.transpose(factors, (0, 2, 1))
    if not (np.isfinite(factors).all() and np.isfinite(model.precisions_).all()):
        raise InvalidInput(
            "the precisions (inverse covariances) of this mixture are larger than any number; "
            "choose a smaller unit"
        )
    model.converged_, model.n_iter_, model.n_features_in_ = True, 0, means.shape[1]
    return model


def write_npz(path: str | os.PathLike[str], **arrays: np.ndarray) -> None:
    """Write arrays as ``.npz``.

    Raises:
        InvalidInput: no path.
        RecordingFailed: the file cannot be written.
    """
    target = check_path("path", path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:  # savez would add a suffix to a path
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise RecordingFailed(f"{target} cannot be written: {error}") from error


def read_npz(path: str | os.PathLike[str], names: Sequence[str]) -> list[np.ndarray]:
    """Read arrays of these names. Nothing in the file is executed.

    Raises:
        DataMissing: there is no such file.
        InvalidInput: the file has another format, lacks an array, or would fill the memory.
    """
    source = check_path("path", path)
    try:
        _check_size(source)
        with np.load(source, allow_pickle=False) as file:
            return [file[name] for name in names]
    except FileNotFoundError as error:
        raise DataMissing(f"no mixture at {source}") from error
    except InvalidInput:
        raise
    except Exception as error:  # NumPy raises many kinds of errors for other files.
        raise _format_error(source, names, error) from error


def _check_size(source: os.PathLike[str]) -> None:
    if not zipfile.is_zipfile(source):
        return
    with zipfile.ZipFile(source) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_UNPACKED:
        raise InvalidInput(
            f"the arrays of {source} have {size:,} bytes, more than the {MAX_UNPACKED:,} that a "
            "mixture may have"
        )


def _format_error(source: object, names: Sequence[str], error: Exception) -> InvalidInput:
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return InvalidInput(f"{source} must be an .npz with {listed}: {error}")
