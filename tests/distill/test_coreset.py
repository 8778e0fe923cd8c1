"""Baselines as runs: the same selection as by hand, on pixels and on features of a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from toys import bits, run_to_end

from explore import build, record
from explore.core.runs import stream_seed
from explore.data import DistilledSet, ImageSet, load
from explore.data.coresets import select
from explore.distill.catalog import BASELINES
from explore.distill.config import CoresetConfig
from explore.errors import InvalidInput, UnknownName
from explore.models import ConvNet, Fit

pytestmark = pytest.mark.usefixtures("_one_thread")
SMALL: dict[str, Any] = {"size": 8, "margin": 0}
DATA = {"name": "digits", "options": SMALL}
NETWORK = {
    "method": "herding",
    "features": "network",
    "feature_epochs": 3,
    "width": 4,
    "images_per_class": 3,
}


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load("digits", **SMALL)


def run_coreset(**options: Any) -> Any:
    return run_to_end(build({"data": DATA, **options}))


def indices_of(frame: xarray.Dataset) -> list[int]:
    return frame["chosen"].values.tolist()


@pytest.mark.parametrize("method", ["random", "herding", "kcenter"])
@pytest.mark.parametrize("seed", [0, 3])
def test_a_run_selects_the_images_of_select(method: str, seed: int, digits: ImageSet) -> None:
    run = run_coreset(method=method, images_per_class=4, seed=seed)
    expected = select(digits.batch(), digits.labels, method, 4, seed)
    assert indices_of(run.snapshot()) == expected.tolist()
    assert torch.equal(run.images, digits.batch(expected))
    assert run.labels.tolist() == digits.labels[expected].tolist()
    assert np.array_equal(run.result()["images"], digits.batch(expected))
    frame = run.snapshot()["images"].values
    assert np.array_equal(frame, digits.images[expected][:, 0])


def test_the_class_mean_is_the_mean_whatever_the_number_of_images(digits: ImageSet) -> None:
    run = run_coreset(method="class-mean", images_per_class=7)
    assert run.images.shape == (10, 1, 8, 8)
    for label in range(10):
        mean = digits.batch(digits.labels == label).double().mean(0)
        assert torch.allclose(run.images[label].double(), mean, atol=1e-7)
    assert set(indices_of(run.snapshot())) == {-1}
    first = torch.tensor([int((digits.labels == k).nonzero()[0]) for k in range(10)])
    single = run_to_end(build({"method": "class-mean"}, data=digits.subset(first)))
    assert torch.equal(single.images, digits.batch(first))


@pytest.mark.parametrize("method", ["herding", "kcenter"])
def test_features_are_those_of_a_network_trained_by_hand(method: str, digits: ImageSet) -> None:
    run = run_coreset(**{**NETWORK, "method": method})
    seed = stream_seed(0, "features")
    network = ConvNet(1, 10, 8, width=4, seed=seed)
    Fit(network, digits.batch(), digits.labels, epochs=3, seed=seed).run()
    with torch.no_grad():
        features = network.eval().embed(digits.batch())
    expected = select(features, digits.labels, method, 3)
    assert indices_of(run.snapshot()) == expected.tolist()
    assert run.steps == 13
    assert indices_of(run.snapshot()) != indices_of(
        run_coreset(method=method, images_per_class=3).snapshot()
    )


def test_more_feature_epochs_another_seed_or_width_are_other_features() -> None:
    usual = indices_of(run_coreset(**NETWORK).snapshot())
    for change in ({"feature_epochs": 1}, {"seed": 1}, {"width": 3}):
        assert indices_of(run_coreset(**{**NETWORK, **change}).snapshot()) != usual


@pytest.mark.parametrize("method", ["random", "class-mean"])
def test_methods_without_features_train_no_network(method: str) -> None:
    run = build({"method": method, "data": DATA, "features": "network", "feature_epochs": 50})
    assert run.steps == 10


@pytest.mark.parametrize("step", [1, 2, 3, 4, 8])
def test_a_resumed_run_selects_the_same_images(step: int, tmp_path: Path) -> None:
    expected = run_coreset(**NETWORK)
    first: Any = build({"data": DATA, **NETWORK})
    record(first, tmp_path / "a.zarr", every=1, stop=lambda: first.step >= step)
    second: Any = build({"data": DATA, **NETWORK})
    recording = record(second, tmp_path / "a.zarr", every=1)
    assert recording["step"].values.tolist() == list(range(14))
    assert bits(second.result()) == bits(expected.result())
    assert indices_of(recording.isel(step=-1)) == indices_of(expected.snapshot())


def test_images_are_black_until_their_class_is_selected() -> None:
    run: Any = build({"method": "random", "data": DATA, "images_per_class": 2})
    for step in range(11):
        frame = run.snapshot()
        assert ((frame["chosen"] >= 0).values == (np.repeat(np.arange(10), 2) < step)).all()
        assert (frame["images"].values[2 * step :] == 0).all()
        assert (frame["images"].values[: 2 * step].max((1, 2)) > 0).all()
        run.advance()


def test_messages_count_the_classes_and_nothing_happens_after_the_last_step() -> None:
    run: Any = build({"data": DATA, **NETWORK, "feature_epochs": 1})
    assert repr(run) == "CoresetRun(herding on digits, step 0 of 11)"
    assert run.message.startswith("features, loss")
    run.advance()
    run.advance()
    assert run.message == "1 of 10 classes"
    run_to_end(run)
    indices = indices_of(run.snapshot())
    run.advance()
    assert (run.step, indices_of(run.snapshot())) == (11, indices)


@pytest.mark.parametrize("method", BASELINES)
def test_a_coreset_becomes_a_distilled_set(method: str, tmp_path: Path, digits: ImageSet) -> None:
    run = run_coreset(method=method)
    distilled = DistilledSet.of(run)
    loaded = DistilledSet.load(distilled.save(tmp_path / "a.safetensors"))
    assert torch.equal(loaded.images, run.images)
    assert list(loaded.class_names) == list(digits.class_names)
    assert (loaded.provenance["config"]["method"], loaded.provenance["step"]) == (method, 10)
    if method != "class-mean":
        assert torch.equal(loaded.to_display(), digits.images[indices_of(run.snapshot())])


def test_tensors_are_accepted(digits: ImageSet) -> None:
    run = run_to_end(
        build({"method": "kcenter", "images_per_class": 2}, data=(digits.batch(), digits.labels))
    )
    assert (
        indices_of(run.snapshot()) == select(digits.batch(), digits.labels, "kcenter", 2).tolist()
    )
    assert run.config["data"]["name"] == "tensors"
    assert "mean" not in run.result()


def test_colour_images_are_shown_in_colour() -> None:
    run = run_to_end(
        build(
            {"method": "random", "data": {"name": "scenes", "options": {"size": 32, "count": 40}}}
        )
    )
    assert run.snapshot()["images"].dims == ("image", "y", "x", "channel")
    assert run.snapshot()["images"].shape[1:] == (32, 32, 3)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            {"images_per_class": 0},
            "images_per_class must be a whole number of at least 1, got 0",
        ),
        ({"seed": -1}, "seed must be a whole number of at least 0 .*, got -1"),
        ({"feature_epochs": 0}, "feature_epochs must be a whole number of at least 1, got 0"),
        ({"width": 0}, "width must be a whole number of at least 1, got 0"),
        ({"features": "gist"}, "unknown features 'gist'; known: network, pixels"),
        ({"epochs": 3}, "random has no option 'epochs'; it has data, device, "),
        ({"images_per_class": 500}, "class 0 has 123 images, but 500 are needed"),
        ({"images_per_class": "two"}, "images_per_class"),
        ({"data": "digit"}, "Did you mean 'digits'"),
    ],
)
def test_bad_options_are_refused_by_name(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        build({"method": "random", "data": DATA, **wrong})


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(
        UnknownName,
        match="unknown method 'k-means'; known: class-mean, herding, kcenter, random",
    ):
        CoresetConfig(method="k-means")
