"""Test tables of studies of losses against numbers computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from study_frames import study_frame

from explore import record
from explore.core.registry import build, method
from explore.core.tables import build_table, format_table
from explore.errors import InvalidInput, UnknownName
from explore.multilabel.study_tables import chosen_settings, table, tables

NAN = float("nan")
STUDENT = 12.706204736
"""The quantile 0.975 of the distribution of Student with one degree of freedom."""

SETTINGS = {"bce": (0.003, 0.1), "asl": (0.01, 0.1), "kmcl": (0.001, 10.0)}


def small_study(**options: Any) -> xarray.Dataset:
    """Return three losses with two seeds, in the order mAP, CF1, OF1."""
    scores = {
        "bce": [[0.8, 0.9], [0.7, 0.7], [0.6, 0.8]],
        "asl": [[0.7, 0.8], [0.7, 0.8], [0.5, 0.5]],
        "kmcl": [[0.9, 0.94], [0.6, 0.9], [0.9, 0.7]],
    }
    return study_frame(scores, SETTINGS, **options)


def test_a_table_has_means_spreads_differences_and_settings() -> None:
    rows = table(small_study())
    assert list(rows.columns) == [
        *("loss", "mAP", "std", "seeds", "minus BCE", "±", "rate", "weight ×")
    ]
    assert rows["loss"].tolist() == ["BCE", "ASL", "KMCL"]
    assert rows["mAP"].tolist() == pytest.approx([0.85, 0.75, 0.92])
    assert rows["std"].tolist() == pytest.approx([0.1 / 2**0.5, 0.1 / 2**0.5, 0.04 / 2**0.5])
    assert rows["seeds"].tolist() == [2, 2, 2]
    assert rows["minus BCE"].tolist() == pytest.approx([0, -0.1, 0.07])
    # The differences 0.1 and 0.04 have the standard error 0.03.
    assert rows["±"].tolist() == pytest.approx([0, 0, 0.03 * STUDENT], abs=1e-5)
    assert rows["rate"].tolist() == [0.003, 0.01, 0.001]
    np.testing.assert_array_equal(rows["weight ×"], [NAN, NAN, 10.0])


def test_another_measure_and_another_loss_to_compare_with() -> None:
    rows = table(small_study(), "OF1", "kmcl")
    assert rows["OF1"].tolist() == pytest.approx([0.7, 0.5, 0.8])
    assert rows["minus KMCL"].tolist() == pytest.approx([-0.1, -0.3, 0])
    assert rows["±"].tolist() == pytest.approx([0.2 * STUDENT, 0.1 * STUDENT, 0], rel=1e-5)


def test_the_last_frame_of_a_recording_is_used() -> None:
    study = small_study()
    empty = study.assign(score=study["score"] * NAN)
    recording = xarray.concat([empty, study], "step").assign_coords(step=[0, 9])
    assert table(recording).equals(table(study))
    assert table(recording.transpose(..., "training_loss")).equals(table(study))


def test_an_unfinished_study_has_empty_cells() -> None:
    scores = {"bce": [[0.8, 0.6, NAN]] * 3, "kmcl": [[0.9, NAN, NAN]] * 3, "asl": [[NAN] * 3] * 3}
    settings = {"bce": (0.003, 0.1), "kmcl": (0.01, 1.0), "asl": (NAN, NAN)}
    study = study_frame(scores, settings)
    rows = table(study)
    assert rows["seeds"].tolist() == [2, 1, 0]
    np.testing.assert_allclose(rows["mAP"], [0.7, 0.9, NAN], rtol=1e-6)
    np.testing.assert_allclose(rows["minus BCE"], [0, 0.1, NAN], rtol=1e-6)
    np.testing.assert_array_equal(rows["±"], [0, NAN, NAN])
    np.testing.assert_array_equal(rows["rate"], [0.003, 0.01, NAN])
    assert chosen_settings(study)[1] == (0.01, 1.0)
    last = format_table(tables([study])).split("\n\n")[0].splitlines()[-1]
    assert last == "| scenes | ASL |  |  |  | 0 |  |  |  |"


def test_the_tables_of_several_studies_are_one() -> None:
    first, second = small_study(), small_study(data="yeast", split="val")
    rows = tables([first, xarray.Dataset(), second])
    assert rows["data"].tolist() == ["scenes"] * 3 + ["yeast"] * 3
    for measure in ("mAP", "CF1", "OF1"):
        assert rows[measure][3:].tolist() == table(second, measure)[measure].tolist()
    assert rows["minus BCE"][:3].tolist() == table(first)["minus BCE"].tolist()
    text = format_table(rows)
    assert "| yeast | KMCL | 75.0 | 80.0 | 92.0 ± 2.8 | 2 | +7.0 ± 38.1 | 0.001 | 10 |" in text
    assert "scored on: scenes: test samples, yeast: validation samples" in text


def test_studies_without_bce_are_compared_with_the_first_loss_of_all() -> None:
    study = small_study()
    parts = study.isel(training_loss=[1, 2]), study.isel(training_loss=[2, 1])
    assert tables(parts)["minus ASL"].tolist() == pytest.approx([0, 0.17, 0.17, 0])
    assert "minus BCE" in tables([study, study.isel(training_loss=[0, 1])])
    assert "minus KMCL" in tables(parts, "kmcl")
    with pytest.raises(InvalidInput, match="no loss in common; make one table of each study"):
        tables([study.isel(training_loss=[0]), study.isel(training_loss=[2])])
    with pytest.raises(UnknownName, match="unknown against 'bce'"):
        tables(parts, "bce")


def test_odd_tables_are_refused() -> None:
    with pytest.raises(UnknownName, match="unknown measure 'accuracy'"):
        table(small_study(), "accuracy")
    with pytest.raises(UnknownName, match="unknown against 'probmcl'"):
        table(small_study(), against="probmcl")
    with pytest.raises(InvalidInput, match="expected a recording of a study of multi-label losses"):
        table(xarray.Dataset({"loss": 1.0}))
    with pytest.raises(InvalidInput, match="got none among 1 recordings"):
        tables([xarray.Dataset({"loss": 1.0})])


@pytest.mark.usefixtures("_one_thread")
def test_a_recorded_study_has_a_table(tmp_path: Path) -> None:
    run = build({**method("multilabel-study").tiny, "method": "multilabel-study"})
    recording = record(run, tmp_path / "study.zarr")
    rows = build_table([tmp_path / "study.zarr"])
    assert rows["loss"].tolist() == ["BCE", "KMCL"]
    scores = recording["score"].isel(step=-1, measure=0).values.astype(float)
    assert rows["mAP"].tolist() == pytest.approx(scores.mean(1).tolist())
    assert rows["minus BCE"][1] == pytest.approx((scores[1] - scores[0]).mean())
    assert rows["rate"].tolist() == [0.003, 0.003]
    np.testing.assert_array_equal(rows["weight ×"], [NAN, 1.0])
