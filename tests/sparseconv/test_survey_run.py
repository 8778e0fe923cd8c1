"""Density surveys as runs: recordings, images by seed, normalisation, and invalid data and options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sparse_oracles import net, noise
from torch import nn
from torch.nn.functional import relu

from explore import record
from explore.core.registry import build
from explore.data import load
from explore.data.training_data import TrainingData
from explore.errors import DataMissing, ExploreError, InvalidInput, UnknownName
from explore.sparseconv import DensityConfig, DensityRun, activation_density
from explore.sparseconv.formats.recorded_maps import read_levels

X, Y = noise(6, 1, 8, 8), torch.tensor([0, 2, 1, 1, 0, 2])


def make_run(images: int = 3, maps: bool = False, seed: int = 0) -> DensityRun:
    model = net(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, stride=2), nn.Conv2d(2, 2, 1)
    )
    return DensityRun(DensityConfig(images=images, maps=maps, seed=seed), (X, Y), model)


def test_a_run_over_tensors_and_a_given_network(tmp_path: Path) -> None:
    run = make_run(maps=True)
    random = torch.get_rng_state()
    recording = record(run, tmp_path / "own.zarr")
    assert torch.equal(torch.get_rng_state(), random)
    assert recording.sizes["step"] == 3
    assert recording.attrs["config"]["model"] == "your Sequential"
    indices = recording["index"].values
    assert len(set(indices.tolist())) == 3
    assert recording["label"].values.tolist() == Y[indices].tolist()
    assert recording["class"].values.tolist() == ["0", "1", "2"]
    alone = activation_density(run.network, X[indices])
    for name in ("density", "work", "bytes", "elements"):
        np.testing.assert_array_equal(recording[name].values, alone[name].values)
    assert recording["offset"].values.tolist() == [0, 64, -1]
    for k, index in enumerate(indices):
        maps = relu(run.network[0](X[index][None]))[0].detach().numpy()
        levels = recording["levels"].isel(step=k).values
        np.testing.assert_array_equal(read_levels(levels, 64, maps.shape) != 0, maps != 0)
        np.testing.assert_array_equal(read_levels(levels, 0, (1, 8, 8)) != 0, X[index].numpy() != 0)
        grey = recording["picture"].isel(step=k).values
        assert (grey[..., 0] == grey[..., 2]).all()
        assert (grey.min(), grey.max()) == (0, 255)
        assert int(grey[..., 0].argmax()) == int(X[index, 0].argmax())


def test_the_seed_selects_different_images() -> None:
    orders = {seed: make_run(6, seed=seed)._order.tolist() for seed in range(3)}
    assert all(order == list(range(6)) for order in orders.values())
    some = {tuple(make_run(2, seed=seed)._order.tolist()) for seed in range(8)}
    assert len(some) > 3
    assert make_run(99).steps == 5  # all there are


def test_a_set_of_one_image_is_refused() -> None:
    with pytest.raises(InvalidInput, match="the set has 1 image; a survey needs at least two"):
        DensityRun(DensityConfig(), (X[:1], Y[:1]), net(nn.Conv2d(1, 1, 3)))


def test_images_are_normalised_by_their_set_or_by_the_statistics_of_the_network() -> None:
    data = load("scenes", "test", size=64, count=4)
    run = build({"method": "density", "images": 4}, data=data)
    assert torch.equal(run.data.batch([2]), data.batch([2]))
    statistics = ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))
    expected = data.images[2].double() / 255
    for c, (mean, std) in enumerate(zip(*statistics, strict=True)):
        expected[c] = (expected[c] - mean) / std
    batch = TrainingData(data, statistics=statistics).batch([2])
    torch.testing.assert_close(batch[0], expected.float())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([1, 2, 3], "data must be the name of a set"),
        (np.zeros(3), "data must be the name of a set"),
        ((X[:0], Y[:0]), "N ≥ 1"),
        ((X[:, 0], Y), r"\[N, C, H, W\]"),
        ((X.byte(), Y), "/ 255"),
        ((X, Y[:4]), r"labels must be integers \[6\]"),
        ((X, Y.float()), "labels must be integers"),
        ((X, Y - 1), "got -1 to 1"),
        ((X, Y + 10**9), "labels must be 0 to 100000"),
        ((X / 0, Y), "6 images hold NaN or Inf, the first is number 0"),
    ],
)
def test_invalid_images_and_labels_are_refused(data: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        DensityRun(DensityConfig(), data, net(nn.Conv2d(1, 1, 3)))


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"images": 1}, InvalidInput, "images must be a whole number of at least 2, got 1"),
        ({"images": 2.5}, InvalidInput, "images must be a whole number"),
        ({"seed": -1}, InvalidInput, "seed must be a whole number of at least 0"),
        ({"maps": 3}, InvalidInput, "maps must be true or false, got 3"),
        ({"model": 3}, InvalidInput, "model must be a text, got 3"),
        (
            {"model": "scenes-vgq"},
            UnknownName,
            "unknown network 'scenes-vgq'.*Did you mean 'scenes-vgg'",
        ),
        ({"model": "scenes-vgq", "data": "digits"}, UnknownName, "Did you mean 'scenes-vgg'"),
        ({"model": "torchvision:fcn_resnet50"}, UnknownName, "classifier of torchvision"),
        ({"model": "torchvision:resnet18"}, InvalidInput, "data='imagenette'"),
        ({"model": "torchvision:resnet18", "data": "scenes"}, InvalidInput, "weights=FILE"),
        ({"weights": "nowhere.pth", "data": "scenes"}, DataMissing, "nowhere.pth"),
        ({"data": "digitz"}, UnknownName, "digitz"),
        ({"device": "gpu", "data": "digits"}, InvalidInput, "device 'gpu' cannot be used"),
    ],
)
def test_invalid_options_are_refused(
    options: dict[str, Any], kind: type[ExploreError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        build({"method": "density", **options})


def test_images_of_a_wrong_shape_are_refused_by_the_first_snapshot() -> None:
    run = build({"method": "density"}, data=(X, Y))
    with pytest.raises(InvalidInput, match=r"does not take images of float32 \[1, 1, 8, 8\]"):
        run.snapshot()


def test_a_set_with_other_channels_than_the_network_is_refused() -> None:
    with pytest.raises(
        InvalidInput, match="trained on images of 3 channels, those of digits have 1"
    ):
        build({"method": "density", "data": "digits"})


def test_a_given_network_needs_images() -> None:
    with pytest.raises(InvalidInput, match="the network needs images"):
        DensityRun(DensityConfig(), model=net(nn.Conv2d(1, 1, 3)))
