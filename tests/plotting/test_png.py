"""Our PNG is the one that an image library reads, pixel for pixel."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from explore.plotting.png import encode


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 5, 4), (33, 17, 3), (600, 960, 4)], ids=str)
def test_pillow_reads_the_same_pixels(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    image = Image.open(io.BytesIO(encode(pixels)))
    assert (image.mode, image.format) == ("RGB", "PNG")
    assert np.array_equal(np.asarray(image), pixels[:, :, :3])
