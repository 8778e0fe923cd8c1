"""Test the data of similarity against label overlap: quartiles by loops, rank correlations by SciPy, bins."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from hypothesis import given, strategies as st
from oracles import overlap, random_labels
from scipy.stats import spearmanr

from explore.errors import InvalidInput, UnknownName
from explore.multilabel import DensityMixture, mixture_similarity
from explore.multilabel._label_sets import overlap_of
from explore.multilabel.figures.similarity import (
    BIN_NAMES,
    SIMILARITY_LABELS,
    _quartiles,
    _rank_correlation,
    similarity_by_overlap,
)
from explore.multilabel.recordings import TRAINING
from explore.multilabel.similarity import component_similarity

COUNT, CLASSES, AXES = 20, 4, 3


def recording(name: str = "kmcl", seed: int = 0, steps: int = 3, **more: Any) -> xarray.Dataset:
    """Return a training whose values are random numbers in float16, another in each frame."""
    rng = np.random.default_rng(seed)
    present = random_labels(seed, COUNT, CLASSES, empty=2).numpy().astype(bool)
    frames = []
    for _ in range(steps):
        values: dict[str, Any] = {"embedding": rng.standard_normal((COUNT, AXES))}
        shape = {"kmcl": (COUNT, CLASSES), "probmcl": (COUNT, CLASSES, AXES)}.get(name)
        if shape:
            values["component_mean"] = rng.standard_normal(shape)
            values["component_variance"] = rng.uniform(0.5, 2, (COUNT, CLASSES))
            values["component_weight"] = rng.dirichlet(np.ones(CLASSES), COUNT)
        halves = {key: value.astype(np.float16) for key, value in values.items()}
        frames.append(TRAINING.frame(halves, {"present": present}))
    joined = xarray.concat(frames, "step").assign_coords(step=np.arange(steps) * 2)
    return joined.assign_attrs(name=name, config={}, **more)


def bin_of(first: np.ndarray, second: np.ndarray) -> str:
    """Return the bin of two label sets, by whole numbers."""
    both, either = int((first & second).sum()), int((first | second).sum())
    if not both:
        return "0"
    if 10 * both <= 3 * either:
        return "≤ 0.3"
    if 5 * both <= 3 * either:
        return "≤ 0.6"
    return "< 1" if both < either else "1"


def features_of(frame: xarray.Dataset) -> np.ndarray:
    values = frame["embedding"].values.astype(float)
    result = np.zeros((COUNT, COUNT))
    for i, j in np.ndindex(*result.shape):
        norms = np.linalg.norm(values[i]) * np.linalg.norm(values[j])
        result[i, j] = values[i] @ values[j] / norms
    return result


def components_of(frame: xarray.Dataset, name: str) -> np.ndarray:
    means, variances, weights = (
        torch.from_numpy(frame[f"component_{key}"].values.astype(float))
        for key in ("mean", "variance", "weight")
    )
    if name == "kmcl":
        return component_similarity(means, variances, AXES).mean(2).numpy()
    mixture = DensityMixture(weights.log(), means, variances, torch.zeros(COUNT, AXES).double())
    total = weights.sum(1).sqrt().numpy()  # The similarity divides by the sums of the weights.
    return mixture_similarity(mixture, "matched").numpy() * total[:, None] * total


# ---- quartiles and correlations


@pytest.mark.parametrize("kind", SIMILARITY_LABELS)
@pytest.mark.parametrize("name", ["kmcl", "probmcl", "asl"])
@pytest.mark.parametrize("step", [0, 4])
def test_quartiles_and_correlations_of_all_pairs(kind: str, name: str, step: int) -> None:
    run = recording(name)
    data = similarity_by_overlap(run, step=step, similarity=kind)
    frame, present = run.sel(step=step), run["present"].values
    shows_features = kind == "features" or name == "asl"
    table = features_of(frame) if shows_features else components_of(frame, name)
    bins: dict[str, list[float]] = {label: [] for label in BIN_NAMES}
    overlaps, values = [], []
    for i, j in combinations(range(COUNT), 2):
        bins[bin_of(present[i], present[j])].append(table[i, j])
        overlaps.append(overlap(present[i], present[j]))
        values.append(table[i, j])
    assert sum(map(bool, bins.values())) >= 4
    for label, similarities in bins.items():
        quartiles = data["similarity"].sel(overlap=label).values[0]
        if not similarities:
            assert np.isnan(quartiles).all()
            continue
        expected = [np.quantile(similarities, q) for q in (0.25, 0.5, 0.75)]
        np.testing.assert_allclose(quartiles, expected, rtol=1e-5, atol=1e-6)
        assert quartiles[1] == pytest.approx(np.median(similarities), rel=1e-5, abs=1e-6)
    expected_correlation = spearmanr(values, overlaps)[0]
    assert float(data["correlation"][0]) == pytest.approx(expected_correlation, abs=1e-3)
    assert data["measure"].item() == SIMILARITY_LABELS["features" if shows_features else kind]
    assert int(data["training_step"][0]) == step


def test_a_similarity_by_hand() -> None:
    # three samples: cosines 0, 1/√2 and 1/√2; overlaps 0, 1/2 and 1/2 of {0}, {1} and {0, 1}
    values = {"embedding": np.array([[1.0, 0], [0, 2], [3, 3]])}
    present = np.array([[True, False], [False, True], [True, True]])
    frame = TRAINING.frame(values, {"present": present}).expand_dims(step=[0])
    data = similarity_by_overlap(
        frame.assign_coords(present=frame["present"].squeeze()).assign_attrs(name="asl")
    )
    medians = data["similarity"].sel(quartile="median").values[0]
    np.testing.assert_allclose(medians, [0, np.nan, 0.5**0.5, np.nan, np.nan], atol=1e-12)
    assert float(data["correlation"][0]) == pytest.approx(1)


values = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]), min_size=2, max_size=30)


@given(first=values, seed=st.integers(0, 2**31))
def test_the_rank_correlation_is_that_of_scipy(first: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    for second in (rng.standard_normal(len(first)), rng.integers(0, 3, len(first)).astype(float)):
        result = _rank_correlation(np.array(first), second)
        if len(set(first)) == 1 or len(set(second.tolist())) == 1:
            assert result == 0
        else:
            assert result == pytest.approx(spearmanr(first, second)[0], abs=1e-12)


# ---- bins


@pytest.mark.parametrize(
    ("shared", "either", "expected"),
    [
        (0, 5, "0"),
        (1, 10, "≤ 0.3"),
        (3, 10, "≤ 0.3"),
        (6, 20, "≤ 0.3"),
        (1, 3, "≤ 0.6"),
        (3, 5, "≤ 0.6"),
        (6, 10, "≤ 0.6"),
        (12, 20, "≤ 0.6"),
        (2, 3, "< 1"),
        (19, 20, "< 1"),
        (1, 1, "1"),
        (20, 20, "1"),
    ],
)
def test_a_border_belongs_to_the_bin_below(shared: int, either: int, expected: str) -> None:
    first = np.arange(20) < (shared if shared else 2)
    second = np.arange(20) < either if shared else (np.arange(20) >= 2) & (np.arange(20) < either)
    labels = np.stack([first, second]).astype(float)
    table = overlap_of(labels, "jaccard")
    assert table[0, 1] == pytest.approx(shared / either)
    quartiles = _quartiles(np.array([0.7]), table[:1, 1])
    filled = [name for name, row in zip(BIN_NAMES, quartiles, strict=True) if row[1] == 0.7]
    assert filled == [expected]
    assert int(np.isnan(quartiles).all(1).sum()) == 4
    assert bin_of(first, second) == expected


def test_samples_without_labels_share_nothing() -> None:
    overlaps = overlap_of(np.zeros((2, 3)), "jaccard")[[0], [1]]
    assert np.isfinite(_quartiles(np.ones(1), overlaps)[0]).all()


# ---- choices


def test_several_trainings() -> None:
    runs = [recording("asl"), recording("kmcl", steps=5), recording("unknown")]
    data = similarity_by_overlap(runs, step=6, similarity="components")
    assert data["training"].values.tolist() == ["ASL", "KMCL", "unknown"]
    assert data["training_step"].values.tolist() == [4, 6, 4]
    assert data["measure"].values.tolist() == [
        SIMILARITY_LABELS[kind] for kind in ("features", "components", "features")
    ]
    for number, run in enumerate(runs):
        alone = similarity_by_overlap(run, step=6, similarity="components")
        assert (
            alone["similarity"]
            .isel(training=0)
            .equals(
                data["similarity"]
                .isel(training=number)
                .assign_coords(training=alone["training"].item())
            )
        )
    assert data.attrs["similarity_kind"] == "components"


@pytest.mark.parametrize(("step", "expected"), [(None, 4), (0, 0), (1, 0), (3, 2), (99, 4)])
def test_the_last_step_before_is_shown(step: int | None, expected: int) -> None:
    data = similarity_by_overlap(recording(), step=step)
    assert int(data["training_step"][0]) == expected
    assert data.equals(similarity_by_overlap(recording(), step=expected))


def test_equal_similarities_have_no_correlation() -> None:
    run = recording("asl")
    run["embedding"][:] = 1.0
    data = similarity_by_overlap(run)
    assert float(data["correlation"][0]) == 0
    medians = data["similarity"].sel(quartile="median").values[0]
    np.testing.assert_allclose(medians[np.isfinite(medians)], 1)


def test_features_of_length_0_are_finite() -> None:
    run = recording("asl")
    run["embedding"][:, 3] = 0
    assert np.isfinite(similarity_by_overlap(run)["correlation"]).all()


def test_other_choices_are_refused() -> None:
    with pytest.raises(UnknownName, match="similarity 'labels'"):
        similarity_by_overlap(recording(), similarity="labels")
    with pytest.raises(InvalidInput, match="expected a recording of a multi-label training"):
        similarity_by_overlap(xarray.Dataset({"score": 1.0}, attrs={"name": "multilabel-study"}))
