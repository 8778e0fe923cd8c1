"""Areas over a recorded distillation: against single images, real images apart, and odd recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from toys import bits

from explore import build, open_recording, record
from explore.areas import AreasRun, evolution
from explore.areas.recordings import find_recording
from explore.attention import ActivationMapper, gradcam
from explore.core.recording import pack
from explore.core.resources import shipped
from explore.data import load
from explore.distill import distill
from explore.errors import DataMissing, InvalidInput, UnknownName
from explore.models.trained.loading import load_network

pytestmark = [
    pytest.mark.usefixtures("_one_thread"),
    # Maps of zeros are expected: noise shows a network nothing of its class.
    pytest.mark.filterwarnings("ignore:.*maps of layer.*became zeros"),
]
SMALL = {"method": "areas", "epochs": 1, "width": 4, "images": 12, "reference": 5}
DIGITS = {**SMALL, "recording": "digits-datadam"}
NEAR = 1e-3
"""Values this close to the threshold may lie on either side of it: recorded maps have 16 bits."""


def make(data: Any = None, **options: Any) -> AreasRun:
    run = build({**DIGITS, **options}, data=data)
    assert isinstance(run, AreasRun)
    return run


class Spy:
    """What a run trains its network on, the network, and the real images that it measures."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.batches: list[tuple[torch.Tensor, Any]] = []
        train, spy = evolution.train_small_network, self

        def train_small_network(data: Any, rows: np.ndarray, **options: Any) -> torch.nn.Module:
            self.data, self.rows = data, rows
            self.network = train(data, rows, **options)
            return self.network

        class Mapper(ActivationMapper):
            def __call__(self, images: torch.Tensor, targets: Any = None, **more: Any) -> Any:
                spy.batches.append((images, targets))
                return super().__call__(images, targets, **more)

        patch.setattr(evolution, "train_small_network", train_small_network)
        patch.setattr(evolution, "ActivationMapper", Mapper)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


def check_area(area: float, cam: torch.Tensor, threshold: float = 0.5) -> None:
    """The area is the share of a map above the threshold, up to rounding."""
    values = cam.numpy()
    assert (values > threshold + NEAR).mean() - 1e-6 <= area
    assert area <= (values > threshold - NEAR).mean() + 1e-6


def check_frames(
    recording: xarray.Dataset,
    network: torch.nn.Module,
    mean: Any,
    std: Any,
    threshold: float = 0.5,
    **options: Any,
) -> None:
    """Every area, map and probability is that of the displayed image alone."""
    images = recording["image"].transpose("step", "label", "copy", "y", "x", ...).values
    for index in np.ndindex(images.shape[:3]):
        pixels = images[index] if images.ndim == 6 else images[index][..., None]
        values = (pixels.transpose(2, 0, 1) / 255 - np.reshape(mean, (-1, 1, 1))) / np.reshape(
            std, (-1, 1, 1)
        )
        image, label = torch.from_numpy(values).float()[None], index[1]
        cam = gradcam(network, image, label, size="layer", **options)[0]
        row = recording.isel(step=index[0], label=label, copy=index[2])
        check_area(float(row["area"]), cam, threshold)
        np.testing.assert_allclose(row["map"].values, cam, atol=2e-3)
        probability = float(network(image).softmax(1)[0, label])
        assert float(row["probability"]) == pytest.approx(probability, abs=1e-5)


# ---- against single images


@pytest.mark.parametrize("options", [{}, {"kind": "layercam", "threshold": 0.3}], ids=str)
def test_areas_are_those_of_the_displayed_images(spy: Spy, options: dict[str, Any]) -> None:
    run = make(**options)
    recording = record(run)
    source = find_recording("digits-datadam")
    assert recording["distillation_step"].values.tolist() == source.step.values.tolist()
    assert recording.step.values.tolist() == list(range(source.sizes["step"]))
    assert recording["label"].values.tolist() == source["label"].values.tolist()
    np.testing.assert_array_equal(
        recording["image"].values,
        source["image"].transpose("step", "label", "copy", "y", "x").values,
    )
    digits = load("digits")
    check_frames(recording, spy.network, digits.mean, digits.std, **options)
    assert len(np.unique(recording["area"])) > 5
    assert recording["map"].dtype == np.float16
    assert recording["map"].shape[-2:] == (4, 4)
    mean = float(recording["area"].isel(step=-1).mean())
    real = float(recording["real_area"].mean())
    assert run.summary() == f"mean area {mean:.3f}; of real images {real:.3f}"
    assert run.message == f"step {source.step.values[-1]} of the distillation"


