"""Test the data of the pulls on an anchor: which samples are shown, their pulls, and refused recordings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray
from hypothesis import assume, given, strategies as st
from hypothesis.extra.numpy import arrays
from multilabel_toys import SMALL, vectors
from oracles import overlap_table

from explore import record
from explore.data import load_multilabel
from explore.errors import InvalidInput, UnknownName
from explore.multilabel import train
from explore.multilabel.config import CORRELATION_NAMES, OVERLAP_NAMES
from explore.multilabel.figures.anchor_pulls import WANTED_OVERLAPS, anchor_pulls, neighbour_rows
from explore.multilabel.pulls import anchor_similarity, pulls_on_anchor

pytestmark = pytest.mark.usefixtures("_one_thread")


@pytest.fixture(scope="module")
def recorded() -> Callable[..., xarray.Dataset]:
    """Return a function that records a short training on scenes once."""
    recordings: dict[str, xarray.Dataset] = {}

    def record_once(method: str = "kmcl", **options: Any) -> xarray.Dataset:
        key = f"{method} {options}"
        if key not in recordings:
            data = load_multilabel("scenes", count=150)
            run = train(data, method, **{**SMALL, "epochs": 2, **options})
            recordings[key] = record(run, every=1).load()
        return recordings[key]

    return record_once


# ---- which samples are shown


def expected_rows(present: np.ndarray) -> list[int]:
    """Return anchor and neighbours by loops."""
    table = overlap_table(present.astype(float))
    sizes = present.sum(1)
    count = len(present)
    fitting = [
        row
        for row in range(count)
        if sizes[row] == 3 and any(table[row, k] == 1 for k in range(count) if k != row)
    ]
    anchor = fitting[0] if fitting else int(np.argmax(sizes))
    rows = [anchor]
    for wanted in WANTED_OVERLAPS:
        others = [row for row in range(count) if row not in rows]
        rows.append(min(others, key=lambda row: round(abs(table[anchor, row] - wanted), 9)))
    return rows


@given(present=arrays(bool, st.tuples(st.integers(6, 14), st.integers(3, 5))))
def test_neighbours_have_the_overlaps_that_are_closest(present: np.ndarray) -> None:
    assume((present.sum(1) > 0).sum() >= 6)
    rows, expected = neighbour_rows(present), expected_rows(present)
    assert len(set(rows)) == 6
    table = overlap_table(present.astype(float))
    assert rows[0] == expected[0]
    # Two samples may be equally close, to rounding.
    for number, wanted in enumerate(WANTED_OVERLAPS, 1):
        others = [row for row in range(len(present)) if row not in rows[:number]]
        smallest = min(abs(table[rows[0], row] - wanted) for row in others)
        assert abs(table[rows[0], rows[number]] - wanted) == pytest.approx(smallest)


def test_the_overlaps_are_those_that_are_wanted_if_there_are_such_samples() -> None:
    sets = [{4}, {0, 1, 2}, {0, 3, 4}, {5}, {0, 1, 2, 3, 4}, {0, 1, 2}, {0, 1, 3, 4}, {0, 1}]
    present = np.array([[k in labels for k in range(6)] for labels in sets])
    rows = neighbour_rows(present)
    assert rows == [1, 5, 4, 6, 2, 0]
    table = overlap_table(present.astype(float))
    np.testing.assert_allclose(table[1, rows[1:]], WANTED_OVERLAPS)
    assert rows == expected_rows(present)


def test_without_equal_label_sets_the_largest_one_is_the_anchor() -> None:
    sets = [{0, 1, 2}, {0}, {1, 2, 3, 4}, {2}, {0, 1, 3, 4}, {4}, {3}]
    present = np.array([[k in labels for k in range(5)] for labels in sets])
    assert neighbour_rows(present)[0] == 2


def test_six_samples_with_labels_are_needed() -> None:
    present = np.zeros((20, 4), bool)
    present[:5, 0] = True
    with pytest.raises(InvalidInput, match="six samples with labels"):
        neighbour_rows(present)
    present[5, 1] = True
    assert len(set(neighbour_rows(present))) == 6


# ---- their values


@pytest.mark.parametrize("correlation", CORRELATION_NAMES)
@pytest.mark.parametrize("overlap", OVERLAP_NAMES)
@pytest.mark.parametrize("alpha", [0.05, 0.4, 1.0])
def test_values_are_those_of_six_recorded_samples(
    correlation: str, overlap: str, alpha: float, recorded: Callable[..., xarray.Dataset]
) -> None:
    recording = recorded()
    data = anchor_pulls(recording, 1, correlation, overlap, alpha)
    present = recording["present"].values
    rows = data["point"].values.tolist()
    assert rows == neighbour_rows(present)
    frame = recording.sel(step=1).isel(point=rows)
    similarity = anchor_similarity(
        frame["component_mean"].values,
        frame["component_variance"].values,
        0,
        recording.sizes["axis"],
    )
    np.testing.assert_allclose(data["similarity"], similarity.mean(1))
    labels = present[rows].astype(float)
    expected = pulls_on_anchor(
        similarity,
        labels,
        0,
        temperature=0.17,
        correlation=correlation,
        alpha=alpha,
        overlap=overlap,
    )
    np.testing.assert_allclose(data["pull"], expected)
    overlaps = overlap_table(labels, overlap)[0]
    np.testing.assert_allclose(data["overlap"], overlaps)
    assert data["positive"].values.tolist() == [value >= alpha - 1e-9 for value in overlaps]
    assert np.array_equal(data["image"], recording["thumbnail"].values[rows])
    names = recording["label"].values
    for number, row in enumerate(rows):
        assert data["label_set"].values[number] == ", ".join(names[present[row]])
    assert data.attrs == {
        "correlation": correlation,
        "overlap": overlap,
        "alpha": alpha,
    }


def test_a_positive_pulls_if_its_weight_is_large(recorded: Callable[..., xarray.Dataset]) -> None:
    data = anchor_pulls(recorded())
    assert data["overlap"].values[1] == 1
    assert data["pull"].values[1] == data["pull"].values.max() > 0
    assert data["pull"].values[5] < 0
    assert data["pull"].values[0] == 0


def test_the_temperature_is_that_of_the_training(recorded: Callable[..., xarray.Dataset]) -> None:
    recording = recorded(temperature=0.6)
    data = anchor_pulls(recording)
    rows = data["point"].values
    frame = recording.isel(step=-1).isel(point=rows)
    similarity = anchor_similarity(
        frame["component_mean"].values,
        frame["component_variance"].values,
        0,
        recording.sizes["axis"],
    )
    labels = recording["present"].values[rows]
    expected = pulls_on_anchor(similarity, labels, 0, temperature=0.6, alpha=0.05)
    np.testing.assert_allclose(data["pull"], expected)
    assert not np.allclose(expected, pulls_on_anchor(similarity, labels, 0, alpha=0.05))


@pytest.mark.parametrize(("step", "expected"), [(None, 2), (0, 0), (1, 0), (2, 2), (7, 2)])
def test_the_last_step_before_is_shown(
    step: int | None, expected: int, recorded: Callable[..., xarray.Dataset]
) -> None:
    recording = recorded().isel(step=[0, 2])
    data = anchor_pulls(recording, step)
    assert int(data["step"]) == expected
    assert data.equals(anchor_pulls(recording, expected))
    with pytest.raises(InvalidInput, match="step must be a whole number of at least 0, got -1"):
        anchor_pulls(recording, -1)


def test_hidden_pulls_are_nan(recorded: Callable[..., xarray.Dataset]) -> None:
    hidden, visible = anchor_pulls(recorded(), hidden=True), anchor_pulls(recorded())
    assert np.isnan(hidden["pull"]).all()
    assert hidden["pull"].shape == (6,)
    assert np.isfinite(visible["pull"]).all()
    assert hidden.drop_vars("pull").equals(visible.drop_vars("pull"))


# ---- refused recordings


@pytest.mark.parametrize(
    ("method", "options", "name"),
    [
        ("asl", {}, "asl"),
        ("probmcl", {}, "probmcl"),
        ("kmcl", {"covariance": "anisotropic"}, "kmcl"),
    ],
)
def test_other_trainings_are_refused(
    method: str, options: dict[str, Any], name: str, recorded: Callable[..., xarray.Dataset]
) -> None:
    with pytest.raises(InvalidInput, match=f"isotropic KMCL; {name} is none"):
        anchor_pulls(recorded(method, **options))
    assert np.isfinite(anchor_pulls(recorded("kmcl-constant"))["pull"]).all()


def test_feature_vectors_are_refused() -> None:
    recording = record(train(vectors(60), "kmcl", **SMALL), every=1).load()
    with pytest.raises(InvalidInput, match="drawn between images; these samples are none"):
        anchor_pulls(recording)


def test_other_recordings_and_choices_are_refused(recorded: Callable[..., xarray.Dataset]) -> None:
    with pytest.raises(InvalidInput, match="expected a recording of a multi-label training"):
        anchor_pulls(xarray.Dataset({"score": 1.0}, attrs={"name": "multilabel-study"}))
    with pytest.raises(UnknownName, match="correlation 'between'"):
        anchor_pulls(recorded(), correlation="between")
    with pytest.raises(UnknownName, match="overlap 'hamming'"):
        anchor_pulls(recorded(), overlap="hamming")
