"""Test the shared checks of image and label tensors: what they accept, and every error message."""

from __future__ import annotations

import pytest
import torch

from explore.core.tensor_validation import check_finite
from explore.data import _chunks, load
from explore.data._checks import INTEGER_DTYPES, check_images
from explore.errors import InvalidInput

X, Y = torch.zeros(6, 1, 8, 8), torch.arange(6)


def with_value(value: float) -> torch.Tensor:
    images = X.clone()
    images[[4, 5], 0, 3, 3] = value
    return images


def test_accepted() -> None:
    check_images(X)
    check_images(X.double(), Y - 3)
    check_images(X.byte(), Y, allow_bytes=True)
    check_images(X.flatten(1), Y, any_rank=True)
    for dtype in INTEGER_DTYPES:
        check_images(X, Y.to(dtype))


@pytest.mark.parametrize(
    ("images", "labels", "options", "message"),
    [
        (X.numpy(), None, {}, r"images must be a torch tensor \(torch.as_tensor .*\), got ndarray"),
        (X, Y.tolist(), {}, r"labels must be a torch tensor \(torch.as_tensor .*\), got list"),
        (X, [0], {"labels_name": "subclasses"}, "subclasses must be a torch tensor"),
        (
            X[0],
            Y,
            {},
            r"float \[N, C, H, W\] with N ≥ 1, got torch.float32 \[1, 8, 8\]; for grey images pass images\[:, None\]$",
        ),
        (X.flatten(), Y, {"any_rank": True}, r"float \[N, ...\] with N ≥ 1, got .* \[384\]$"),
        (X[:0], Y[:0], {}, r"with N ≥ 1, got torch.float32 \[0, 1, 8, 8\]$"),
        (X[..., :0], Y, {}, r"with N ≥ 1, got torch.float32 \[6, 1, 8, 0\]$"),
        (X.byte(), Y, {}, r"got torch.uint8 .*; convert bytes with .float\(\) / 255$"),
        (
            X.long(),
            Y,
            {"allow_bytes": True},
            r"got torch.int64 \[6, 1, 8, 8\]; convert them with .float\(\)",
        ),
        (
            X,
            Y[:5],
            {},
            r"labels must be integers \[6\], got torch.int64 \[5\]; pass the number of the class",
        ),
        (
            X,
            Y[:, None],
            {},
            r"labels must be integers \[6\], got torch.int64 \[6, 1\]; pass labels\[:, 0\]$",
        ),
        (
            X,
            Y.float(),
            {},
            r"labels must be integers \[6\], got torch.float32 \[6\]; convert them: labels.long\(\)$",
        ),
        (
            X,
            Y > 2,
            {},
            r"labels must be integers \[6\], got torch.bool \[6\]; convert them: labels.long\(\)$",
        ),
        (X, Y * 1j, {"labels_name": "subclasses"}, "subclasses must be real numbers"),
        (with_value(torch.nan), Y, {}, "2 images hold NaN or Inf, the first is number 4; remove"),
        (with_value(-torch.inf), None, {}, "2 images hold NaN or Inf, the first is number 4"),
    ],
)
def test_refused(images: object, labels: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        check_images(images, labels, **options)  # type: ignore[arg-type]


def test_the_message_names_the_tensors_of_an_image_set() -> None:
    with pytest.raises(InvalidInput, match=r"pass .batch\(\) and .labels of the ImageSet"):
        check_images(load("digits"), Y)


def test_finite_over_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_chunks, "CHUNK_BYTES", 600)
    check_finite("images", X)
    values = torch.zeros(40, 10)
    values[[31, 37], 2] = torch.inf
    with pytest.raises(InvalidInput, match="2 features hold NaN or Inf, the first is number 31"):
        check_finite("features", values)
