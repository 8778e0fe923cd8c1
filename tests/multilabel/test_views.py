"""Test random views: strengths, whole pixels with repeated edges, seeds."""

from __future__ import annotations

import math

import pytest
import torch

from explore.multilabel.views import BRIGHTNESS, NOISE, random_view

SHAPES = [(6, 3, 9, 7), (6, 5)]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shifted(image: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Return an image ``[C, H, W]`` whose pixels are read at a distance, edges repeated, by a loop."""
    channels, height, width = image.shape
    result = torch.empty_like(image)
    for channel in range(channels):
        for row in range(height):
            for column in range(width):
                source_row = min(max(row + down, 0), height - 1)
                source_column = min(max(column + right, 0), width - 1)
                result[channel, row, column] = image[channel, source_row, source_column]
    return result


def fitting_changes(
    image: torch.Tensor, views: torch.Tensor, most: int
) -> list[list[tuple[int, int, float]]]:
    """Return for each view all shifts by up to ``most`` pixels, with a brightness, that make it."""
    changes: list[list[tuple[int, int, float]]] = [[] for _ in views]
    for down in range(-most, most + 1):
        for right in range(-most, most + 1):
            differences = (views - shifted(image, down, right)).flatten(1)
            for number in (differences.amax(1) - differences.amin(1) < 1e-5).nonzero():
                light = float(differences[number].mean())
                changes[int(number)].append((down, right, light))
    return changes


@pytest.mark.parametrize("shape", SHAPES)
def test_strength_0_returns_the_samples(shape: tuple[int, ...]) -> None:
    samples = normal(*shape)
    assert random_view(samples, 0.0, seed=3) is samples


@pytest.mark.parametrize(("strength", "most"), [(0.1, 1), (0.5, 1), (1.0, 2), (2.0, 4)])
def test_images_are_shifted_by_whole_pixels_and_brightened(strength: float, most: int) -> None:
    image, count = normal(2, 9, 8), 80
    views = random_view(image.expand(count, -1, -1, -1), strength, seed=1)
    assert views.shape == (count, 2, 9, 8)
    assert views.is_contiguous()
    changes = fitting_changes(image, views, most + 1)
    assert [len(each) for each in changes] == [1] * count, "exactly one shift makes each view"
    downs, rights, lights = zip(*(each[0] for each in changes), strict=True)
    for shifts in (downs, rights):
        assert set(shifts) == set(range(-most, most + 1)), "all shifts occur, in both directions"
    assert len(set(zip(downs, rights, strict=True))) > 2 * most + 1, "rows and columns differ"
    assert len({round(light, 4) for light in lights}) > 70, "each image has its own brightness"
    spread = torch.tensor(lights).std().item()
    assert spread == pytest.approx(strength * BRIGHTNESS, rel=0.3)


def test_the_brightness_changes_all_channels_alike() -> None:
    views = random_view(torch.zeros(500, 3, 4, 4), 2.0, seed=5)
    assert torch.equal(views, views[:, :1, :1, :1].expand_as(views))
    assert views[:, 0, 0, 0].std().item() == pytest.approx(2 * BRIGHTNESS, rel=0.1)
    assert abs(views[:, 0, 0, 0].mean().item()) < 0.1


def test_a_shift_may_be_larger_than_the_image() -> None:
    image = normal(1, 2, 2)
    views = random_view(image.expand(20, -1, -1, -1), 3.0, seed=0)
    assert all(fitting_changes(image, views, 6))


@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_feature_vectors_get_noise_of_their_own(strength: float) -> None:
    samples = normal(4000, 3)
    noise = random_view(samples, strength, seed=2) - samples
    assert noise.std(0).tolist() == pytest.approx([strength * NOISE] * 3, rel=0.06)
    assert abs(noise.mean()).item() < 4 * strength * NOISE / math.sqrt(noise.numel())
    correlation = torch.corrcoef(torch.cat([noise, samples], 1).T) - torch.eye(6)
    assert correlation[:3].abs().max().item() < 0.08


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_seed_decides(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    samples = normal(*shape).to(dtype)
    before = samples.clone()
    first, second = random_view(samples, 1.0, seed=7), random_view(samples, 1.0, seed=7)
    assert first.dtype == dtype
    assert torch.equal(first, second)
    other = random_view(samples, 1.0, seed=8)
    assert all(not torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert all(not torch.equal(a, b) for a, b in zip(first, samples, strict=True))
    assert torch.equal(samples, before), "the samples themselves do not change"


@pytest.mark.parametrize("shape", SHAPES)
def test_the_global_random_state_is_neither_read_nor_changed(shape: tuple[int, ...]) -> None:
    samples, views = normal(*shape), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        views.append(random_view(samples, 1.0, seed=0))
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(views[0], views[1])
