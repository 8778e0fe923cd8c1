"""The plane of an embedding: its two principal axes. No torch."""

from __future__ import annotations

import numpy as np


def principal_axes(embedding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the centre and the two principal axes of points.

    The largest entry of each axis is positive, so that the same points have the same axes. If the
    points have one axis only, the second one is 0.

    Args:
        embedding: ``[P, A]``.

    Returns:
        float64 centre ``[A]``, and axes of length 1 as columns ``[A, 2]``.

    Example:
        >>> centre, axes = principal_axes(np.array([[0.0, 0, 0], [0, 4, 0], [1, 2, 0], [-1, 2, 0]]))
        >>> centre, abs(axes.round(6)).T
        (array([0., 2., 0.]), array([[0., 1., 0.],
               [1., 0., 0.]]))
    """
    values = np.asarray(embedding, float)
    centre = values.mean(0)
    rows = np.linalg.svd(values - centre, full_matrices=False)[2][:2]
    largest = np.abs(rows).argmax(1)
    signs = np.where(np.take_along_axis(rows, largest[:, None], 1) < 0, -1.0, 1.0)
    axes = np.zeros((values.shape[1], 2))
    axes[:, : len(rows)] = (signs * rows).T
    return centre, axes


def project(values: np.ndarray, centre: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return the positions of points ``[..., A]`` in a plane, ``[..., 2]``."""
    result: np.ndarray = (np.asarray(values, float) - centre) @ axes
    return result
