"""The plane of an embedding: scikit-learn has the same axes, whose largest loading is positive."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from explore.multilabel.figures.projection import principal_axes, project


def points(count: int = 30, width: int = 6, seed: int = 0) -> np.ndarray:
    """Return points with a spread of their own on each axis, in half precision as recorded."""
    generator = np.random.default_rng(seed)
    values = generator.normal(3, 1, (count, width)) * np.linspace(1, 4, width)
    return values.astype(np.float16)


def test_the_axes_are_those_of_scikit_learn_up_to_the_sign() -> None:
    values = points()
    centre, axes = principal_axes(values)
    expected = PCA(2).fit(values.astype(float))
    np.testing.assert_allclose(centre, expected.mean_, atol=1e-12)
    np.testing.assert_allclose(np.abs(axes.T), np.abs(expected.components_), atol=1e-9)
    position = project(values, centre, axes)
    assert position.dtype == np.float64
    np.testing.assert_allclose(
        np.abs(position), np.abs(expected.transform(values.astype(float))), atol=1e-9
    )


def test_the_largest_loading_of_each_axis_is_positive() -> None:
    values = points()
    for copy in (values, -values, values[::-1]):
        axes = principal_axes(copy)[1]
        largest = np.abs(axes).argmax(0)
        assert (axes[largest, [0, 1]] > 0).all()
        np.testing.assert_allclose(np.abs(axes), np.abs(principal_axes(values)[1]), atol=1e-9)
    # Mirrored points have the same axes, so their positions are mirrored.
    mirrored = project(-values, *principal_axes(-values))
    np.testing.assert_allclose(mirrored, -project(values, *principal_axes(values)), atol=1e-9)


def test_frames_are_projected_at_once() -> None:
    frames = np.stack([points(seed=seed) for seed in range(3)])
    plane = principal_axes(frames[-1])
    position = project(frames, *plane)
    assert position.shape == (3, 30, 2)
    np.testing.assert_allclose(position[1], project(frames[1], *plane))
    np.testing.assert_allclose(position[-1].mean(0), 0, atol=1e-9)


@pytest.mark.parametrize("shape", [(30, 1), (1, 4)])
def test_an_embedding_of_one_axis_or_point_has_two_finite_coordinates(
    shape: tuple[int, int],
) -> None:
    values = points(*shape)
    centre, axes = principal_axes(values)
    assert axes.shape == (shape[1], 2)
    position = project(values, centre, axes)
    assert position.shape == (shape[0], 2)
    assert np.isfinite(position).all()
    np.testing.assert_allclose(position[:, 1], 0, atol=1e-9)
