"""Overlap: which images of one set are, pixel by pixel, in another."""

from __future__ import annotations

from hashlib import blake2b

import torch

from explore.data.image_set import ImageSet
from explore.errors import InvalidInput

Images = ImageSet | torch.Tensor


def shared_images(known: Images, asked: Images) -> torch.Tensor:
    """Indices of the images of ``asked`` that are also in ``known``, found by a hash of their pixels.

    Args:
        known, asked: image sets, or uint8 ``[N, C, H, W]``.

    Returns:
        int64, ascending; empty if images are of different shapes.

    Raises:
        InvalidInput: a tensor that is not of bytes.

    Example:
        >>> from explore.data import load
        >>> train, test = load("digits"), load("digits", "test")
        >>> len(shared_images(train, test)), shared_images(train, train.subset([3, 5])).tolist()
        (0, [0, 1])
    """
    seen = set(_digests(known))
    return torch.tensor(
        [i for i, digest in enumerate(_digests(asked)) if digest in seen], dtype=torch.int64
    )


def _digests(images: Images) -> list[bytes]:
    pixels = images.images if isinstance(images, ImageSet) else images
    if pixels.dtype != torch.uint8 or pixels.ndim != 4:
        raise InvalidInput(
            f"expected uint8 images [N, C, H, W], got {pixels.dtype} {list(pixels.shape)}"
        )
    shape = str(tuple(pixels.shape[1:])).encode()
    return [
        blake2b(image.contiguous().numpy().tobytes(), digest_size=16, key=shape).digest()
        for image in pixels.cpu()
    ]
