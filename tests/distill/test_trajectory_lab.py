"""The lab on EDF: every control changes the picture, recordings replay without torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from explorers import check_controls, check_labels, check_size, check_targets
from toys import run_python

from explore.distill.figures.enhanced_step import step_ratio
from explore.distill.trajectories import lab
from explore.distill.trajectories.enhanced_step import enhanced_step
from explore.errors import InvalidInput
from explore.widgets.explorer import Explorer

EXPLORERS: dict[str, Callable[[], Explorer]] = {
    "one step": lab.one_step,
    "side by side": lab.side_by_side,
    "one run": lambda: lab.side_by_side(lab.recording_of("edf")),
}


@pytest.fixture(params=EXPLORERS)
def explorer(request: pytest.FixtureRequest) -> Explorer:
    return EXPLORERS[request.param]()


def test_every_control_has_a_name_and_shows_every_value(explorer: Explorer) -> None:
    if "step" in explorer.state:
        explorer.step = explorer.controls["step"].values[-2]
    check_controls(explorer)


def test_every_target_sets_a_control(explorer: Explorer) -> None:
    check_targets(explorer)


def test_the_saved_picture_is_small(explorer: Explorer) -> None:
    check_size(explorer)


def test_no_slider_shows_a_long_number(explorer: Explorer) -> None:
    check_labels(explorer)


def test_the_recorded_runs_are_shown_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['numba'] = None; "
        "from explore.distill.trajectories import lab; print(len(lab.side_by_side().alt) > 50)"
    )
    assert run_python(code).strip() == "True"


def test_the_step_with_enhancement_is_the_recorded_one() -> None:
    """At the recorded β and with the map that the step used, nothing is invented."""
    recording = lab.recording_of("edf")
    data = enhanced_step(recording, beta=1.0, label=str(recording.label.values[0]))
    multiplier = data.multiplier.values
    np.testing.assert_allclose(data["with"].values, data["without"].values * multiplier, atol=1e-6)
    inside = data["map"].values >= data["map"].values.mean()
    np.testing.assert_allclose(multiplier[inside], data["map"].values[inside] + 1, atol=1e-3)
    assert (multiplier[~inside] == 1).all()
    assert step_ratio(data) > 1
    zero = enhanced_step(recording, beta=0.0)
    assert step_ratio(zero) < step_ratio(data)
    with pytest.raises(InvalidInput, match="beta must be a number of at least 0"):
        enhanced_step(recording, beta=-1.0)
    with pytest.raises(InvalidInput, match="label must be one of"):
        enhanced_step(recording, label="nothing")


def test_both_recordings_have_the_same_data_seed_and_experts() -> None:
    edf, mtt = (lab.recording_of(name).attrs["config"] for name in ("edf", "mtt"))
    for name in ("data", "seed", "experts", "images_per_class", "student_steps"):
        assert edf[name] == mtt[name], name