def test_several_colour_images_of_each_class_through_a_trained_network(tmp_path: Path) -> None:
    data = load("scenes", count=60)
    small = {"width": 4, "batch": 4, "probes": 1, "probe_images": 2, "preset": "lesson"}
    config = {"method": "dm", "images_per_class": 3, "steps": 2, **small}
    record(build(config, data=data), tmp_path / "dm.zarr", every=1)
    options = {"recording": str(tmp_path / "dm.zarr"), "network": "scenes-vgg"}
    recording = record(make(**options), tmp_path / "areas.zarr")
    assert recording.sizes["copy"] == 3
    assert recording["image"].dims == ("step", "label", "copy", "y", "x", "rgb")
    network, _ = load_network("scenes-vgg")
    check_frames(recording, network, data.mean, data.std)
    again = build(recording.attrs["config"]).run().result()
    assert bits(again) == bits(recording.isel(step=-1).drop_vars("step"))


# ---- real images


def test_real_areas_are_of_images_that_did_not_train_the_network(spy: Spy) -> None:
    run = make(images=20, reference=6)
    frame = run.snapshot()
    digits = load("digits")
    images = digits.batch()
    rows = {image.numpy().tobytes(): row for row, image in enumerate(images)}
    assert len(rows) == len(images)  # all different, so that an image says which one it is
    real = max(spy.batches, key=lambda batch: len(batch[0]))
    reference = [rows[image.numpy().tobytes()] for image in real[0]]
    assert digits.labels[reference].bincount().tolist() == [6] * 10
    assert digits.labels[reference].tolist() == torch.as_tensor(real[1]).tolist()
    assert digits.labels[spy.rows].bincount().tolist() == [20] * 10
    assert len(set(reference)) == 60
    assert len(set(spy.rows.tolist())) == 200
    assert not set(reference) & set(spy.rows.tolist())

    areas: dict[int, list[tuple[float, float]]] = {label: [] for label in range(10)}
    for row in reference:
        label = int(digits.labels[row])
        mapper = ActivationMapper(spy.network)
        cam = mapper(images[row][None], label, warn=False).maps[0].numpy()
        areas[label].append(((cam > 0.5 + 1e-4).mean(), (cam > 0.5 - 1e-4).mean()))
    for label, limits in areas.items():
        low, high = np.mean(limits, 0)
        assert low - 1e-6 <= float(frame["real_area"][label]) <= high + 1e-6
        if low == high:
            deviation = np.std([value for value, _ in limits])
            assert float(frame["real_deviation"][label]) == pytest.approx(deviation, abs=1e-6)
    assert any(np.mean(limits, 0)[0] == np.mean(limits, 0)[1] for limits in areas.values())


def test_few_real_images_are_halved(spy: Spy) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(40, 1, 16, 16, generator=generator)
    labels = torch.arange(40) % 10  # four of each class
    make((images, labels), images=99, reference=99)
    (reference, targets) = max(spy.batches, key=lambda batch: len(batch[0]))
    assert torch.as_tensor(targets).bincount().tolist() == [2] * 10
    assert labels[spy.rows].bincount().tolist() == [2] * 10
    trained = {image.numpy().tobytes() for image in images[spy.rows]}
    assert not trained & {image.numpy().tobytes() for image in reference}


def test_real_images_of_more_classes_than_the_recording(spy: Spy, tmp_path: Path) -> None:
    digits = load("digits", size=12)
    some = digits.subset((digits.labels < 3).nonzero().flatten())
    small = {"width": 4, "batch": 4, "probes": 1, "probe_images": 2, "preset": "lesson"}
    record(build({"method": "dm", "steps": 1, **small}, data=some), tmp_path / "dm.zarr")
    frame = make(digits, recording=str(tmp_path / "dm.zarr")).snapshot()
    assert frame["label"].values.tolist() == ["0", "1", "2"]
    (_, targets) = max(spy.batches, key=lambda batch: len(batch[0]))
    assert torch.as_tensor(targets).unique().tolist() == [0, 1, 2]
    assert digits.labels[spy.rows].unique().tolist() == list(range(10))
    assert np.isfinite(frame["real_area"]).all()


# ---- what is recorded


def test_attributes_survive_a_reopened_and_a_packed_recording(tmp_path: Path) -> None:
    path = tmp_path / "areas.zarr"
    run = make()
    record(run, path)
    source = find_recording("digits-datadam")
    for place in (path, pack(path, tmp_path / "areas.zarr.zip")):
        recording = open_recording(place)
        assert recording.attrs["map"] == {
            "kind": "gradcam",
            "network": "Sequential",
            "layer": "10",
            "resolution": [4, 4],
            # By hand: pixels 1 to 18 (3×3, pooling 2, 3×3, pooling 2, 3×3), cut at the image.
            "receptive_field": [15, 15],
        }
        assert recording.attrs["distillation"] == source.attrs["config"]
        assert recording.attrs["config"]["recording"] == "digits-datadam"
        assert recording.attrs["config"]["data"]["name"] == "digits"
    attribute = make(layer="6", kind="smoothgradcam++", seed=2).snapshot().attrs["map"]
    assert (attribute["layer"], attribute["resolution"]) == ("6", [8, 8])
    assert attribute["receptive_field"] == [3 + 1 + 2 * 2] * 2
    assert (attribute["kind"], attribute["seed"]) == ("smoothgradcam++", 2)


