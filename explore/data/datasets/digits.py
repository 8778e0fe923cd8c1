"""The 1,797 real handwritten digits inside scikit-learn, enlarged and centred on a black margin."""

from __future__ import annotations

import numpy as np
import torch

from explore.data.image_set import ImageSet, channel_statistics
from explore.errors import InvalidInput

TRAIN, VAL = 1297, 100


def digits(split: str = "train", *, size: int = 16, margin: int = 2) -> ImageSet:
    """Handwritten digits, 0 to 9, in ``size × size`` pixels.

    The 8×8 originals are enlarged (bilinear) to fill all but ``margin`` pixels at each side. The
    margin matters for attention: zero padding is a hard edge to a network, and without a margin
    the strongest spot of a power-4 map lies on the border in most images.

    Args:
        split: "train" (1,297 images), "val" (100) or "test" (400), drawn once at random.
        size: side in pixels.
        margin: black pixels at each side.

    Raises:
        InvalidInput: nothing is left between the margins.

    Source: UCI "Optical Recognition of Handwritten Digits", as shipped with scikit-learn.

    Example:
        >>> digits(size=8, margin=0).images.shape
        torch.Size([1297, 1, 8, 8])
    """
    from sklearn.datasets import load_digits

    inner = size - 2 * margin
    if inner < 1 or margin < 0:
        raise InvalidInput(
            f"size {size} with margin {margin} leaves {inner} pixels; give a margin from 0 to {(size - 1) // 2}"
        )
    raw = load_digits()
    images = torch.from_numpy(raw.images / 16).float()[:, None]
    if inner != 8:
        images = torch.nn.functional.interpolate(
            images, (inner, inner), mode="bilinear", align_corners=False
        )
    images = torch.nn.functional.pad(images, (margin,) * 4).mul(255).round().to(torch.uint8)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(images)))
    mean, std = channel_statistics(images[order[:TRAIN]])
    parts = {
        "train": order[:TRAIN],
        "val": order[TRAIN : TRAIN + VAL],
        "test": order[TRAIN + VAL :],
    }
    return ImageSet(
        "digits",
        images[parts[split]],
        torch.from_numpy(raw.target)[parts[split]],
        tuple(map(str, range(10))),
        mean,
        std,
        {"split": split, "size": size, "margin": margin},
    )
