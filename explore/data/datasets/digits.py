"""The 1,797 handwritten digits of scikit-learn, enlarged and centred on a black margin."""

from __future__ import annotations

import numpy as np
import torch

from explore.core.validation import check_choice, check_whole_number
from explore.data.image_set import ImageSet, channel_statistics
from explore.data.normalization import to_bytes
from explore.errors import InvalidInput

TRAIN_COUNT, VAL_COUNT = 1297, 100
MAX_SIDE = 256
"""The largest side of an enlarged digit; all images are in memory at once."""


def digits(split: str = "train", *, size: int = 16, margin: int = 2) -> ImageSet:
    """Load handwritten digits, 0 to 9, in ``size × size`` pixels.

    The 8×8 originals are enlarged (bilinear) to fill all but ``margin`` pixels at each side. The
    margin matters for attention: zero padding is a hard edge for a network, and without a margin
    the maximum of a power-4 map is on the border in most images.

    Args:
        split: "train" (1,297 images), "val" (100) or "test" (400), a fixed random division.
        size: side in pixels, up to ``MAX_SIDE``.
        margin: black pixels at each side.

    Raises:
        UnknownName: another split.
        InvalidInput: no whole numbers, a larger size, or no pixels are left between the margins.

    Source: UCI "Optical Recognition of Handwritten Digits", a part of scikit-learn.

    Example:
        >>> digits(size=8, margin=0).images.shape
        torch.Size([1297, 1, 8, 8])
    """
    from sklearn.datasets import load_digits

    split = check_choice("split", split, ("train", "val", "test"))
    size = check_whole_number("size", size, 1, MAX_SIDE)
    margin = check_whole_number("margin", margin)
    inner = size - 2 * margin
    if inner < 1 or margin < 0:
        raise InvalidInput(
            f"size {size} with margin {margin} leaves {inner} pixels; "
            f"pass a margin from 0 to {(size - 1) // 2}"
        )
    raw = load_digits()
    images = torch.from_numpy(raw.images / 16).float()[:, None]
    if inner != 8:
        images = torch.nn.functional.interpolate(
            images, (inner, inner), mode="bilinear", align_corners=False
        )
    images = to_bytes(torch.nn.functional.pad(images, (margin,) * 4))
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(images)))
    train, val, test = order.tensor_split([TRAIN_COUNT, TRAIN_COUNT + VAL_COUNT])
    mean, std = channel_statistics(images[train])
    rows = {"train": train, "val": val, "test": test}[split]
    return ImageSet(
        "digits",
        images[rows],
        torch.from_numpy(raw.target)[rows],
        tuple(map(str, range(10))),
        mean,
        std,
        {"split": split, "size": size, "margin": margin},
        flip=False,
    )
