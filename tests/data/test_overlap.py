"""Test the overlap of two sets by hand, and against a comparison of all pairs."""

from __future__ import annotations

import pytest
import torch

from explore.data import load
from explore.data.overlap import shared_images
from explore.errors import InvalidInput


def test_the_overlap_equals_a_comparison_of_all_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    reference, images = (
        torch.randint(0, 2, (60, 1, 2, 3), dtype=torch.uint8, generator=generator) for _ in range(2)
    )
    same = (reference[None] == images[:, None]).flatten(2).all(2).any(1)
    assert 0 < int(same.sum()) < 60
    assert shared_images(reference, images).tolist() == same.nonzero().flatten().tolist()


def test_equal_bytes_of_another_shape_are_another_image() -> None:
    assert (
        len(
            shared_images(
                torch.zeros(1, 1, 2, 8, dtype=torch.uint8),
                torch.zeros(1, 1, 4, 4, dtype=torch.uint8),
            )
        )
        == 0
    )


def test_the_parts_of_digits_share_nothing() -> None:
    train, val, test = (load("digits", split) for split in ("train", "val", "test"))
    assert [len(shared_images(a, b)) for a, b in ((train, val), (train, test), (val, test))] == [
        0,
        0,
        0,
    ]
    assert shared_images(train, train.subset([7, 2, 2])).tolist() == [0, 1, 2]


def test_only_uint8_images_are_accepted() -> None:
    with pytest.raises(
        InvalidInput, match=r"images must be uint8 \[N, C, H, W\], got torch.float32"
    ):
        shared_images(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))
