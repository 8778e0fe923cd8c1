"""Complexity of a data set as a run: against single images, for folders and sets, stopped and resumed."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from PIL import Image
from safetensors.torch import save_file
from scene_folders import CELLS, SHAPES, SIZE, make, publish
from torchvision.models import squeezenet1_1
from toys import bits

from explore import build, open_recording, record
from explore.attention import ActivationMapper, gradcam
from explore.data import scenes
from explore.data.datasets.synthetic_scenes import MEAN, STD
from explore.errors import ConfigMismatch, ExploreWarning
from explore.models.trained.loading import load_network

pytestmark = pytest.mark.usefixtures("_one_thread")
NEAR = 1e-4
"""Values this close to the threshold may lie on either side of it, by rounding."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of scenes, one folder for each class."""
    return publish(tmp_path / "scenes")


def normalize_file(path: Path, mean: Any = MEAN, std: Any = STD) -> torch.Tensor:
    """Return the image of a file as a network takes it, ``[1, 3, H, W]``."""
    pixels = np.asarray(Image.open(path)).transpose(2, 0, 1) / 255
    values = (pixels - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    return torch.from_numpy(values).float()[None]


def area_limits(cam: torch.Tensor, threshold: float = 0.5) -> tuple[float, float]:
    """Return the smallest and the largest share above the threshold that rounding can give."""
    values = cam.numpy()
    return float((values > threshold + NEAR).mean()), float((values > threshold - NEAR).mean())


def check_areas(areas: np.ndarray, limits: list[tuple[float, float]]) -> None:
    low, high = np.array(limits).T
    assert (areas >= low - 1e-6).all()
    assert (areas <= high + 1e-6).all()
    assert (high - low).max() <= 2 / CELLS, "the limits are too wide to test anything"


def check_classes(result: xarray.Dataset) -> None:
    """The statistics of each class are those of its images' areas."""
    for label in range(result.sizes["label"]):
        area = result["area"].values[result["image_label"].values == label].astype(float)
        area = area[np.isfinite(area)]
        row = result.isel(label=label)
        assert row["measured"] == len(area)
        assert float(row["complexity"]) == pytest.approx(1 - area.mean(), abs=1e-6)
        assert float(row["deviation"]) == pytest.approx(np.std(area, ddof=1), abs=1e-6)


# ---- against single images


@pytest.mark.parametrize("kind", ["gradcam", "hirescam", "layercam", "gradcam++"])
@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_areas_are_those_of_single_images(folder: Path, kind: str, threshold: float) -> None:
    result = make(folder, kind=kind, threshold=threshold).run().result()
    network, _ = load_network("scenes-vgg")
    files = [folder / name for name in result["file"].values]
    assert len(files) == 20
    assert files == sorted(folder.rglob("*.png"))
    limits = []
    for file in files:
        cam = gradcam(
            network, normalize_file(file), size="layer", kind=kind
        )  # of the predicted class
        assert cam.numel() == CELLS
        limits.append(area_limits(cam, threshold))
    check_areas(result["area"].values, limits)
    check_classes(result)
    assert result["label"].values.tolist() == sorted(SHAPES)
    assert result["images"].values.tolist() == result["measured"].values.tolist() == [4] * 5
    assert len(np.unique(result["area"])) > 10


def test_the_class_is_the_predicted_one_and_the_layer_can_be_named(folder: Path) -> None:
    network, _ = load_network("scenes-vgg")
    result = make(folder, layer="12").run().result()
    files = [folder / name for name in result["file"].values]
    images = torch.cat([normalize_file(file) for file in files])
    predicted = network(images).argmax(1)
    with pytest.warns(ExploreWarning, match=r"maps of layer .12. .* became zeros"):
        cams = gradcam(network, images, predicted, "12", size="layer")
    assert cams.shape[1:] == (32, 32)
    check_areas(result["area"].values, [area_limits(cam) for cam in cams])
    assert (result["area"].values[(cams == 0).all((1, 2)).numpy()] == 0).all()
    assert (result.attrs["map"]["layer"], result.attrs["map"]["resolution"]) == ("12", [32, 32])


def test_the_noise_of_an_image_depends_on_its_number_and_the_seed(folder: Path) -> None:
    network, _ = load_network("scenes-vgg")
    mapper = ActivationMapper(network, kind="smoothgradcam++", seed=3)
    result = make(folder, kind="smoothgradcam++", seed=3).run().result()
    limits = [
        area_limits(mapper(normalize_file(folder / name), numbers=[number]).maps)
        for number, name in enumerate(result["file"].values)
    ]
    check_areas(result["area"].values, limits)
    other = make(folder, kind="smoothgradcam++", seed=4).run().result()
    assert np.abs(other["area"] - result["area"]).max() > 1 / CELLS


@pytest.mark.parametrize("kind", ["gradcam", "smoothgradcam++"])
def test_the_batch_does_not_matter(folder: Path, kind: str) -> None:
    runs = [make(folder, kind=kind, batch=batch) for batch in (1, 3, 20, 500)]
    assert [run.steps for run in runs] == [20, 7, 1, 1]
    first, *others = (run.run().result() for run in runs)
    for result in others:
        # By rounding, a value or two may lie on the other side of the threshold.
        np.testing.assert_allclose(result["area"], first["area"], atol=2.5 / CELLS)
        np.testing.assert_allclose(result["complexity"], first["complexity"], atol=1 / CELLS)


def test_a_folder_has_the_complexity_of_the_same_images_as_a_set(folder: Path) -> None:
    data = scenes("test", size=SIZE, count=20)
    of_set = make(data).run().result()
    assert of_set["label"].values.tolist() == list(SHAPES)
    of_folder = make(folder).run().result()
    numbers = [int(Path(name).stem) for name in of_folder["file"].values]
    np.testing.assert_allclose(of_folder["area"], of_set["area"].values[numbers], atol=2.5 / CELLS)
    np.testing.assert_allclose(
        of_folder["complexity"].values,
        [of_set["complexity"].values[SHAPES.index(n)] for n in of_folder["label"].values],
        atol=1 / CELLS,
    )
    tensors = make((data.batch(), data.labels)).run().result()
    np.testing.assert_allclose(tensors["area"], of_set["area"], atol=2.5 / CELLS)
    assert tensors["label"].values.tolist() == list("01234")
    names = {"name": "scenes", "options": {"split": "test", "size": SIZE, "count": 20}}
    assert bits(make(names).run().result()) == bits(of_set)


def test_a_folder_is_normalised_as_the_network_was_trained(folder: Path, tmp_path: Path) -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = squeezenet1_1(num_classes=1000).eval()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    options = {"network": "torchvision:squeezenet1_1", "weights": str(tmp_path / "w.safetensors")}
    result = make(folder, images=2, layer="features.2", **options).run().result()
    limits, unnormalised = [], []
    for name in result["file"].values:
        image = normalize_file(folder / name, mean, std)
        cams = [
            gradcam(network, x, layer="features.2", size="layer")
            for x in (image, normalize_file(folder / name))
        ]
        limits.append(area_limits(cams[0]))
        unnormalised.append(area_limits(cams[1])[0])
    assert len(limits) == 10
    low, high = np.array(limits).T
    assert ((low <= result["area"] + 1e-6) & (result["area"] - 1e-6 <= high)).all()
    assert np.abs(result["area"].values - unnormalised).max() > 0.01


# ---- the run


def test_images_are_mixed_and_each_is_measured_once(folder: Path) -> None:
    run = make(folder, batch=5)
    assert np.isnan(run.snapshot()["complexity"]).all()
    assert run.snapshot()["measured"].values.tolist() == [0] * 5
    assert "nan" in run.message
    assert run.steps == 4
    areas = run.result()["area"].values
    for step in range(1, 5):
        run.advance()
        measured = run.snapshot()["measured"].values
        assert measured.sum() == 5 * step
        if step == 1:
            assert (measured > 0).sum() > 2  # not class by class, of which each has four images
        before, areas = np.isfinite(areas), run.result()["area"].values
        assert np.isfinite(areas[before]).all()
    assert measured.tolist() == [4] * 5


def test_the_complexity_of_the_set_is_the_mean_over_classes(tmp_path: Path) -> None:
    root = publish(tmp_path / "scenes")
    for name in ("disc", "ring"):  # so that the mean over images is another
        for file in sorted((root / name).iterdir())[1:]:
            file.unlink()
    run = make(root).run()
    result = run.result()
    by_class = result["complexity"].values
    assert run.complexity == pytest.approx(by_class.mean(), abs=1e-6)
    assert abs(run.complexity - float(1 - result["area"].mean())) > 1e-4
    assert run.message == f"14 images, {run.complexity:.1%}"
    assert run.summary() == f"complexity {run.complexity:.1%} over 5 classes"
    single = result.sel(label=["disc", "ring"])
    assert single["measured"].values.tolist() == [1, 1]
    assert np.isnan(single["deviation"]).all()
    assert np.isfinite(single["complexity"]).all()


def test_some_images_of_each_class(folder: Path) -> None:
    everything = make(folder).run().result()
    first = make(folder, images=2).run().result()
    assert first["images"].values.tolist() == [2] * 5
    chosen = np.isin(everything["file"].values, first["file"].values)
    np.testing.assert_allclose(first["area"], everything["area"].values[chosen], atol=2.5 / CELLS)
    names = [Path(name) for name in everything["file"].values]
    assert chosen.tolist() == [
        sorted((folder / n.parent).iterdir()).index(folder / n) < 2 for n in names
    ]
    of_set = make(scenes("test", size=SIZE, count=20), images=2).run().result()
    assert of_set["measured"].values.tolist() == [2] * 5
    assert np.flatnonzero(np.isfinite(of_set["area"])).tolist() == list(range(10))


def test_resumed_it_is_the_uninterrupted_run(folder: Path, tmp_path: Path) -> None:
    (folder / "disc" / "000.png").write_bytes(b"no image")
    options = {"kind": "smoothgradcam++", "batch": 3, "skip_unreadable": True}
    expected = make(folder, **options)
    whole = record(expected, every=1)
    for stop in (1, 4):
        path = tmp_path / f"{stop}.zarr"
        first = make(folder, **options)
        record(first, path, every=1, stop=lambda run=first, end=stop: run.step >= end)
        assert first.step == stop
        again = make(folder, **options)
        recording = record(again, path, every=1)
        assert bits(recording) == bits(whole)
        assert bits(again.result()) == bits(expected.result())
        assert again.summary() == expected.summary()


def test_a_recording_repeats_the_run_and_other_files_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.zarr"
    run = make(str(folder), images=3)
    record(run, path)
    recording = open_recording(path)
    assert recording.attrs["config"]["data"]["shape"] == [15, 3, SIZE, SIZE]
    assert recording.attrs["map"] == {
        "kind": "gradcam",
        "network": "Sequential",
        "layer": "19",
        "resolution": [16, 16],
        # By hand: 3×3 twice, pooling 2, 3×3 twice, pooling 2, 3×3 twice.
        "receptive_field": [1 + 2 * 2 + 1 + 2 * 4 + 2 + 4 * 4] * 2,
    }
    again = build(recording.attrs["config"])
    assert again.config == run.config
    assert bits(again.run().result()) == bits(run.result())
    file = folder / "ring" / sorted(p.name for p in (folder / "ring").iterdir())[0]
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(ConfigMismatch, match="sha256"):
        record(make(str(folder), images=3), path)


def test_images_of_a_folder_are_not_kept(folder: Path) -> None:
    run = make(folder, batch=4)
    run.run()
    gc.collect()
    tensors = [o for o in gc.get_objects() if type(o) is torch.Tensor]
    shape = (3, SIZE, SIZE)
    assert [list(t.shape) for t in tensors if t.ndim == 4 and tuple(t.shape[1:]) == shape] == []
    values = sum(v.nbytes for v in run.state().values() if isinstance(v, np.ndarray))
    assert values == 20 * (4 + 1)  # one area and one flag for each image
