"""Test tables of studies of condensation against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import xarray
from scipy.stats import t as student

from explore.data import load_graph_set
from explore.errors import InvalidInput, UnknownName
from explore.graphs import table
from explore.graphs.config import GraphStudyConfig
from explore.graphs.study import GraphStudyRun
from explore.graphs.study_tables import tables


def fake_study(networks: int = 3) -> xarray.Dataset:
    """Return the frame of a study with scores that were not trained, one of them missing."""
    methods = ("whole", "unmodified", "gstam")
    config = GraphStudyConfig(methods=methods, graphs_per_class=(1, 4), splits=4, networks=networks)
    run = GraphStudyRun(config, load_graph_set("motifs", count=24))
    run._scores = np.random.default_rng(0).random(run._scores.shape).astype(np.float32)
    run._scores[:, 1, 2, 3] = np.nan
    return run.snapshot()


@pytest.mark.parametrize("measure", ["accuracy", "balanced"])
def test_a_table_has_the_values_of_numpy(measure: str) -> None:
    frame = fake_study()
    rows = table(frame, measure, "unmodified")
    assert rows["graphs per class"].tolist() == [1, 1, 1, 4, 4, 4]
    assert rows["trained on"].tolist() == ["whole set", "the same real graphs", "GSTAM"] * 2
    scores = frame["graph_score"].values[["accuracy", "balanced"].index(measure)]
    for number, (size, method) in enumerate(np.ndindex(2, 3)):
        values = scores[size, method].mean(-1).astype(float)
        values = values[np.isfinite(values)]
        baseline = scores[size, 1].mean(-1).astype(float)[: len(values)]
        count = len(values)
        assert count == (3 if (size, method) == (1, 2) else 4)
        row = rows.iloc[number]
        assert row[measure] == pytest.approx(values.mean(), rel=1e-5)
        assert row["std"] == pytest.approx(values.std(ddof=1), rel=1e-5)
        assert row["splits"] == count
        difference = values - baseline
        assert row["minus the same real graphs"] == pytest.approx(difference.mean(), abs=1e-6)
        half = student.ppf(0.975, count - 1) * difference.std(ddof=1) / np.sqrt(count)
        assert row["±"] == pytest.approx(half, rel=1e-4, abs=1e-7)


def test_the_tables_of_several_studies_are_one() -> None:
    frame = fake_study()
    frame.attrs["config"] = {"data": {"name": "motifs"}}
    other = frame.assign_attrs(config={"data": {"name": "MUTAG"}})
    rows = tables([frame, xarray.Dataset(), other], "gstam")
    assert rows["data"].tolist() == ["motifs"] * 6 + ["MUTAG"] * 6
    balanced, accuracy = (table(frame, measure, "gstam") for measure in ("balanced", "accuracy"))
    for name in balanced.columns:
        np.testing.assert_array_equal(rows[name][:6], balanced[name])
    np.testing.assert_array_equal(rows["accuracy"][6:], accuracy["accuracy"])


def test_odd_tables_are_refused() -> None:
    with pytest.raises(UnknownName, match="unknown measure 'loss'"):
        table(fake_study(), "loss")
    with pytest.raises(UnknownName, match="unknown against 'doscond'"):
        table(fake_study(), against="doscond")
    with pytest.raises(InvalidInput):
        table(xarray.Dataset({"loss": 1.0}))
