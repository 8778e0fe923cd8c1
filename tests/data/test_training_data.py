"""Images of runs: from model units to displayed bytes and back, for sets and for tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from explore.data import ImageSet, load
from explore.data.training_data import TrainingData
from explore.errors import InvalidInput

STATISTICS = ((0.3, 0.6, 0.1), (0.2, 0.5, 0.7))


def random_set(channels: int, count: int = 40, side: int = 6) -> ImageSet:
    """Images of any bytes, with another mean and deviation of each channel."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, channels, side, side), generator=generator).byte()
    mean, std = [0.1, 0.5, 0.7][:channels], [0.9, 0.2, 0.4][:channels]
    return ImageSet("random", images, torch.arange(count) % 4, list("abcd"), mean, std)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("statistics", [None, STATISTICS], ids=["own", "those of a network"])
def test_images_of_a_set_go_to_the_display_and_back(channels, statistics):
    images = random_set(channels)
    if statistics is not None:
        statistics = tuple(values[:channels] for values in statistics)
    data = TrainingData(images, statistics=statistics)
    pixels = data.to_display(data.batch())
    expected = images.images.permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(pixels, expected if channels == 3 else expected[..., 0])
    torch.testing.assert_close(data.from_display(pixels), data.batch(), rtol=0, atol=1e-6)
    mean, std = statistics or (images.mean, images.std)
    for c in range(channels):
        by_hand = (expected[:5, ..., c] / 255 - mean[c]) / std[c]
        np.testing.assert_allclose(data.from_display(pixels[:5])[:, c], by_hand, atol=1e-5)


def test_display_shows_the_order_of_rows_columns_and_colours():
    pixels = np.zeros((1, 6, 6, 3), np.uint8)
    pixels[0, 1, 4, 2] = 255
    images = TrainingData(random_set(3)).from_display(pixels)
    assert images.shape == (1, 3, 6, 6)
    assert images[0, 2, 1, 4] == pytest.approx((1 - 0.7) / 0.4)
    assert images[0, 2, 4, 1] == pytest.approx((0 - 0.7) / 0.4)


@pytest.mark.parametrize("channels", [1, 3])
def test_whitened_images_go_to_the_display_and_back(channels):
    data = TrainingData(random_set(channels, side=4), zca=True)
    pixels = data.to_display(data.batch())
    displayed = torch.from_numpy(pixels)
    displayed = displayed[:, None] if channels == 1 else displayed.permute(0, 3, 1, 2)
    assert (displayed.int() - data.set.images.int()).abs().max() <= 1
    # A step of one byte changes a whitened value by at most the norm of a row of the whitening.
    step = (1 / 255 / np.min(data.set.std)) * float(data.zca.forward_matrix.abs().sum(1).max())
    assert (data.from_display(pixels) - data.batch()).abs().max() <= step
    assert (data.batch() - data.set.batch()).abs().max() > step  # whitening does change them


def test_whitening_is_fitted_to_the_images_that_are_whitened():
    data = TrainingData(random_set(3, count=200, side=2), zca=True, statistics=STATISTICS)
    assert data.batch().mean(0).abs().max() < 1e-4


@pytest.mark.parametrize("channels", [1, 3])
def test_tensors_are_displayed_by_their_own_range(channels):
    generator = torch.Generator().manual_seed(1)
    images = 7 * torch.randn(20, channels, 5, 5, generator=generator) - 3
    data = TrainingData((images, torch.arange(20) % 2))
    pixels = data.to_display(images)
    assert (pixels.min(), pixels.max()) == (0, 255)
    restored = data.from_display(pixels)
    half_step = float(images.max() - images.min()) / 255 / 2
    assert (restored - images).abs().max() <= half_step * 1.001
    assert restored.max() == pytest.approx(float(images.max()), abs=1e-5)
    assert restored.min() == pytest.approx(float(images.min()), abs=1e-5)


def test_constant_tensors_stay_what_they_are():
    data = TrainingData((torch.full((2, 1, 3, 3), 4.0), torch.tensor([0, 1])))
    torch.testing.assert_close(data.from_display(data.to_display(data.batch())), data.batch())


@pytest.mark.parametrize(("channels", "shape", "count"), [(1, (2, 6, 6, 3), 3), (3, (2, 6, 6), 1)])
def test_another_number_of_channels_is_refused(channels, shape, count):
    data = TrainingData(random_set(channels))
    words = f"displayed images have {count} channels, random has {channels}"
    with pytest.raises(InvalidInput, match=words):
        data.from_display(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("statistics", [None, STATISTICS])
def test_a_dataset_holds_the_statistics_that_undo_the_normalisation(statistics):
    data = TrainingData(random_set(3), statistics=statistics)
    dataset = data.to_dataset(data.batch([4, 7]), data.labels[[4, 7]], {"method": "any"}, 3)
    intensity = dataset["images"] * dataset["std"] + dataset["mean"]
    np.testing.assert_allclose(
        intensity.transpose("image", "channel", "y", "x").values * 255,
        data.set.images[[4, 7]].numpy(),
        atol=1e-3,
    )
    assert dataset["labels"].values.tolist() == [0, 3]


def test_digits_are_whole_after_display():
    data = TrainingData(load("digits"))
    pixels = data.to_display(data.batch(range(50)))
    np.testing.assert_array_equal(pixels, data.set.images[:50, 0].numpy())
