"""The lab: every control works, targets are controls too, live runs stop and resume."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explorers import check_controls, check_picture, check_size, check_targets, explorer_names

from explore.core.recording import open_recording
from explore.core.runs import spare_core
from explore.distill import lab
from explore.errors import DataMissing, InvalidInput, UnknownName
from explore.widgets.explorer import Explorer

EXPLORERS: dict[str, Callable[[], Explorer]] = {
    "untrained": lab.untrained_networks,
    "side by side": lab.side_by_side,
    "side by side, digits": lambda: lab.side_by_side("digits", "atom", "channel"),
    "one run": lab.one_run,
}


@pytest.fixture(params=explorer_names(EXPLORERS, ("side by side, digits",)))
def explorer(request: pytest.FixtureRequest) -> Explorer:
    return EXPLORERS[request.param]()


def test_every_control_is_named_and_every_value_is_shown(explorer: Explorer) -> None:
    check_controls(explorer)


def test_live_pictures_pass_the_same_checks(tmp_path: Path) -> None:
    live = lab.live(steps=4, folder=tmp_path, width=8, batch=4)
    live.job.start(inline=True)
    check_controls(live.explorer)
    live.protocol |= {"epochs": 1, "width": 8}
    live.comparison.start(inline=True).join()
    check_picture(live._compared, "comparison")


def test_runs_open_while_their_images_are_mostly_noise() -> None:
    assert 10 <= lab.side_by_side().step <= 20
    assert lab.one_run().step == lab.side_by_side().step


def test_drawing_new_weights_says_that_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    explorer = lab.untrained_networks()
    seen = []

    def draw(survey: Any, number: int) -> Any:
        seen.append((explorer.message, explorer.controls["draw"].widget.disabled))
        raise InvalidInput("no weights")

    monkeypatch.setattr(lab, "_with_network", draw)
    button = explorer.controls["draw"].widget
    button.click()
    assert seen == [("Drawing the weights of network 6 and computing its maps …", True)]
    assert not button.disabled
    assert "no weights" in explorer.message


def test_whatever_can_be_clicked_is_a_control_too(explorer: Explorer) -> None:
    assert explorer.picture.targets(explorer.data)
    check_targets(explorer)


def test_the_saved_picture_is_small(explorer: Explorer) -> None:
    check_size(explorer)


def test_no_torch_is_imported_to_replay() -> None:
    cells = "lab.untrained_networks(); lab.side_by_side()"
    code = (
        f"import sys; from explore.distill import lab; {cells}; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_new_weights_equal_those_of_a_longer_survey() -> None:
    from explore import build

    explorer = lab.untrained_networks()
    last = explorer.controls["network"].values[-1]
    explorer.controls["draw"].action(explorer)
    assert explorer.network == last + 1
    run: Any = build(open_recording(lab.shipped("data/digits-untrained.zarr.zip")).attrs["config"])
    run.step = last + 1
    assert np.allclose(explorer.data["accuracy"], run.snapshot()["accuracy"][:, 0])
    explorer.network = 0
    assert "network 0" in explorer.alt


def test_equal_distance_changes_only_the_right_side() -> None:
    explorer = lab.side_by_side()
    explorer.step = explorer.controls["step"].values[8]
    left = int(explorer.data["now"][0])
    explorer.by = "distance"
    assert int(explorer.data["now"][0]) == left
    assert int(explorer.data["now"][1]) != left


def test_a_set_without_recordings_is_named() -> None:
    with pytest.raises(
        InvalidInput,
        match="there are shipped recordings of fashion-mnist, digits, but not of 'cifar'",
    ):
        lab.side_by_side("cifar")


@pytest.fixture
def live(tmp_path: Path) -> lab.LiveDistillation:
    return lab.live(steps=30, folder=tmp_path, width=8, batch=4)


def change_noise(live: lab.LiveDistillation) -> None:
    buttons = live.widget.children[0].children
    next(button for button in buttons if button.description == "New noise").click()


def test_the_temporary_folder_of_a_dropped_run_is_removed_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    live = lab.live(steps=30, width=8, batch=4)
    assert list(live.folder.iterdir())
    live.close()
    del live
    gc.collect()  # A warning here would be an error.
    assert not list(tmp_path.iterdir())


def test_a_live_run_shows_its_first_frame_before_it_starts(live: lab.LiveDistillation) -> None:
    assert live.explorer.step == 0
    assert "DataDAM at step 0" in repr(live)


def test_stop_keeps_a_valid_recording_and_start_goes_on(live: lab.LiveDistillation) -> None:
    live.job.start()
    deadline = time.monotonic() + 60
    while live.run.step < 3 and live.job.running and time.monotonic() < deadline:
        time.sleep(0.005)
    live.job.stop()
    stopped = live.job.join(60)
    assert 3 <= live.run.step < 30
    assert stopped.step.values[-1] <= live.run.step
    assert live.job.start().join(60).step.values[-1] == 30
    assert live.explorer.step == 30
    assert "stopped" not in live.job.text


def test_a_resumed_run_ends_like_an_uninterrupted_run(
    live: lab.LiveDistillation, tmp_path: Path
) -> None:
    work = live.job.work
    live.job.work = lambda progress, stop: work(progress, lambda: live.run.step == 7)
    live.job.start(inline=True)
    live.job.work = work
    live.job.start(inline=True)
    other = lab.live(steps=30, folder=tmp_path / "other", width=8, batch=4)
    other.job.start(inline=True)
    assert np.array_equal(live.run.result().images, other.run.result().images)


def test_an_explorer_at_an_earlier_step_stays_there(live: lab.LiveDistillation) -> None:
    live.job.start(inline=True)
    live.explorer.step = 2
    live.run.steps = live.steps = 40
    live.job.start(inline=True)
    assert live.explorer.step == 2
    assert live.explorer.controls["step"].values[-1] == 40


def test_another_method_or_new_noise_starts_over(live: lab.LiveDistillation) -> None:
    live.job.start(inline=True)
    first = live.run.images.detach().clone()
    change_noise(live)
    assert (live.run.step, live.explorer.step) == (0, 0)
    assert not bool((live.run.images == first).all())
    live.settings.method = "dm"
    assert "DM at step 0" in live.explorer.alt


def test_a_job_uses_all_cores_but_one_and_restores_the_setting(live: lab.LiveDistillation) -> None:
    import torch

    before = torch.get_num_threads()
    with spare_core():
        assert torch.get_num_threads() == max(1, min(before, (os.cpu_count() or 2) - 1))
    assert torch.get_num_threads() == before


def test_accuracy_is_compared_with_random_herded_and_mean_images(
    live: lab.LiveDistillation,
) -> None:
    live.protocol |= {"epochs": 2, "width": 8}
    result = live.comparison.start(inline=True).join()
    assert [str(name) for name in result.set.values] == [
        "DataDAM, step 0",
        "random",
        "herding = k-center",
        "class mean",
    ]
    assert "class mean:" in live._compared.alt


def test_a_failed_job_does_not_stop_the_next_run(live: lab.LiveDistillation) -> None:
    def fail(progress: Any, stop: Any) -> None:
        raise InvalidInput("nothing to do")

    work, live.job.work = live.job.work, fail
    live.job.start(inline=True)
    assert "nothing to do" in live.job.text
    change_noise(live)
    live.job.work = work
    assert live.job.start(inline=True).join().step.values[-1] == 30


def test_missing_data_and_unknown_methods_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    with pytest.raises(DataMissing, match="FashionMNIST"):
        lab.live("fashion-mnist")
    with pytest.raises(UnknownName, match="data set of this lab 'scenes'"):
        lab.live("scenes")
    with pytest.raises(UnknownName, match="method 'dam'"):
        lab.live(method="dam")


def test_a_run_that_cannot_be_built_shows_its_error(live: lab.LiveDistillation) -> None:
    live.options["learning_rate"] = -1.0
    change_noise(live)
    assert "learning_rate must be a number above 0" in live.message
    live.options["learning_rate"] = 1.0
    change_noise(live)
    assert live.message == ""


def test_a_comparison_waits_for_the_run(live: lab.LiveDistillation) -> None:
    live.protocol |= {"epochs": 2}
    live.job.start()
    live.comparison.start()
    live.job.wait(60)
    compared = live.comparison.join(60)
    assert str(compared.set.values[0]) == f"DataDAM, step {live.run.step}"


def test_a_survey_of_two_classes_can_be_explored() -> None:
    import torch

    from explore import build, record

    images = torch.rand(80, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    config = {"method": "untrained", "steps": 1, "width": 4}
    recording = record(build(config, (images, torch.arange(80) % 2)))
    explorer = lab.untrained_networks(recording)
    explorer.controls["draw"].widget.click()
    assert "pass data=(images, labels)" in explorer.message
