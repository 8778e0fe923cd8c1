"""Reruns: the same bits from what a recording says of itself, and how far apart where something was changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from toys import CountingRun, bits

from explore import build, record
from explore.core.recording import open_recording, pack
from explore.core.reproduce import compare_frames, rerun
from explore.data import DistilledSet, load
from explore.errors import DataMissing, InvalidInput, UnknownName
from explore.models import ConvNet, Fit

pytestmark = pytest.mark.usefixtures("_one_thread")
DATA = {"name": "digits", "options": {"size": 8, "margin": 0}}
SURVEY = {"method": "untrained", "data": DATA, "steps": 2, "width": 4, "images": 100}
DM = {
    "method": "dm",
    "data": DATA,
    "preset": "lesson",
    "width": 4,
    "batch": 2,
    "probe_images": 2,
    "probes": 1,
    "steps": 4,
}


def frames(values: Any, steps: Any = (0, 1), **more: Any) -> xarray.Dataset:
    return xarray.Dataset(
        {"a": (("step", "x"), np.atleast_2d(values)), **more}, {"step": list(steps)}
    )


@pytest.mark.parametrize(
    "config",
    [DM, {"method": "herding", "data": DATA, "images_per_class": 2}, SURVEY],
    ids=lambda config: config["method"],
)
def test_it_ends_in_the_same_bits_and_has_the_same_frames(
    config: dict[str, Any], tmp_path: Path
) -> None:
    first = record(build(config), tmp_path / "a.zarr", every=2)
    again, found = rerun(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert again["step"].values.tolist() == first["step"].values.tolist()
    assert bits(again) == bits(first)
    assert found["variable"].tolist() == list(first.data_vars)
    assert found["same bits"].all()
    assert (found["largest difference"] == 0).all()


def test_a_packed_one_goes_as_far_as_it_went_though_it_was_stopped(tmp_path: Path) -> None:
    run: Any = build(DM)
    record(run, tmp_path / "a.zarr", every=1, stop=lambda: run.step >= 2)
    packed = pack(tmp_path / "a.zarr", tmp_path / "a.zarr.zip")
    again, found = rerun(packed, tmp_path / "b.zarr")
    assert again["step"].values.tolist() == [0, 1, 2]
    assert found["same bits"].all()


def test_one_whose_length_is_no_option_goes_as_far_as_it_went_too(tmp_path: Path) -> None:
    run: Any = build({"method": "random", "data": DATA})
    record(run, tmp_path / "a.zarr", every=1, stop=lambda: run.step >= 3)
    again, found = rerun(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert again["step"].values.tolist() == [0, 1, 2, 3]
    assert found["same bits"].all()


def test_changes_are_made_and_it_is_said_how_far_apart_they_lead(tmp_path: Path) -> None:
    first = record(build(DM), tmp_path / "a.zarr", every=1)
    again, found = rerun(tmp_path / "a.zarr", tmp_path / "b.zarr", {"seed": 1})
    assert again.attrs["config"] == {**first.attrs["config"], "seed": 1}
    rows = found.set_index("variable")
    assert not rows["same bits"].all()
    for name in first.data_vars:
        expected = np.nanmax(
            np.abs(first[name].values.astype(float) - again[name].values.astype(float))
        )
        assert rows.loc[str(name), "largest difference"] == expected
    longer, _ = rerun(tmp_path / "a.zarr", tmp_path / "c.zarr", {"steps": 6})
    assert int(longer["step"][-1]) == 6
    with pytest.raises(InvalidInput, match="dm has no option 'sed'"):
        rerun(tmp_path / "a.zarr", tmp_path / "d.zarr", {"sed": 1})
    with pytest.raises(InvalidInput, match="seed must be a whole number of at least 0, got 'one'"):
        rerun(tmp_path / "a.zarr", tmp_path / "d.zarr", {"seed": "one"})


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    record(build(DM), tmp_path / "a.zarr")
    rerun(
        tmp_path / "a.zarr",
        tmp_path / "b.zarr",
        progress=lambda step, steps, message: told.append((step, steps)),
    )
    assert told == [(step, 4) for step in range(5)]


def test_an_evaluation_distils_again_and_finds_the_same_accuracies(tmp_path: Path) -> None:
    run: Any = build(DM)
    for _ in range(4):
        run.advance()
    kept = DistilledSet.of(run).save(tmp_path / "a.safetensors")
    options: dict[str, Any] = {"epochs": 2, "networks": 2, "width": 4}
    first = record(
        build({"method": "evaluate", "distilled": str(kept), **options}), tmp_path / "a-scored.zarr"
    )
    kept.unlink()
    again, found = rerun(tmp_path / "a-scored.zarr", tmp_path / "b.zarr")
    assert found["same bits"].all()
    assert again.attrs["config"] == first.attrs["config"]
    other, _ = rerun(tmp_path / "a-scored.zarr", tmp_path / "c.zarr", {"networks": 3})
    assert np.array_equal(other["accuracy"].values[-1, :, :2], first["accuracy"].values[-1])
    assert np.isfinite(other["accuracy"].values[-1]).all()


def test_a_recording_is_never_compared_with_itself(tmp_path: Path) -> None:
    record(build(DM), tmp_path / "a.zarr")
    with pytest.raises(InvalidInput, match=r"a\.zarr already holds a recording"):
        rerun(tmp_path / "a.zarr", tmp_path / "a.zarr")
    rerun(tmp_path / "a.zarr", tmp_path / "b.zarr")
    with pytest.raises(InvalidInput, match=r"b\.zarr already holds a recording; .* another"):
        rerun(tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_one_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    record(build(DM), tmp_path / "a.zarr", every=1)
    half: Any = build(DM)
    record(half, tmp_path / "b.zarr", every=1, stop=lambda: half.step >= 2)
    told: list[int] = []
    _, found = rerun(
        tmp_path / "a.zarr", tmp_path / "b.zarr", progress=lambda step, *_: told.append(step)
    )
    assert told == [2, 3, 4]
    assert found["same bits"].all()


# ---- what cannot be made again


def test_tensors_were_not_kept_and_this_is_said(tmp_path: Path) -> None:
    digits = load("digits", size=8, margin=0)
    record(
        build({k: v for k, v in DM.items() if k != "data"}, data=(digits.batch(), digits.labels)),
        tmp_path / "a.zarr",
    )
    with pytest.raises(
        InvalidInput, match="made from tensors, and a recording does not contain them"
    ):
        rerun(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert not (tmp_path / "b.zarr").exists()


def test_an_evaluation_of_tensors_says_so_too(tmp_path: Path) -> None:
    digits = load("digits", size=8, margin=0)
    made: Any = build({"method": "random"}, data=(digits.batch(), digits.labels))
    while made.step < made.steps:
        made.advance()
    test = load("digits", "test", size=8, margin=0)
    scores = build(
        {
            "method": "evaluate",
            "distilled": DistilledSet.of(made),
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


def test_loops_of_ones_own_are_not_known(tmp_path: Path) -> None:
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


def test_a_recording_of_its_start_alone_is_made_again(tmp_path: Path) -> None:
    record(build(DM), tmp_path / "a.zarr", stop=lambda: True)
    assert open_recording(tmp_path / "a.zarr")["step"].values.tolist() == [0]
    again, found = rerun(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert again["step"].values[0] == 0
    assert found["same bits"].all()


# ---- the comparison


def test_only_frames_that_both_have_are_compared() -> None:
    row = compare_frames(
        frames([[1.0, 2], [3, 4], [5, 6]], (0, 2, 5)),
        frames([[1.0, 2.25], [5, 5], [9, 9]], (0, 5, 7)),
    ).iloc[0]
    assert (row["variable"], row["largest difference"], row["same bits"]) == ("a", 1.0, False)


@pytest.mark.parametrize(
    ("one", "other", "largest", "same"),
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
def test_numbers_that_are_none_are_compared_by_their_bits(
    one: Any, other: Any, largest: float, same: bool
) -> None:
    row = compare_frames(frames([one, one]), frames([other, other])).iloc[0]
    assert row["largest difference"] == pytest.approx(largest, nan_ok=True)
    assert row["same bits"] == same


def test_whole_numbers_and_yes_and_no_have_differences_too() -> None:
    whole = compare_frames(frames(np.uint8([[0, 255]] * 2)), frames(np.uint8([[255, 0]] * 2))).iloc[
        0
    ]
    assert whole["largest difference"] == 255
    flags = compare_frames(
        frames(np.array([[True, False]] * 2)), frames(np.array([[True, True]] * 2))
    ).iloc[0]
    assert (flags["largest difference"], flags["same bits"]) == (1, False)


def test_what_has_another_shape_or_is_gone_is_not_the_same() -> None:
    first = frames([[1.0, 2]] * 2, more=("step", [1.0, 2]))
    found = compare_frames(first, frames([[1.0, 2, 3]] * 2)).set_index("variable")
    assert found["same bits"].tolist() == [False, False]
    assert found["largest difference"].isna().all()
