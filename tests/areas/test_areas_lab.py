"""The lab of activation areas: what each cell shows, what its dials do, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray
from explorers import check_controls, check_lab_without, check_labels, check_size, check_targets

from explore.areas import lab
from explore.areas.config import CUES, OBJECT_SIZES
from explore.areas.figures.area_curves import area_curves
from explore.areas.figures.class_complexity import class_complexity
from explore.areas.figures.object_areas import TOLERANCE, agreement
from explore.areas.scene_maps import scene_maps, task_labels
from explore.attention import activation_area, gradcam
from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.data import load
from explore.errors import DataMissing, InvalidInput, UnknownName
from explore.models.trained.loading import find_network, load_network
from explore.widgets.explorer import Explorer


def with_prediction(explorer: Explorer) -> Explorer:
    """Return the explorer after its maps were revealed."""
    explorer.set(prediction="less")
    return explorer


EXPLORERS: dict[str, Callable[[], Explorer]] = {
    "scenes": lambda: with_prediction(lab.object_areas(20)),
    "areas over steps": lab.areas_over_steps,
    "complexity": lab.complexity,
}


@pytest.fixture(params=EXPLORERS)
def explorer(request: pytest.FixtureRequest) -> Explorer:
    return EXPLORERS[request.param]()


def test_every_control_has_a_name_and_shows_every_value(explorer: Explorer) -> None:
    check_controls(explorer)


def test_every_target_sets_a_control(explorer: Explorer) -> None:
    check_targets(explorer)


def test_the_saved_picture_is_small(explorer: Explorer) -> None:
    check_size(explorer)


def test_no_slider_shows_a_long_number(explorer: Explorer) -> None:
    check_labels(explorer)


def test_the_recorded_part_of_the_lab_opens_without_torch() -> None:
    check_lab_without(("torch", "numba"), "areas", ("areas_over_steps", "complexity"))


@pytest.fixture(scope="module")
def scenes_explorer() -> Explorer:
    explorer = lab.object_areas(30)
    explorer.set(prediction="less")
    return explorer


def test_curves_end_at_the_present_step() -> None:
    explorer = lab.areas_over_steps()
    curve = next(line for line in explorer.picture._axes.lines if line.get_label() == "this class")
    for step in (0, 5, explorer.controls["step"].values[-1]):
        explorer.step = step
        assert len(curve.get_xdata()) == step + 1


def test_areas_are_hidden_until_a_prediction_is_chosen() -> None:
    explorer = lab.object_areas(10)
    assert "hidden until a prediction is chosen" in explorer.alt
    assert "area of the map, %" not in explorer.picture.table(explorer.data)
    assert explorer.picture.targets(explorer.data) == []
    hidden = explorer.picture.png()
    explorer.set(prediction="more")
    assert explorer.picture.png() != hidden
    assert len(explorer.picture.targets(explorer.data)) == 10
    assert "area of the map, %" in explorer.picture.table(explorer.data)


def test_a_click_on_a_dot_shows_its_scene(scenes_explorer: Explorer) -> None:
    scenes_explorer.view.chosen = {"index": 6, "count": 1}
    assert scenes_explorer.state["image"] == 7
    assert "Scene 7:" in scenes_explorer.alt


@pytest.mark.parametrize("cue", CUES)
def test_areas_are_those_of_gradcam(cue: str) -> None:
    found = scene_maps(cue, 0.3, 4, count=6)
    images = load("scenes", "test", size=32, count=6, object_size=0.3, clutter=4)
    labels, _ = task_labels(images, cue)
    network, _ = load_network(CUES[cue])
    maps = torch.cat(
        [gradcam(network, images.batch([k]), int(labels[k])) for k in range(len(images))]
    )
    assert images.masks is not None
    np.testing.assert_allclose(found.areas, activation_area(maps).numpy(), atol=2 / 32**2)
    np.testing.assert_allclose(found.object_shares, images.masks.float().mean((1, 2)).numpy())


@pytest.mark.parametrize("cue", CUES)
def test_areas_grow_with_the_object_and_less_than_it(cue: str) -> None:
    found = [scene_maps(cue, size, None, count=200) for size in OBJECT_SIZES]
    areas = [maps.areas.mean() for maps in found]
    shares = [maps.object_shares.mean() for maps in found]
    # Between the two smallest objects one value of the map is larger than the object.
    assert areas[1:] == sorted(areas[1:])
    assert areas[0] < areas[2]
    assert areas[0] > shares[0]
    assert areas[-1] < shares[-1]


@pytest.mark.parametrize("cue", CUES)
def test_the_trained_network_points_at_objects_and_the_shuffled_one_does_not(cue: str) -> None:
    pointing = {
        comparison: scene_maps(cue, 0.3, 4, comparison, count=200).pointing
        for comparison in ("trained", "random weights")
    }
    assert pointing["trained"] > pointing["random weights"] + 0.2


def test_every_dial_changes_the_picture(scenes_explorer: Explorer) -> None:
    changes = {
        "size": 0.42,
        "cue": "texture",
        "clutter": 0,
        "comparison": "wrong class",
        "kind": "layercam",
        "layer": "6",
        "image": 2,
        "prediction": "more",
    }
    assert set(changes) == set(scenes_explorer.state)
    for name, value in changes.items():
        before = scenes_explorer.picture.png()
        scenes_explorer.set(**{name: value})
        assert scenes_explorer.picture.png() != before, name


def test_the_prediction_is_counted_by_hand() -> None:
    shares, areas = np.array([0.1, 0.4, 0.3]), np.array([0.3, 0.1, 0.3 + TOLERANCE / 2])
    assert agreement(shares, areas, "more") == pytest.approx(1 / 3)
    assert agreement(shares, areas, "less") == pytest.approx(1 / 3)
    assert agreement(shares, areas, "same") == pytest.approx(1 / 3)


@pytest.mark.parametrize("count", [0, 9, 501, 2.5])
def test_an_impossible_number_of_scenes_is_refused(count: float) -> None:
    with pytest.raises(InvalidInput, match="count must be a whole number"):
        lab.object_areas(count)  # type: ignore[arg-type]


def test_areas_over_steps_shows_three_methods_and_recordings_of_your_own() -> None:
    explorer = lab.areas_over_steps()
    assert list(explorer.controls["recording"].values) == ["dm", "datadam", "atom"]
    explorer.set(recording="atom", step=explorer.controls["step"].values[-1], label="Coat")
    assert "ATOM on fashion-mnist" in explorer.alt
    assert "Class Coat" in explorer.alt
    path = str(shipped("data/areas-fashion-dm.zarr.zip"))
    assert "DM on fashion-mnist at step 0" in lab.areas_over_steps(path).alt


def test_other_recordings_are_refused() -> None:
    with pytest.raises(DataMissing, match="no recording nowhere"):
        lab.areas_over_steps("nowhere")
    with pytest.raises(InvalidInput, match="a recording of areas of synthetic images"):
        lab.areas_over_steps(str(shipped("data/digits-dm.zarr.zip")))
    with pytest.raises(InvalidInput, match="a recording of the complexity of a data set"):
        lab.complexity(str(shipped("data/digits-dm.zarr.zip")))


def test_figures_refuse_unknown_classes_and_several_recordings() -> None:
    recording = open_recording(shipped("data/areas-fashion-dm.zarr.zip"))
    with pytest.raises(InvalidInput, match="label must be one of T-shirt"):
        area_curves(recording, label="hat")
    with pytest.raises(InvalidInput, match="shows one recording, got 2"):
        area_curves([recording, recording])


def test_the_curves_are_the_recorded_areas() -> None:
    recording = open_recording(shipped("data/areas-fashion-dm.zarr.zip")).load()
    data = area_curves(recording, step=3, label="Bag")
    row = recording.label.values.tolist().index("Bag")
    expected = recording["area"].isel(label=row).mean("copy").values
    np.testing.assert_allclose(data["curve"].values[row], expected)
    assert float(data["area"][row]) == pytest.approx(float(expected[3]))
    assert int(data["now"]) == int(recording["distillation_step"][3])


def test_complexity_rows_are_sorted_and_do_not_move() -> None:
    recording = open_recording(shipped("data/complexity-imagenette.zarr.zip")).load()
    last = class_complexity(recording)
    assert last["complexity"].values.tolist() == sorted(last["complexity"].values.tolist())
    first = class_complexity(recording, int(recording.step[0]))
    assert first.label.values.tolist() == last.label.values.tolist()
    assert "No image is measured yet" in lab.complexity().picture.describe(first)


def test_photographs_say_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    text = lab.photographs()._repr_html_()
    entry = find_network("squeezenet")
    assert "imagenette" in text
    assert entry.weights in text
    assert str(tmp_path) not in text  # a saved notebook names no folder of its author


@pytest.mark.data("imagenette")
@pytest.mark.data("weights")
def test_photographs_show_the_predicted_class() -> None:
    explorer = lab.photographs(1)
    assert isinstance(explorer, Explorer)
    explorer.set(photograph=5, kind="layercam")
    assert explorer.alt.startswith("Photograph of the class church")
    assert isinstance(explorer.data, xarray.Dataset)


@pytest.mark.parametrize(("name", "value"), [("cue", "smell"), ("comparison", "none")])
def test_unknown_cues_and_comparisons_are_named(name: str, value: str) -> None:
    arguments = {"cue": "outline", "comparison": "trained", name: value}
    with pytest.raises(UnknownName, match=value):
        scene_maps(arguments["cue"], 0.3, 4, arguments["comparison"])
