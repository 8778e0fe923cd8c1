"""The arithmetic of class activation maps: from feature maps and the gradients of a score.

Every function takes ``f`` and ``g``, both ``[N, C, h, w]``: a feature map and the gradient of the
class's logit with respect to it. It returns ``Σ_c`` of weighted channels ``[N, h, w]``, before the
ReLU.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

EPSILON = 1e-8
"""Keeps quotients finite; the value of torchcam's code."""


def gradcam_sum(f: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """Weight each channel with the mean of its gradient (Grad-CAM, arXiv 1610.02391, eq. 1)."""
    return (g.mean((2, 3), keepdim=True) * f).sum(1)


def hirescam_sum(f: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """Weight each value with its own gradient (HiResCAM, arXiv 2011.08891, eq. 3)."""
    return (g * f).sum(1)


def layercam_sum(f: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """Weight each value with its own positive gradient (LayerCAM, TIP 2021, eq. 6)."""
    return (g.relu() * f).sum(1)


def gradcam_plus_plus_sum(f: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """Weight channels by second-order coefficients (Grad-CAM++, arXiv 1710.11063, eq. 19).

    ``α_ij = g_ij² / (2 g_ij² + g_ij³ Σ_ab f_ab)`` where the gradient is positive.
    """
    positive = g.relu()
    alpha = 1 / (2 + positive * f.sum((2, 3), keepdim=True) + EPSILON)
    return ((alpha * positive).sum((2, 3), keepdim=True) * f).sum(1)


def smooth_gradcam_plus_plus_sum(
    f: torch.Tensor, features: list[torch.Tensor], gradients: list[torch.Tensor]
) -> torch.Tensor:
    """Weight channels by second-order coefficients, with mean powers of gradients over the copies.

    The formula is the one of torchcam, with which EDF and Comp-DD computed their maps:
    ``α = D2 / (2 D2 + Σ f D3)``, where D2 and D3 are the means of the second and third power. The
    first power, and the feature map that is weighted, are those of the last copy.

    Args:
        f: the feature map of the image itself.
        features, gradients: those of its noisy copies, one tensor for each copy.

    Source: Smooth Grad-CAM++ (arXiv 1908.01224, eq. 6), with torchcam's numerator.
    """
    squares = torch.stack([g.square() for g in gradients]).mean(0)
    cubes = torch.stack([g**3 for g in gradients]).mean(0)
    alpha = squares / (2 * squares + (cubes * f).sum((2, 3), keepdim=True) + EPSILON)
    weights = (alpha * gradients[-1].relu()).sum((2, 3), keepdim=True)
    return (weights * features[-1]).sum(1)


CAM_SUMS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "gradcam": gradcam_sum,
    "hirescam": hirescam_sum,
    "layercam": layercam_sum,
    "gradcam++": gradcam_plus_plus_sum,
}
"""The kinds that need one forward and one backward pass."""


"""The names of all kinds of maps."""


def scale_maps(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale maps ``[N, h, w]`` to [0, 1], each by its own minimum and maximum.

    Returns:
        The scaled maps, and bool ``[N]``: which of them are valid. A map that is constant or not
        finite is not; it becomes zeros.
    """
    flat = maps.flatten(1)
    low, high = flat.amin(1), flat.amax(1)
    span = high - low
    valid = torch.isfinite(flat).all(1) & (span > FLAT_SHARE * high.abs().maximum(low.abs()))
    scaled = (flat - low[:, None]) / torch.where(valid, span, 1)[:, None]
    return torch.where(valid[:, None], scaled, 0).view_as(maps), valid


FLAT_SHARE = 1e-6
"""A map whose values differ by less than this share of the largest one is constant: the difference
is the rounding of float32."""
