"""Find the images of one set that are also, pixel by pixel, in another."""

from __future__ import annotations

from hashlib import blake2b

import torch

from explore.core.tensor_validation import as_tensor
from explore.data.image_set import ImageSet
from explore.errors import InvalidInput

Images = ImageSet | torch.Tensor


def shared_images(reference: Images, images: Images) -> torch.Tensor:
    """Return the indices of the images that are also in ``reference``, by a hash of their pixels.

    Args:
        reference, images: image sets, or uint8 ``[N, C, H, W]``.

    Returns:
        int64, ascending; empty if the two have different shapes.

    Raises:
        InvalidInput: a tensor that is not uint8 ``[N, C, H, W]``.

    Example:
        >>> from explore.data import load
        >>> train, test = load("digits"), load("digits", "test")
        >>> len(shared_images(train, test)), shared_images(train, train.subset([3, 5])).tolist()
        (0, [0, 1])
    """
    hashes = set(_hashes(reference))
    indices = [i for i, digest in enumerate(_hashes(images)) if digest in hashes]
    return torch.tensor(indices, dtype=torch.int64)


def _hashes(images: Images) -> list[bytes]:
    pixels = images.images if isinstance(images, ImageSet) else as_tensor("images", images)
    if pixels.dtype != torch.uint8 or pixels.ndim != 4:
        raise InvalidInput(
            f"images must be uint8 [N, C, H, W], got {pixels.dtype} {list(pixels.shape)}"
        )
    shape = str(tuple(pixels.shape[1:])).encode()
    return [
        blake2b(image.contiguous().numpy().tobytes(), digest_size=16, key=shape).digest()
        for image in pixels.cpu()
    ]
