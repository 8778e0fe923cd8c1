"""Repeated runs: the same bits from a recorded config, and differences after changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from small_runs import DATA, DM, record_evaluation, record_set
from toys import CountingRun, bits

from explore import build, record
from explore.core.recording import open_recording, pack
from explore.core.reproduce import compare_frames, rerun
from explore.data import DistilledSet, load
from explore.errors import DataMissing, InvalidInput, UnknownName
from explore.models import ConvNet, Fit

pytestmark = pytest.mark.usefixtures("_one_thread")
SURVEY = {"method": "untrained", "data": DATA, "steps": 2, "width": 4, "images": 100}
FOUR_STEPS = {**DM, "steps": 4}


def make_frames(values: Any, steps: Any = (0, 1), **more: Any) -> xarray.Dataset:
    return xarray.Dataset(
        {"a": (("step", "x"), np.atleast_2d(values)), **more}, {"step": list(steps)}
    )


@pytest.mark.parametrize(
    "config",
    [FOUR_STEPS, {"method": "herding", "data": DATA, "images_per_class": 2}, SURVEY],
    ids=lambda config: config["method"],
)
def test_a_repeated_run_has_the_same_bits_and_frames(
    config: dict[str, Any], tmp_path: Path
) -> None:
    first = record(build(config), tmp_path / "a.zarr", every=2)
    repeated, table = rerun(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert repeated["step"].values.tolist() == first["step"].values.tolist()
    assert bits(repeated) == bits(first)
    assert table["variable"].tolist() == list(first.data_vars)
    assert table["same bits"].all()
    assert (table["largest difference"] == 0).all()


def test_a_stopped_run_is_repeated_to_its_last_step(tmp_path: Path) -> None:
    run: Any = build(FOUR_STEPS)
    record(run, tmp_path / "a.zarr", every=1, stop=lambda: run.step >= 2)
    packed = pack(tmp_path / "a.zarr", tmp_path / "a.zarr.zip")
    repeated, table = rerun(packed, tmp_path / "b.zarr")
    assert repeated["step"].values.tolist() == [0, 1, 2]
    assert table["same bits"].all()


def test_a_stopped_run_without_the_option_steps_is_repeated_to_its_last_step(
    tmp_path: Path,
) -> None:
    run: Any = build({"method": "random", "data": DATA})
    record(run, tmp_path / "a.zarr", every=1, stop=lambda: run.step >= 3)
    repeated, table = rerun(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert repeated["step"].values.tolist() == [0, 1, 2, 3]
    assert table["same bits"].all()


def test_changed_options_are_used_and_the_differences_are_returned(tmp_path: Path) -> None:
    first = record(build(FOUR_STEPS), tmp_path / "a.zarr", every=1)
    repeated, table = rerun(tmp_path / "a.zarr", tmp_path / "b.zarr", {"seed": 1})
    assert repeated.attrs["config"] == {**first.attrs["config"], "seed": 1}
    rows = table.set_index("variable")
    assert not rows["same bits"].all()
    for name in first.data_vars:
        expected = np.nanmax(
            np.abs(first[name].values.astype(float) - repeated[name].values.astype(float))
        )
        assert rows.loc[str(name), "largest difference"] == expected
    longer, _ = rerun(tmp_path / "a.zarr", tmp_path / "c.zarr", {"steps": 6})
    assert int(longer["step"][-1]) == 6
    with pytest.raises(InvalidInput, match="dm has no option 'sed'"):
        rerun(tmp_path / "a.zarr", tmp_path / "d.zarr", {"sed": 1})
    with pytest.raises(
        InvalidInput, match=r"seed must be a whole number of at least 0.*, got 'one'"
    ):
        rerun(tmp_path / "a.zarr", tmp_path / "d.zarr", {"seed": "one"})


def test_progress_is_called_at_every_step(tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []
    record(build(FOUR_STEPS), tmp_path / "a.zarr")
    rerun(
        tmp_path / "a.zarr",
        tmp_path / "b.zarr",
        progress=lambda step, steps, message: reports.append((step, steps)),
    )
    assert reports == [(step, 4) for step in range(5)]


def test_an_evaluation_without_its_file_distils_again_to_the_same_accuracies(
    tmp_path: Path,
) -> None:
    distilled = record_set(FOUR_STEPS, tmp_path / "a.zarr")
    first = record_evaluation(distilled, tmp_path / "a-scored.zarr", epochs=2, networks=2, width=4)
    distilled.unlink()
    repeated, table = rerun(tmp_path / "a-scored.zarr", tmp_path / "b.zarr")
    assert table["same bits"].all()
    assert repeated.attrs["config"] == first.attrs["config"]
    other, _ = rerun(tmp_path / "a-scored.zarr", tmp_path / "c.zarr", {"networks": 3})
    assert np.array_equal(other["accuracy"].values[-1, :, :2], first["accuracy"].values[-1])
    assert np.isfinite(other["accuracy"].values[-1]).all()


def test_an_existing_recording_is_not_overwritten(tmp_path: Path) -> None:
    record(build(FOUR_STEPS), tmp_path / "a.zarr")
    with pytest.raises(InvalidInput, match=r"a\.zarr already holds a recording"):
        rerun(tmp_path / "a.zarr", tmp_path / "a.zarr")
    rerun(tmp_path / "a.zarr", tmp_path / "b.zarr")
    with pytest.raises(InvalidInput, match=r"b\.zarr already holds a recording; .* another"):
        rerun(tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_an_interrupted_repetition_continues(tmp_path: Path) -> None:
    record(build(FOUR_STEPS), tmp_path / "a.zarr", every=1)
    interrupted: Any = build(FOUR_STEPS)
    record(interrupted, tmp_path / "b.zarr", every=1, stop=lambda: interrupted.step >= 2)
    steps: list[int] = []
    _, table = rerun(
        tmp_path / "a.zarr", tmp_path / "b.zarr", progress=lambda step, *_: steps.append(step)
    )
    assert steps == [2, 3, 4]
    assert table["same bits"].all()


# ---- what cannot be made again


def test_a_run_from_tensors_is_refused(tmp_path: Path) -> None:
    digits = load("digits", size=8, margin=0)
    record(
        build(
            {k: v for k, v in FOUR_STEPS.items() if k != "data"},
            data=(digits.batch(), digits.labels),
        ),
        tmp_path / "a.zarr",
    )
    with pytest.raises(
        InvalidInput, match="made from tensors, and a recording does not contain them"
    ):
        rerun(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert not (tmp_path / "b.zarr").exists()


def test_an_evaluation_of_a_set_from_tensors_is_refused(tmp_path: Path) -> None:
    digits = load("digits", size=8, margin=0)
    run: Any = build({"method": "random"}, data=(digits.batch(), digits.labels))
    while run.step < run.steps:
        run.advance()
    test = load("digits", "test", size=8, margin=0)
    scores = build(
        {
            "method": "evaluate",
            "distilled": DistilledSet.of(run),
            "epochs": 1,
            "networks": 1,
            "width": 4,
        },
        data=test,
    )
    record(scores, tmp_path / "a.zarr")
    with pytest.raises(
        InvalidInput, match="made from tensors, and a recording does not contain them"
    ):
        rerun(tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_runs_of_unknown_methods_are_refused(tmp_path: Path) -> None:
    record(CountingRun(2), tmp_path / "a.zarr")
    with pytest.raises(UnknownName, match="unknown method 'counting'"):
        rerun(tmp_path / "a.zarr", tmp_path / "b.zarr")
    digits = load("digits", size=8, margin=0).subset(slice(0, 20))
    record(
        Fit(ConvNet(1, 10, 8, width=2), digits.batch(), digits.labels, epochs=1),
        tmp_path / "fit.zarr",
    )
    with pytest.raises(UnknownName, match="unknown method 'fit'"):
        rerun(tmp_path / "fit.zarr", tmp_path / "b.zarr")
    nameless = CountingRun(2)
    nameless.config = {"seed": 0}
    record(nameless, tmp_path / "c.zarr")
    with pytest.raises(InvalidInput, match=r"c\.zarr does not name its method"):
        rerun(tmp_path / "c.zarr", tmp_path / "b.zarr")
    with pytest.raises(DataMissing, match="does not exist"):
        rerun(tmp_path / "none.zarr", tmp_path / "b.zarr")


def test_a_recording_of_the_first_frame_alone_is_repeated(tmp_path: Path) -> None:
    record(build(FOUR_STEPS), tmp_path / "a.zarr", stop=lambda: True)
    assert open_recording(tmp_path / "a.zarr")["step"].values.tolist() == [0]
    repeated, table = rerun(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert repeated["step"].values[0] == 0
    assert table["same bits"].all()


# ---- the comparison


def test_only_frames_of_both_recordings_are_compared() -> None:
    row = compare_frames(
        make_frames([[1.0, 2], [3, 4], [5, 6]], (0, 2, 5)),
        make_frames([[1.0, 2.25], [5, 5], [9, 9]], (0, 5, 7)),
    ).iloc[0]
    assert (row["variable"], row["largest difference"], row["same bits"]) == ("a", 1.0, False)


@pytest.mark.parametrize(
    ("first", "second", "largest", "same"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0, True),
        ([0.0, 2.0], [-0.0, 2.0], 0.0, False),
        ([np.nan, 2.0], [np.nan, 2.0], 0.0, True),
        ([np.nan, np.nan], [np.nan, np.nan], 0.0, True),
        ([np.nan, 2.0], [1.0, 2.0], np.nan, False),
        ([np.nan, np.nan], [1.0, 2.0], np.nan, False),
        ([np.inf, 2.0], [np.inf, 2.0], 0.0, True),
        ([np.inf, 2.0], [1.0, 2.0], np.inf, False),
    ],
)
def test_nan_and_infinity_are_compared_by_their_bits(
    first: Any, second: Any, largest: float, same: bool
) -> None:
    row = compare_frames(make_frames([first, first]), make_frames([second, second])).iloc[0]
    assert row["largest difference"] == pytest.approx(largest, nan_ok=True)
    assert row["same bits"] == same


def test_integers_and_booleans_have_differences() -> None:
    integers = compare_frames(
        make_frames(np.uint8([[0, 255]] * 2)), make_frames(np.uint8([[255, 0]] * 2))
    ).iloc[0]
    assert integers["largest difference"] == 255
    flags = compare_frames(
        make_frames(np.array([[True, False]] * 2)), make_frames(np.array([[True, True]] * 2))
    ).iloc[0]
    assert (flags["largest difference"], flags["same bits"]) == (1, False)


def test_variables_of_another_shape_or_missing_ones_differ() -> None:
    first = make_frames([[1.0, 2]] * 2, more=("step", [1.0, 2]))
    table = compare_frames(first, make_frames([[1.0, 2, 3]] * 2)).set_index("variable")
    assert table["same bits"].tolist() == [False, False]
    assert table["largest difference"].isna().all()
