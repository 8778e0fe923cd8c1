"""Complexity of odd input: files that cannot be decoded, options, images and folders that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scene_folders import CELLS, make, publish

from explore import build, record
from explore.core.tables import build_table
from explore.errors import DataMissing, ExploreWarning, InvalidInput, UnknownName

pytestmark = pytest.mark.usefixtures("_one_thread")


# ---- files that cannot be decoded


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of scenes, one folder for each class."""
    return publish(tmp_path / "scenes")


def test_an_unreadable_file_is_named_with_what_to_do(folder: Path) -> None:
    (folder / "ring" / "broken.png").write_bytes(b"no image")
    run = make(folder, batch=21)
    with pytest.raises(InvalidInput) as caught:
        run.advance()
    text = str(caught.value)
    assert str(folder / "ring" / "broken.png") in text
    assert text.endswith("remove the file, or give skip_unreadable=True")
    assert run.step == 0


@pytest.mark.parametrize("batch", [1, 4, 50])
def test_unreadable_files_are_left_out_counted_and_named(folder: Path, batch: int) -> None:
    expected = make(folder).run()
    broken = [folder / "disc" / f"{name}.png" for name in ("!1", "zz", "~1", "~2", "~3")]
    for file in broken:
        file.write_bytes(b"no image")
    run = make(folder, batch=batch, skip_unreadable=True).run()
    result = run.result()
    unreadable = np.isin(result["file"].values, [f"disc/{file.name}" for file in broken])
    assert unreadable.sum() == int(result["unreadable"]) == 5
    assert np.isnan(result["area"].values).tolist() == unreadable.tolist()
    np.testing.assert_allclose(
        result["area"].values[~unreadable], expected.result()["area"], atol=2.5 / CELLS
    )
    assert run.complexity == pytest.approx(expected.complexity, abs=1 / CELLS)
    assert result["measured"].values.tolist() == [4] * 5
    assert result["images"].values.tolist() == [4, 9, 4, 4, 4]
    named = ", ".join(map(str, broken[:3]))
    assert run.summary() == (
        f"complexity {run.complexity:.1%} over 5 classes; 5 files could not be decoded: {named} …"
    )


def test_a_class_without_a_readable_file_has_no_complexity(folder: Path, tmp_path: Path) -> None:
    for file in (folder / "cross").iterdir():
        file.write_bytes(b"no image")
    run = make(folder, skip_unreadable=True)
    recording = record(run, tmp_path / "x.zarr")
    last = recording.isel(step=-1)
    assert last["measured"].values.tolist() == [0, 4, 4, 4, 4]
    assert np.isnan(last["complexity"].values).tolist() == [True] + [False] * 4
    assert run.complexity == pytest.approx(float(last["complexity"][1:].mean()), abs=1e-6)
    rows = build_table([tmp_path / "x.zarr"]).set_index("class")
    assert np.isnan(rows.loc["cross", "complexity"])
    assert rows.loc["all classes", "complexity"] == pytest.approx(run.complexity, abs=1e-6)


# ---- options, images and folders


def test_images_are_needed() -> None:
    for data in (None, ""):
        with pytest.raises(InvalidInput, match="complexity needs images; give a folder of class"):
            build({"method": "complexity", "network": "scenes-vgg", "data": data})


@pytest.mark.parametrize(
    ("data", "options", "error", "words"),
    [
        ("scenes", {"network": "scenes-vgq"}, UnknownName, "Did you mean 'scenes-vgg'"),
        ("scenes", {"network": "torchvision:resnet18"}, InvalidInput, "weights=FILE"),
        ("scenes", {"subset": "woof"}, InvalidInput, "subset='woof' needs a folder of ImageNet"),
        ("no/folder", {}, DataMissing, "no/folder does not exist"),
        ("no-set", {}, UnknownName, "no-set"),
        ("scenes", {"kind": "scorecam"}, UnknownName, "scorecam"),
        ("scenes", {"layer": "nowhere"}, UnknownName, "unknown layer 'nowhere'"),
        ("scenes", {"batch": 0}, InvalidInput, "batch must be a whole number of at least 1"),
        ("scenes", {"images": -1}, InvalidInput, "images must be a whole number of at least 0"),
        ("scenes", {"threshold": -0.1}, InvalidInput, "threshold must be a number of at least 0"),
        ("digits", {}, InvalidInput, "images of 3 channels, those of digits have 1; choose"),
        (7, {}, InvalidInput, "data must be"),
    ],
)
def test_odd_options_are_refused(
    data: Any, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        make(data, **options)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (torch.zeros(2, 3, 8, 8).byte(), [0, 1], "convert bytes with .float"),
        (torch.full((2, 3, 8, 8), np.nan), [0, 1], "2 images hold NaN or Inf"),
        (torch.zeros(2, 3, 8, 8), [0, -1], "labels must be 0 to 100000, got -1 to 0"),
        (torch.zeros(2, 3, 8, 8), [0], r"labels must be integers \[2\]"),
        (
            torch.zeros(2, 1, 8, 8),
            [0, 1],
            "'scenes-vgg' does not take the images of tensors, 1×8×8",
        ),
        (torch.zeros(2, 3, 2, 2), [0, 1], "does not take the images of tensors, 3×2×2: .*; choose"),
    ],
)
def test_odd_tensors_are_refused(images: torch.Tensor, labels: list[int], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make((images, torch.tensor(labels)))


def test_a_folder_of_one_class_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidInput, match="disc contains no class folders"):
        make(folder / "disc")
    only = folder / "above"
    only.mkdir()
    (folder / "ring").rename(only / "ring")
    with pytest.raises(InvalidInput, match="above contains only one class folder"):
        make(only)


def test_missing_classes_of_a_subset_are_named(folder: Path) -> None:
    with pytest.raises(DataMissing, match=r"lacks 10 of the 10 classes of woof: Australian"):
        make(folder, subset="woof")
    with (
        pytest.warns(ExploreWarning, match="banjo"),
        pytest.raises(DataMissing, match="9 of the 9"),
    ):
        make(folder, subset="music_hard")


def test_a_folder_is_preferred_to_a_set_of_the_same_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert make("scenes").config["data"]["name"] == "files"
    monkeypatch.chdir(folder)
    assert make("scenes").config["data"]["name"] == "scenes"
