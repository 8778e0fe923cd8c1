"""Untrained networks: accuracies and maps of the survey against a direct computation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from explore import build, record
from explore.core.runs import stream_seed
from explore.data import ImageSet, load
from explore.distill import UntrainedRun
from explore.distill.untrained import POWERS
from explore.errors import InvalidInput
from explore.models import ConvNet

pytestmark = pytest.mark.usefixtures("_one_thread")


def small(steps: int = 3, data=None, **options) -> UntrainedRun:
    if data is None:
        data = load("digits", size=8, margin=0)
    return build({"method": "untrained", "steps": steps, "images": 60, "width": 6, **options}, data)


def test_accuracies_and_maps_equal_a_direct_computation():
    run = small()
    run.advance()
    frame, digits = run.snapshot(), load("digits", size=8, margin=0)
    order = np.random.default_rng(stream_seed(0, "probe")).permutation(len(digits))
    means_of, queries = order[:60], order[60:120]
    net = ConvNet(1, 10, 8, width=6, seed=stream_seed(0, "networks", 1))
    with torch.no_grad():
        maps, others = net.taps(digits.batch(means_of)), net.taps(digits.batch(queries))
    for power in (1.0, 3.0, 8.0):
        for block in range(2):
            z, q = (
                normalize(f[block].abs().pow(power).sum(1).flatten(1), dim=1)
                for f in (maps, others)
            )
            means = torch.stack([z[digits.labels[means_of] == k].mean(0) for k in range(10)])
            hits = 0
            for unit, label in zip(q, digits.labels[queries], strict=True):
                hits += int((means - unit).square().sum(1).argmin()) == int(label)
            selected = frame.sel(power=power)
            assert selected.accuracy.values[block] == pytest.approx(
                hits / 60, abs=1 / 60 + 1e-6
            )  # rounding may decide a near tie
            maps_in_frame = selected[f"attention_{block + 1}"].values.reshape(10, -1).astype(float)
            np.testing.assert_allclose(maps_in_frame, means, rtol=9e-3, atol=1e-3)
            firsts = [int((digits.labels[queries] == k).nonzero()[0]) for k in range(10)]
            example = (
                selected[f"example_attention_{block + 1}"].values.reshape(10, -1).astype(float)
            )
            np.testing.assert_allclose(example, q[firsts], rtol=9e-3, atol=1e-3)


def test_untrained_networks_classify_digits_at_power_1():
    run = build({"method": "untrained", "data": "digits"})
    shares = []
    for _ in range(3):
        shares.append(run.snapshot().accuracy.sel(power=1.0).max().item())
        run.advance()
    assert min(shares) > 0.75


def test_a_frame_shows_every_power_and_both_blocks():
    frame = small().snapshot()
    assert frame.power.values.tolist() == list(POWERS)
    assert dict(frame.accuracy.sizes) == {"power": 6, "block": 2}
    assert dict(frame.attention_1.sizes) == {"power": 6, "label": 10, "y_1": 8, "x_1": 8}
    assert dict(frame.attention_2.sizes) == {"power": 6, "label": 10, "y_2": 4, "x_2": 4}
    assert frame.example.shape == (10, 8, 8)
    assert frame.example.dtype == np.uint8
    assert frame.label.values.tolist() == list("0123456789")


def test_examples_are_images_of_their_class_that_were_not_averaged():
    run, digits = small(), load("digits", size=8, margin=0)
    assert not set(run.mean_indices) & set(run.query_indices)
    for label, example in enumerate(run.snapshot().example.values):
        indices = [i for i in run.query_indices if (digits.images[i, 0].numpy() == example).all()]
        assert label in digits.labels[indices].tolist()


def test_each_step_is_another_network_and_the_same_next_time():
    run, repeated = small(), small()
    frames = []
    for _ in range(3):
        frames.append(run.snapshot())
        run.advance()
    assert not frames[0].attention_1.equals(frames[1].attention_1)
    repeated.restore({"step": 2})
    assert repeated.snapshot().equals(frames[2])
    assert not small(seed=1).snapshot().attention_1.equals(frames[0].attention_1)
    assert frames[0].equals(small().result())


def test_global_random_state_is_neither_used_nor_changed():
    torch.manual_seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = small().snapshot()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    torch.manual_seed(2)
    assert small().snapshot().equals(first)


def test_a_survey_can_be_recorded(tmp_path):
    recording = record(small(), tmp_path / "run.zarr", every=1)
    assert recording.sizes["step"] == 4
    assert recording.accuracy.dims == ("step", "power", "block")


def test_colours_and_fewer_classes():
    scenes = load("scenes", count=200)
    frame = small(data=scenes.subset(scenes.labels < 3)).snapshot()
    assert frame.label.values.tolist() == ["disc", "square", "ring"]
    assert frame.example.shape == (3, 32, 32, 3)


def test_a_small_set_is_halved():
    digits = load("digits", size=8, margin=0)
    run = small(data=digits.subset(slice(0, 200)), images=1000)
    assert (len(run.mean_indices), len(run.query_indices)) == (100, 100)


def test_a_class_without_a_drawn_image_is_reported():
    labels = torch.zeros(100, dtype=torch.long)
    labels[7] = 1
    data = ImageSet(
        "rare",
        torch.zeros(100, 1, 8, 8, dtype=torch.uint8),
        labels,
        ("common", "rare"),
        (0.5,),
        (0.5,),
    )
    with pytest.raises(
        InvalidInput,
        match="no image of class 1 is among the 50 drawn at random; use more than images=60",
    ):
        small(data=data)


def test_repr_message_and_config():
    run = small()
    run.advance()
    assert repr(run) == "UntrainedRun(untrained on digits, step 1 of 3)"
    assert run.message == "network drawn"
    assert run.config["data"]["name"] == "digits"
    assert "steps" not in run.config
