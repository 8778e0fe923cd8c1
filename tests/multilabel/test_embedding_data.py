"""Test the data of the embedding picture: filters, one plane for all steps, components, pulls at recorded values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from multilabel_toys import SMALL, pulls_by_autograd, vectors
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity

from explore import record
from explore.data import load_multilabel
from explore.errors import InvalidInput, UnknownName
from explore.multilabel import pair_contrast, train
from explore.multilabel.figures.embedding_data import (
    FILTER_MODES,
    NEIGHBOURS,
    add_projection,
    embedding,
    matches,
)
from explore.multilabel.figures.projection import project
from explore.multilabel.overlap import label_overlap, positive_pairs
from explore.multilabel.similarity import component_similarity

pytestmark = pytest.mark.usefixtures("_one_thread")


@pytest.fixture(scope="module")
def recorded() -> Callable[..., xarray.Dataset]:
    """Return a function that records a short training on scenes, or on vectors, once."""
    recordings: dict[str, xarray.Dataset] = {}

    def record_once(method: str, source: str = "scenes", **options: Any) -> xarray.Dataset:
        key = f"{method} {source} {options}"
        if key not in recordings:
            data = vectors(60) if source == "vectors" else load_multilabel("scenes", count=70)
            run = train(data, method, **{**SMALL, "epochs": 3, **options})
            recordings[key] = record(run, every=1).load()
        return recordings[key]

    return record_once


# ---- filters


@given(
    present=arrays(bool, st.tuples(st.integers(0, 12), st.just(5))),
    selected=st.sets(st.integers(0, 4)),
    mode=st.sampled_from(FILTER_MODES),
)
def test_filters_are_those_of_sets(present: np.ndarray, selected: set[int], mode: str) -> None:
    expected = []
    for row in present:
        labels = {k for k in range(5) if row[k]}
        passes = {
            "any": bool(labels & selected),
            "all": selected <= labels,
            "exactly": labels == selected,
        }[mode]
        expected.append(passes or not selected)
    result = matches(present, sorted(selected), mode)
    assert result.dtype == bool
    assert result.tolist() == expected


def test_another_mode_is_refused() -> None:
    for selected in ([], [0]):
        with pytest.raises(UnknownName, match="mode 'none'"):
            matches(np.ones((2, 2), bool), selected, "none")


def test_the_filter_of_the_picture(recorded: Callable[..., xarray.Dataset]) -> None:
    recording = recorded("kmcl")
    names = recording["label"].values.tolist()
    present = recording["present"].values
    for mode, word in zip(FILTER_MODES, ("or", "and", "and"), strict=True):
        data = embedding(recording, labels=(names[3], names[0]), mode=mode)
        assert np.array_equal(data["passes"], matches(present, [3, 0], mode))
        assert data.attrs["filter"] == f"{names[3]} {word} {names[0]}"
    everything = embedding(recording)
    assert bool(everything["passes"].all())
    assert everything.attrs["filter"] == ""


# ---- the plane


@pytest.mark.parametrize("method", ["kmcl", "probmcl", "asl"])
@pytest.mark.parametrize("source", ["scenes", "vectors"])
def test_the_plane_is_that_of_the_last_frame(
    method: str, source: str, recorded: Callable[..., xarray.Dataset]
) -> None:
    recording = recorded(method, source)
    points = recording["embedding"].values.astype(float)
    pca = PCA(2, svd_solver="full").fit(points[-1])
    steps = recording["step"].values
    assert len(steps) == (6 if method == "probmcl" else 4)
    limits = []
    for number, step in enumerate(steps):
        data = embedding(recording, step=int(step))
        expected = pca.transform(points[number])
        position = data["position"].values
        signs = np.sign((position * expected).sum(0))
        np.testing.assert_allclose(position, signs * expected, atol=1e-9)
        limits.append(data.attrs["limits"])
        assert (position >= np.array(limits[0][:2]) - 1e-12).all()
        assert (position <= np.array(limits[0][2:]) + 1e-12).all()
    assert limits == [limits[0]] * len(steps)


def test_the_projection_is_added_once(recorded: Callable[..., xarray.Dataset]) -> None:
    recording = recorded("kmcl")
    first = add_projection(recording)
    assert "position" not in recording
    assert add_projection(first) is first
    assert first["position"].dims == ("step", "point", "plane")
    assert first.attrs == recording.attrs
    xarray.testing.assert_identical(embedding(first), embedding(recording))


@pytest.mark.parametrize("source", ["scenes", "vectors"])
@pytest.mark.parametrize("method", ["kmcl", "probmcl"])
def test_components_are_at_their_projected_means(
    method: str, source: str, recorded: Callable[..., xarray.Dataset]
) -> None:
    recording = recorded(method, source)
    plane = add_projection(recording)
    centre, axes = plane["plane_centre"].values, plane["plane_axes"].values
    for step in (0, 2):
        for anchor in (0, 5):
            frame = recording.sel(step=step).isel(point=anchor)
            data = embedding(recording, step=step, anchor=anchor)
            means = frame["component_mean"].values.astype(float)
            if method == "kmcl":  # One value on all axes.
                means = np.repeat(means[:, None], recording.sizes["axis"], axis=1)
            places = data["component_centre"].values
            np.testing.assert_allclose(places, project(means, centre, axes), atol=1e-9)
            radius = np.sqrt(frame["component_variance"].values.astype(float))
            np.testing.assert_allclose(data["component_radius"], radius)
            np.testing.assert_allclose(data["component_weight"], frame["component_weight"])
            low, high = np.split(np.array(data.attrs["limits"]), 2)
            assert (places >= low - 1e-9).all()
            assert (places <= high + 1e-9).all()
    orthogonal = axes.T @ axes
    np.testing.assert_allclose(orthogonal, np.eye(2), atol=1e-9)


@pytest.mark.parametrize(
    "options", [{"method": "asl"}, {"method": "kmcl", "covariance": "anisotropic"}]
)
def test_without_recorded_components_there_are_none(
    options: dict[str, Any], recorded: Callable[..., xarray.Dataset]
) -> None:
    data = embedding(recorded(**options))
    assert np.isnan(data["component_centre"]).all()
    assert np.isnan(data["component_radius"]).all()
    assert (data["component_weight"] == 0).all()
    assert np.isnan(data["pull"]).all()


# ---- pulls


@pytest.mark.parametrize("source", ["scenes", "vectors"])
@pytest.mark.parametrize(
    ("method", "options", "expected"),
    [
        ("kmcl", {}, (0.17, "outside", None, "jaccard")),
        ("kmcl", {"correlation": "inside", "temperature": 0.4}, (0.4, "inside", None, "jaccard")),
        ("kmcl", {"alpha": 0.5, "overlap": "dice"}, (0.17, "outside", 0.5, "dice")),
        ("kmcl-constant", {}, (0.17, "none", None, "jaccard")),
    ],
)
def test_pulls_of_kmcl_are_those_of_the_recorded_components(
    source: str,
    method: str,
    options: dict[str, Any],
    expected: tuple[Any, ...],
    recorded: Callable[..., xarray.Dataset],
) -> None:
    recording = recorded(method, source, **options)
    labels = torch.from_numpy(recording["present"].values.astype(np.float32))
    for step in (1, 3):
        frame = recording.sel(step=step)
        means, variances = (
            torch.from_numpy(frame[name].values.astype(float))
            for name in ("component_mean", "component_variance")
        )
        similarity = component_similarity(means, variances, recording.sizes["axis"])
        pulls = pulls_by_autograd(similarity.requires_grad_(), labels, *expected).sum(2)
        for anchor in range(len(labels)):
            data = embedding(recording, step=step, anchor=anchor)
            np.testing.assert_allclose(data["pull"], pulls[anchor], rtol=1e-4, atol=1e-5)
    assert abs(pulls).max() > 0.1


@pytest.mark.parametrize("source", ["scenes", "vectors"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (0.1, 0.5, "jaccard")),
        ({"temperature": 0.5, "alpha": 0.9, "overlap": "recall"}, (0.5, 0.9, "recall")),
    ],
)
def test_pulls_of_probmcl_are_those_of_the_recorded_mixtures(
    source: str,
    options: dict[str, Any],
    expected: tuple[float, float, str],
    recorded: Callable[..., xarray.Dataset],
) -> None:
    temperature, alpha, overlap = expected
    recording = recorded("probmcl", source, **options)
    labels = torch.from_numpy(recording["present"].values.astype(np.float32))
    frame = recording.isel(step=-1)
    means, variances, weights = (
        torch.from_numpy(frame[name].values.astype(float))
        for name in ("component_mean", "component_variance", "component_weight")
    )
    wide = variances[:, None].expand(-1, means.shape[2], -1)
    components = component_similarity(means.transpose(1, 2), wide)
    similarity = ((weights[:, None] * weights).sqrt() * components).sum(2).requires_grad_()
    contrast = pair_contrast(similarity / temperature, positive_pairs(labels, alpha, overlap))
    pulls = -contrast.anchors * torch.autograd.grad(contrast.loss, similarity)[0].numpy()
    for anchor in range(len(labels)):
        data = embedding(recording, anchor=anchor)
        np.testing.assert_allclose(data["pull"], pulls[anchor], rtol=1e-5, atol=1e-6)
    assert abs(pulls).max() > 0.1


def test_the_product_kernel_has_no_pulls(recorded: Callable[..., xarray.Dataset]) -> None:
    data = embedding(recorded("probmcl", similarity="product"))
    assert np.isnan(data["pull"]).all()
    assert np.isfinite(data["component_centre"]).all()


# ---- neighbours and the anchor


@pytest.mark.parametrize("method", ["kmcl", "asl"])
def test_neighbours_have_the_strongest_pulls_or_are_the_most_similar(
    method: str, recorded: Callable[..., xarray.Dataset]
) -> None:
    recording = recorded(method)
    count = recording.sizes["point"]
    for anchor in range(count):
        data = embedding(recording, anchor=anchor)
        similarity = cosine_similarity(recording["embedding"].values[-1].astype(float))[anchor]
        np.testing.assert_allclose(data["similarity"], similarity, atol=1e-12)
        strength = abs(data["pull"].values) if method == "kmcl" else data["similarity"].values
        neighbours = data["neighbour"].values
        assert len(set(neighbours.tolist())) == NEIGHBOURS
        assert anchor not in neighbours
        others = [row for row in range(count) if row not in (*neighbours, anchor)]
        assert (np.diff(strength[neighbours]) <= 0).all()
        assert strength[neighbours].min() >= strength[others].max()


def test_the_values_of_the_anchor(recorded: Callable[..., xarray.Dataset]) -> None:
    recording = recorded("kmcl")
    labels = torch.from_numpy(recording["present"].values.astype(np.float32))
    overlaps = label_overlap(labels).numpy()
    for step, anchor in ((0, 3), (3, 7)):
        data = embedding(recording, step=step, anchor=anchor)
        np.testing.assert_allclose(data["overlap"], overlaps[anchor], rtol=1e-6)
        frame = recording.sel(step=step)
        np.testing.assert_array_equal(data["probability"], frame["probability"][anchor])
        assert data.attrs["anchor"] == anchor
        assert data.attrs["step"] == step
        precision = float(frame["mean_average_precision"])
        assert data.attrs["map"] == pytest.approx(precision, nan_ok=True)
        rows = [anchor, *data["neighbour"].values.tolist()]
        assert np.array_equal(data["image"], recording["thumbnail"].values[rows])


def test_feature_vectors_have_no_images(recorded: Callable[..., xarray.Dataset]) -> None:
    data = embedding(recorded("kmcl", "vectors"))
    assert "image" not in data
    assert data["position"].shape == (12, 2)


@pytest.mark.parametrize(("step", "expected"), [(None, 3), (0, 0), (2, 2), (3, 3), (9, 3)])
def test_the_last_step_before_is_shown(
    step: int | None, expected: int, recorded: Callable[..., xarray.Dataset]
) -> None:
    data = embedding(recorded("kmcl"), step=step)
    assert data.attrs["step"] == expected
    every_other = recorded("kmcl").isel(step=[0, 2])
    expected = 0 if step is not None and step < 2 else 2
    assert embedding(every_other, step=step).attrs["step"] == expected


def test_the_training_is_chosen_by_its_method(recorded: Callable[..., xarray.Dataset]) -> None:
    recordings = [recorded("asl"), recorded("probmcl")]
    assert embedding(recordings).attrs["training"] == "ASL"
    data = embedding(recordings, training="probmcl", step=4)
    assert (data.attrs["training"], data.attrs["step"]) == ("ProbMCL-style", 4)
    assert embedding(recordings, training="asl", step=4).attrs["step"] == 3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"training": "kmlc"}, UnknownName, "training 'kmlc'.*kmcl"),
        ({"labels": ("star", "lake")}, UnknownName, "label 'lake'"),
        ({"mode": "none"}, UnknownName, "mode 'none'"),
        ({"anchor": -1}, InvalidInput, r"anchor must be a sample 0..13, got -1"),
        ({"anchor": 14}, InvalidInput, r"anchor must be a sample 0..13, got 14"),
    ],
)
def test_unknown_choices_are_refused(
    options: dict[str, Any],
    error: type[Exception],
    message: str,
    recorded: Callable[..., xarray.Dataset],
) -> None:
    recording = recorded("kmcl")
    options = dict(options)
    if "labels" in options:
        options["labels"] = (str(recording["label"].values[0]), "lake")
    with pytest.raises(error, match=message):
        embedding(recording, **options)


def test_other_recordings_are_refused() -> None:
    for function in (embedding, add_projection):
        with pytest.raises(InvalidInput, match="expected a recording of a multi-label training"):
            function(xarray.Dataset({"score": 1.0}, attrs={"name": "multilabel-study"}))