def test_a_recording_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = shipped("data/digits-datadam.zarr.zip")
    by_name, by_path = make(), make(recording=str(file))
    for run in (by_name, by_path):
        run.advance()
    assert bits(by_name.snapshot()) == bits(by_path.snapshot())
    monkeypatch.chdir(file.parent)
    assert bits(find_recording("digits-datadam.zarr.zip")) == bits(find_recording(str(file)))


def test_every_frame_is_one_step_unless_told_otherwise() -> None:
    count = find_recording("digits-datadam").sizes["step"]
    assert make().steps == count - 1
    assert record(make()).sizes["step"] == count
    some = record(make(), every=5)
    assert some.step.values.tolist() == sorted({*range(0, count, 5), count - 1})


# ---- tensors


@pytest.fixture
def of_tensors(tmp_path: Path) -> tuple[str, tuple[torch.Tensor, torch.Tensor]]:
    """The recording of a distillation of tensors, and these tensors."""
    generator = torch.Generator().manual_seed(0)
    images = 5 * torch.randn(30, 1, 12, 12, generator=generator) + 2
    labels = torch.arange(30) % 3
    small = {"width": 4, "batch": 4, "probes": 1, "probe_images": 2, "preset": "lesson"}
    record(distill(images, labels, "dm", steps=2, **small), tmp_path / "t.zarr", every=1)
    return str(tmp_path / "t.zarr"), (images, labels)


def test_a_recording_of_tensors_needs_data(
    spy: Spy, of_tensors: tuple[str, tuple[torch.Tensor, torch.Tensor]]
) -> None:
    path, data = of_tensors
    with pytest.raises(InvalidInput, match=r"made from tensors.*pass data=\(images, labels\)"):
        make(recording=path)
    recording = record(make(data, recording=path))
    assert recording["label"].values.tolist() == ["0", "1", "2"]
    low, high = float(data[0].min()), float(data[0].max())
    check_frames(recording, spy.network, -low / (high - low), 1 / (high - low))
    assert recording.attrs["config"]["data"]["name"] == "tensors"


# ---- bad input


@pytest.mark.parametrize("name", ["standard-1d-oggmr", "students-kd", "density-scenes-vgg"])
def test_a_recording_without_synthetic_images_is_refused(name: str) -> None:
    words = "expected a recording of a run that distils images .*holds no image"
    for recording in (name, str(shipped(f"data/{name}.zarr.zip"))):
        with pytest.raises(InvalidInput, match=words):
            make(recording=recording)


@pytest.mark.parametrize(
    ("recording", "words"),
    [
        ("digits-datadan", "there is no recording digits-datadan, and none of this name ships"),
        ("", "there is no recording , and none of this name ships; give the path of one"),
        ("no/where.zarr", "no/where.zarr does not exist"),
        ("nowhere.zarr.zip", "nowhere.zarr.zip does not exist"),
    ],
)
def test_an_unknown_recording_is_refused(recording: str, words: str) -> None:
    with pytest.raises(DataMissing, match=words):
        make(recording=recording)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"network": "scenes-vgq"}, UnknownName, "Did you mean 'scenes-vgg'"),
        ({"network": "scenes-vgg"}, InvalidInput, "images of 3 channels, those of digits have 1"),
        ({"layer": "nowhere"}, UnknownName, "unknown layer 'nowhere'"),
        ({"kind": "cam"}, UnknownName, "cam"),
        ({"data": "scenes"}, InvalidInput, "images 1×16×16, scenes has 3×32×32; give data="),
        ({"data": "digitz"}, UnknownName, "digitz"),
        ({"reference": 0}, InvalidInput, "reference must be a whole number of at least 1"),
        ({"images": 0}, InvalidInput, "images must be a whole number of at least 1"),
    ],
)
def test_odd_options_are_refused(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        make(**options)


def test_data_of_fewer_classes_are_refused() -> None:
    digits = load("digits")
    few = digits.subset((digits.labels < 4).nonzero().flatten())
    with pytest.raises(
        InvalidInput, match="the recording has 10 classes, digits has 4; give data="
    ):
        make(few)


def test_a_network_of_fewer_classes_is_refused(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(14, 3, 32, 32, generator=generator), torch.arange(14) % 7
    small = {"width": 4, "batch": 2, "probes": 1, "probe_images": 2, "preset": "lesson"}
    record(distill(*data, "dm", steps=1, **small), tmp_path / "t.zarr")
    words = "network 'scenes-vgg' has 5 classes, the recording has 7; choose a network"
    with pytest.raises(InvalidInput, match=words):
        make(data, recording=str(tmp_path / "t.zarr"), network="scenes-vgg")


def test_odd_tensors_are_refused() -> None:
    images, labels = torch.zeros(20, 1, 16, 16), torch.arange(20) % 10
    images[3] = torch.inf
    with pytest.raises(InvalidInput, match="1 images hold NaN or Inf, the first is number 3"):
        make((images, labels))
