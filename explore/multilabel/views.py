"""Random views of samples: shifted and brightened images, feature vectors with noise."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import pad

from explore.core.array_validation import check_shape
from explore.core.tensor_validation import check_tensor
from explore.core.validation import check_number, check_seed
from explore.multilabel.config import MOST_STRENGTH

SHIFT = 2
"""Pixels by which an image is shifted at most, at the strength 1."""

BRIGHTNESS = 0.2
"""Standard deviation of the change of an image's brightness, in normalised units."""

NOISE = 0.2
"""Standard deviation of the noise of feature vectors, in standard deviations of the feature."""


def random_view(samples: Any, strength: float, seed: int) -> torch.Tensor:
    """Return a randomly changed copy of normalised samples.

    Images are shifted by whole pixels, with their edges repeated, and made lighter or darker;
    feature vectors get noise. The largest shift is 2 × ``strength``, rounded, and not below 1.
    Mirrored images are not used, because the label of a mirrored digit is another.

    Args:
        samples: ``[N, C, H, W]`` or ``[N, F]``.
        strength: factor of all changes, at most 100; 0 returns the samples themselves.
        seed: of the changes.

    Raises:
        InvalidInput: samples of another shape or type, or a strength out of its range.

    Example:
        >>> random_view(torch.zeros(2, 3), 1.0, seed=0).std() > 0.1
        tensor(True)
    """
    strength = check_number("strength", strength, at_least=0, at_most=MOST_STRENGTH)
    samples = check_tensor("samples", samples, ("N", ...), empty=True)
    if samples.ndim != 2:
        check_shape("samples", samples, ("N", "C", "H", "W"), "float", empty=True)
    generator = torch.Generator().manual_seed(check_seed(seed))
    if not strength or not samples.numel():
        return samples
    count = len(samples)
    if samples.ndim != 4:
        noise = torch.randn(samples.shape, generator=generator).to(samples)
        return samples + strength * NOISE * noise
    most = max(1, round(SHIFT * strength))
    shifts = torch.randint(0, 2 * most + 1, (2, count, 1), generator=generator)
    light = torch.randn(count, 1, 1, 1, generator=generator).to(samples)
    height, width = samples.shape[2:]
    padded = pad(samples, [most] * 4, mode="replicate").permute(0, 2, 3, 1)
    rows = (shifts[0] + torch.arange(height)).to(samples.device)
    columns = (shifts[1] + torch.arange(width)).to(samples.device)
    numbers = torch.arange(count, device=samples.device)[:, None, None]
    moved = padded[numbers, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return moved.contiguous() + strength * BRIGHTNESS * light
