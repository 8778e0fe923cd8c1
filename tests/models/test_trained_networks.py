"""Networks by name: published accuracies, weights without code execution, and messages for invalid files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from explore.core.resources import shipped
from explore.data import data_folder, load, scenes
from explore.data.datasets.imagenette import IMAGENET_CLASSES
from explore.data.normalization import IMAGENET_MEAN, IMAGENET_STD, normalize_bytes
from explore.errors import DataMissing, ExploreError, InvalidInput, UnknownName
from explore.models import accuracy
from explore.models.trained.loading import read_weights
from explore.models.trained.network_table import NETWORKS
from explore.models.trained.resnet_cifar import ResNetCifar
from explore.models.trained.scene_network import scene_network
from explore.sparseconv import load_network

SCENES = ("scenes-vgg", "scenes-residual", "scenes-smooth")


IMAGENET = (IMAGENET_MEAN, IMAGENET_STD)


def test_every_network_has_images_and_weights() -> None:
    assert all(entry.images and entry.weights and entry.title for entry in NETWORKS.values())


@pytest.mark.parametrize("name", SCENES)
def test_shipped_networks_are_frozen_and_need_no_random_numbers(name: str) -> None:
    random = torch.get_rng_state()
    network, description = load_network(name)
    assert torch.equal(torch.get_rng_state(), random)
    assert description.statistics == (scenes(count=1).mean, scenes(count=1).std)
    assert not any(module.training for module in network.modules())
    tensors = [*network.parameters(), *network.buffers()]
    assert not any(tensor.requires_grad or tensor.is_meta for tensor in tensors)
    assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {torch.float32}
    weights = load_file(shipped(f"data/{name}.safetensors"))
    assert all(
        torch.equal(value, weights[key].to(value.dtype))
        for key, value in network.state_dict().items()
    )
    reloaded, _ = load_network(name)
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(network(x), reloaded(x))


@pytest.mark.parametrize(
    ("name", "least"), [("scenes-vgg", 0.9), ("scenes-residual", 0.9), ("scenes-smooth", 0.9)]
)
def test_shipped_networks_classify_shapes(name: str, least: float) -> None:
    data = load("scenes", "test", size=64, count=200)
    assert accuracy(load_network(name)[0], data.batch(), data.labels) >= least


def test_only_scenes_smooth_has_no_relu() -> None:
    kinds = {
        name: {type(m) for m in load_network(name)[0].modules()} & {nn.ReLU, nn.SiLU}
        for name in SCENES
    }
    assert kinds == {
        "scenes-vgg": {nn.ReLU},
        "scenes-residual": {nn.ReLU},
        "scenes-smooth": {nn.SiLU},
    }


# ---- published weights


@pytest.mark.data("weights")
@pytest.mark.parametrize(("name", "percent"), [("resnet20", 91.5), ("resnet56", 92.6)])
def test_residual_networks_reach_the_published_accuracy(name: str, percent: float) -> None:
    file = data_folder() / "cifar10" / "lossless.npz"
    if not file.is_file():
        pytest.skip(f"needs the exact test images of CIFAR-10 in {file}")
    with np.load(file) as archive:
        images, labels = (
            archive["test_images"],
            torch.from_numpy(archive["test_labels"].astype(np.int64)),
        )
    network, description = load_network(name)
    assert description.statistics == IMAGENET
    actual = 100 * accuracy(
        network, normalize_bytes(torch.from_numpy(images).permute(0, 3, 1, 2), *IMAGENET), labels
    )
    assert actual == pytest.approx(percent, abs=0.1)


@pytest.mark.data("weights", "imagenette")
def test_the_published_squeezenet_classifies_photographs() -> None:
    network, _ = load_network("squeezenet")
    data = load("imagenette", "test", count=10)
    assert data.mean == IMAGENET[0]
    logits = torch.cat([network(data.batch(part)) for part in torch.arange(len(data)).split(25)])
    ten = torch.tensor(IMAGENET_CLASSES)
    right = float((logits.argmax(1) == ten[data.labels]).float().mean())
    assert (
        0.5 <= right <= 0.7
    )  # of 1,000 classes; of all 300 photographs 56 % at 227 pixels, 61 % at 224
    assert float((logits[:, ten].argmax(1) == data.labels).float().mean()) >= 0.9  # of the ten


def test_residual_networks_have_the_published_sizes() -> None:
    sizes = {}
    for blocks in (3, 9):
        with torch.device("meta"):
            network = ResNetCifar(blocks)
        sizes[blocks] = sum(parameter.numel() for parameter in network.parameters())
        assert (
            len([m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)])
            == 6 * blocks + 2
        )
    assert {blocks: round(size / 1e6, 2) for blocks, size in sizes.items()} == {
        3: 0.27,
        9: 0.85,
    }  # He et al., table 6


def test_the_shortcut_subsamples_and_pads_channels_with_zeros() -> None:
    block = ResNetCifar(1).layer2[0].eval()
    for parameter in block.parameters():
        nn.init.zeros_(parameter)  # what is left is the shortcut
    x = torch.rand(2, 16, 8, 8)
    y = block(x)
    assert torch.equal(y[:, 8:24], x[:, :, ::2, ::2])
    assert not y[:, :8].any()
    assert not y[:, 24:].any()


# ---- weights of one's own


@pytest.fixture
def classifier() -> dict[str, torch.Tensor]:
    from torchvision.models import squeezenet1_1

    return squeezenet1_1(weights=None).state_dict()


@pytest.mark.parametrize("kind", ["safetensors", "pth", "checkpoint", "half", "parallel"])
def test_a_classifier_of_torchvision_with_weights(
    kind: str, classifier: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        save_file(classifier, path)
    else:
        weights: Any = {
            f"module.{name}" if kind == "parallel" else name: value
            for name, value in classifier.items()
        }
        weights = (
            {name: value.half() for name, value in weights.items()} if kind == "half" else weights
        )
        torch.save({"state_dict": weights, "epoch": 3} if kind == "checkpoint" else weights, path)
    random = torch.get_rng_state()
    network, description = load_network("torchvision:squeezenet1_1", str(path))
    assert torch.equal(torch.get_rng_state(), random)
    assert description.statistics == IMAGENET
    tolerance = 1e-3 if kind == "half" else 0
    for name, value in network.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, classifier[name], rtol=tolerance, atol=tolerance)


def test_a_file_replaces_the_usual_weights(tmp_path: Path) -> None:
    network = scene_network()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.5)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    assert all(
        (parameter == 0.5).all()
        for parameter in load_network("scenes-vgg", tmp_path / "w.pth")[0].parameters()
    )


class Executed:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_no_code_in_a_file_is_executed_or_recommended(tmp_path: Path) -> None:
    for content in (
        Executed(tmp_path / "harm"),
        {"state_dict": {"a": Executed(tmp_path / "harm")}},
    ):
        torch.save(content, tmp_path / "evil.pth")
        with pytest.raises(
            InvalidInput, match=r"evil\.pth cannot be read as weights \(UnpicklingError\)"
        ) as caught:
            load_network("scenes-vgg", tmp_path / "evil.pth")
        assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "harm").exists()


ODD: dict[str, Any] = {
    "list": [1, 2],
    "tensor": torch.zeros(3),
    "number": {"state_dict": 3},
    "epoch": {"epoch": 3},
    "text": {"state_dict": {"epoch": 3, "0.weight": "y"}},
    "keys": {1: torch.zeros(2)},
}


@pytest.mark.parametrize("name", ODD)
def test_a_file_without_weights_is_refused(name: str, tmp_path: Path) -> None:
    torch.save(ODD[name], tmp_path / "odd.pth")
    with pytest.raises(
        InvalidInput, match=r"odd\.pth holds no tensors by name, but .*expected a state_dict"
    ):
        read_weights(tmp_path / "odd.pth")


@pytest.mark.parametrize("suffix", ["pth", "safetensors", "th"])
@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x02", b"PK\x03\x04"])
def test_a_broken_file_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=f"{path.name} cannot be read as weights"):
        load_network("scenes-vgg", path)


@pytest.mark.parametrize(
    ("name", "weights"), [("resnet56", "scenes-vgg"), ("scenes-residual", "scenes-smooth")]
)
def test_weights_of_another_network_are_refused_in_one_line(name: str, weights: str) -> None:
    with pytest.raises(InvalidInput, match=f"holds no weights of {name}: ") as caught:
        load_network(name, shipped(f"data/{weights}.safetensors"))
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    save_file(scene_network(width=8).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InvalidInput, match="size mismatch"):
        load_network("scenes-vgg", tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("name", "weights", "kind", "words"),
    [
        ("scenes-vgq", "", UnknownName, "Did you mean 'scenes-vgg'"),
        ("resnet18", "", UnknownName, "torchvision:NAME"),
        (
            "torchvision:resnet81",
            "",
            UnknownName,
            "unknown classifier of torchvision 'resnet81'.*Did you mean 'resnet",
        ),
        ("torchvision:", "", UnknownName, "classifier of torchvision"),
        (
            "torchvision:fasterrcnn_resnet50_fpn",
            "w.pth",
            UnknownName,
            "classifier of torchvision",
        ),  # it would fetch a part
        ("torchvision:fcn_resnet50", "w.pth", UnknownName, "classifier of torchvision"),
        ("torchvision:resnet18", "", InvalidInput, "comes without weights; give weights=FILE"),
        (
            "torchvision:resnet18",
            "nowhere.pth",
            DataMissing,
            r"looked for in nowhere\.pth; put them there",
        ),
        ("scenes-vgg", "nowhere.pth", DataMissing, r"nowhere\.pth"),
        (7, "", InvalidInput, "by its name, such as 'scenes-vgg', got 7"),
    ],
)
def test_unknown_networks_and_missing_weights_are_refused(
    name: str, weights: str, kind: type[ExploreError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        load_network(name, weights)


@pytest.mark.parametrize("name", ["resnet20", "resnet56", "squeezenet"])
def test_missing_weights_name_their_place(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    with pytest.raises(
        DataMissing,
        match=f"weights of {name} are looked for in {tmp_path / NETWORKS[name].weights}; put them there",
    ):
        load_network(name)


def test_a_folder_is_refused_as_weights(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="are looked for in"):
        load_network("scenes-vgg", tmp_path)
