"""Pictures of distillation: their data, targets and colour limits."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray
from PIL import Image
from text_boxes import drawn_texts, problems

from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.distill.figures.accuracies import Accuracies, accuracies
from explore.distill.figures.evolution import Evolution, evolution
from explore.distill.figures.untrained import untrained
from explore.errors import InvalidInput


def recorded(name: str) -> xarray.Dataset:
    return open_recording(shipped(f"data/{name}.zarr.zip"))


def evolution_at(**state: Any) -> xarray.Dataset:
    return evolution([recorded("digits-datadam"), recorded("digits-dm")], **state)


def untrained_at(**state: Any) -> xarray.Dataset:
    return untrained(recorded("digits-untrained"), **state)


def test_the_table_contains_the_plotted_numbers() -> None:
    data = evolution_at(step=20)
    table = Evolution(data).table(data)
    first = table[table.method == "DataDAM"]
    recording = recorded("digits-datadam")
    assert first.step.tolist() == recording.step.values.tolist()
    assert np.allclose(
        first["attention distance, mean of all classes"],
        recording.attention_distance.mean(("label", "block")),
    )
    distances = recording.attention_distance.mean("block")
    assert np.allclose(first["attention distance, class 0"], distances.sel(label="0"))
    # The rows that are shown hold the distance of every class.
    shown = table.dropna()
    assert shown.step.tolist() == data["now"].values.tolist()
    frame = distances.sel(step=int(data["now"][0]))
    assert np.allclose(shown.iloc[0].loc["attention distance, class 1":].astype(float), frame[1:])


def test_a_target_is_where_its_tile_is_drawn() -> None:
    """The box of class 3 contains exactly the pixels that change when only image 3 changes."""
    data = evolution_at(step=50, label="0")
    inverted = data.copy(deep=True)
    inverted["image"][0, 3] = 255 - inverted["image"][0, 3]
    before, after = (
        np.asarray(Image.open(io.BytesIO(Evolution(dataset).png()))) for dataset in (data, inverted)
    )
    rows, columns = np.nonzero((before != after).any(2))
    target = next(t for t in Evolution(data).targets(data) if t.label == "class 3")
    height, width = before.shape[:2]
    assert abs(columns.min() / width - target.left) < 0.005
    assert abs((columns.max() + 1) / width - target.right) < 0.005
    assert abs(rows.min() / height - target.top) < 0.01
    assert abs((rows.max() + 1) / height - target.bottom) < 0.01


def test_colour_limits_are_the_same_at_every_step() -> None:
    picture = Evolution(evolution_at(step=0))
    images = [image for axes in picture.figure.axes for image in axes.images]
    limits = [image.get_clim() for image in images]
    assert len(limits) > 8
    picture.update(evolution_at(step=200))
    assert [image.get_clim() for image in images] == limits


def test_equal_distance_selects_the_first_frame_that_is_as_close() -> None:
    data = evolution_at(step=50, by="distance")
    curve = data["curve"].values[1]
    frame = int(np.flatnonzero(data["curve_step"].values[1] == data["now"].values[1])[0])
    assert curve[frame] <= data["distance"].values[0]
    assert (curve[:frame] > data["distance"].values[0]).all()


def test_a_step_that_was_not_recorded_is_said_and_the_nearest_one_is_shown() -> None:
    steps = recorded("digits-datadam").step.values
    low, high = next((int(a), int(b)) for a, b in itertools.pairwise(steps) if b - a > 4)
    for asked, shown in ((low + 1, low), (high - 1, high)):
        data = evolution_at(step=asked)
        assert data["now"].values.tolist() == [shown, shown]
        sentence = f"Step {asked} was not recorded; the nearest one is {shown}."
        assert sentence in Evolution(data).describe(data)
        assert sentence in {text.words for text in drawn_texts(Evolution(data))}
    assert "not recorded" not in Evolution(data).describe(evolution_at(step=low))


def evaluation(
    method: str, values: list[list[float]], step: int = 0, **data: Any
) -> xarray.Dataset:
    test = {"name": "digits", "shape": [400, 1, 8, 8], "sha256": "a", **data}
    config = {"distilled": {"config": {"method": method}, "step": step}, "data": test}
    accuracy = np.array(values)[None]
    names = ["convnet", "vgg11"][: len(values)]
    return xarray.Dataset(
        {"accuracy": (("step", "architecture", "network"), accuracy)},
        {"step": [1], "architecture": ("architecture", np.array(names, object))},
        {"name": "evaluate", "config": config},
    )


def test_evaluations_are_shown_as_one_row_each() -> None:
    first = evaluation("datadam", [[0.5, 0.7], [0.4, np.nan]], step=1200)
    data = accuracies([first, evaluation("random", [[0.6]]), evaluation("random", [[0.8]])])
    assert list(data.set.values) == [
        "DataDAM, step 1,200, convnet",
        "DataDAM, step 1,200, vgg11",
        "random",
        "random (2)",
    ]
    assert (data.attrs["images"], data.attrs["data"]) == (400, "digits")
    picture = Accuracies(data)
    table = picture.table(data)
    assert table["accuracy, %"].tolist() == pytest.approx([60, 40, 60, 80])
    assert table["± standard deviation, %"].iloc[0] == pytest.approx(14.142, abs=1e-3)
    assert "test accuracy" in {text.words for text in drawn_texts(picture)}
    with pytest.raises(InvalidInput, match="different test images"):
        accuracies([first, evaluation("random", [[0.6]], sha256="b")])


def test_a_long_class_name_is_shortened_with_a_mark() -> None:
    data = evolution([recorded("digits-datadam")], label="3")
    names = [f"English springer {k}" for k in range(10)]
    data = data.assign_coords(label=("label", np.array(names, object)))
    picture = Evolution(data)
    assert any(text.words.startswith("English s…") for text in drawn_texts(picture))
    assert problems(picture) == []


@pytest.mark.parametrize(
    ("select", "state", "match"),
    [
        (evolution_at, {"label": "nobody"}, "label must be one of 0, 1"),
        (evolution_at, {"by": "time"}, "by must be"),
        (untrained_at, {"power": 5.0}, "is not in the recording; it has"),
    ],
)
def test_a_state_that_was_not_recorded_is_refused(
    select: Callable[..., xarray.Dataset], state: dict[str, Any], match: str
) -> None:
    with pytest.raises(InvalidInput, match=match):
        select(**state)


def test_recordings_of_another_kind_or_of_other_data_are_refused() -> None:
    with pytest.raises(InvalidInput, match="attention-matching run"):
        evolution(recorded("digits-untrained"))
    with pytest.raises(InvalidInput, match="untrained"):
        untrained(recorded("digits-dm"))
    with pytest.raises(InvalidInput, match="same data"):
        evolution([recorded("digits-dm"), recorded("fashion-dm")])


def test_recordings_of_data_with_another_checksum_are_refused() -> None:
    first, second = recorded("digits-datadam"), recorded("digits-dm")
    config = second.attrs["config"]
    other = second.assign_attrs(config={**config, "data": {**config["data"], "sha256": "0"}})
    with pytest.raises(InvalidInput, match="same data"):
        evolution([first, other])


def test_only_blocks_of_both_recordings_are_shown() -> None:
    deep, full = recorded("digits-datadam").load(), recorded("digits-dm").load()
    shallow = full.drop_vars(["attention_2", "real_attention_2"])
    for pair in ([deep, shallow], [shallow, deep]):
        data = evolution(pair)
        assert "attention_2" not in data
        Evolution(data).png()


def test_figures_are_drawn_without_torch() -> None:
    code = (
        "import sys; from explore import open_recording;"
        "from explore.core.resources import shipped;"
        "from explore.distill.figures.evolution import Evolution, evolution;"
        "data = evolution(open_recording(shipped('data/digits-dm.zarr.zip')));"
        "Evolution(data).png(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
