"""The loss of DM, DataDAM, channel-only matching and ATOM: distances between class means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.linalg import vector_norm
from torch.nn.functional import normalize, one_hot

from explore.attention.maps import channel_attention, spatial_attention
from explore.attention.power_sums import PowerSums, power_sums, taps_and_embed
from explore.core.tensor_validation import check_tensor
from explore.core.validation import check_items, check_number
from explore.errors import InvalidInput

SAFE_NORMS = (1e-9, 1e15)
"""Between these, the squares in a norm neither vanish nor overflow in float32."""

LARGEST_EXPONENT = 126
"""Of a power of two that is a normal number in float32."""


@dataclass(frozen=True)
class ClassMeans:
    """Means over the images of each class.

    Attributes:
        spatial: for each block, unit maps ``[K, H·W]``.
        channel: for each block, unit vectors ``[K, C]``.
        embedding: ``[K, D]``.
    """

    spatial: list[torch.Tensor]
    channel: list[torch.Tensor]
    embedding: torch.Tensor


def class_means(sums: PowerSums, labels: torch.Tensor, classes: int) -> ClassMeans:
    """Normalise the sums of each image, then average over the images of each class."""
    weight = one_hot(labels, classes).to(sums.embedding.dtype)
    weight = (weight / weight.sum(0).clamp(min=1)).T  # [K, N]

    def mean(values: torch.Tensor) -> torch.Tensor:
        return weight @ values.flatten(1)

    return ClassMeans(
        [mean(unit_rows(s.flatten(1))) for s in sums.spatial],
        [mean(unit_rows(s)) for s in sums.channel],
        mean(sums.embedding),
    )


def unit_rows(values: torch.Tensor) -> torch.Tensor:
    """Return rows ``[N, D]`` of values of at least 0, divided by their L2 norms.

    Rows of any scale get the norm 1; rows of zeros stay zero, and rows with NaN become NaN.

    Example:
        >>> unit_rows(torch.tensor([[3e-30, 4e-30], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    norms = vector_norm(values, dim=1, keepdim=True)
    low, high = torch.aminmax(norms.detach())
    if float(low) >= SAFE_NORMS[0] and float(high) <= SAFE_NORMS[1]:
        return values / norms
    peaks = values.detach().amax(1, keepdim=True)
    return normalize(values * _inverse_power_of_two(peaks), dim=1)


def _inverse_power_of_two(peaks: torch.Tensor) -> torch.Tensor:
    """Return factors that move peaks into [0.5, 1) without rounding; 1 for zero, NaN and Inf."""
    exponents = torch.frexp(peaks).exponent.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT)
    usable = torch.isfinite(peaks) & (peaks > 0)
    return torch.where(usable, torch.ldexp(torch.ones_like(peaks), -exponents), 1.0)


def real_means(
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    spatial: float | None = 4.0,
    channel: float | None = None,
    dtype: torch.dtype = torch.float32,
) -> ClassMeans:
    """Return the class means of many images under one network, without gradients."""
    return class_means(power_sums(network, images, spatial, channel, dtype), labels, classes)


def synthetic_means(
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    spatial: float | None = 4.0,
    channel: float | None = None,
) -> ClassMeans:
    """Return the class means of a few images under one network, with gradients."""
    maps, embedding = taps_and_embed(network, images)
    return class_means(_power_sums(maps[:-1], embedding, spatial, channel), labels, classes)


def matching_terms(real: ClassMeans, synthetic: ClassMeans) -> dict[str, torch.Tensor]:
    """Return the squared distances between class means, without weights.

    Returns:
        "spatial" and "channel" ``[K, L-1]``, each entry at most 2, because the means are those of
        unit vectors without negative entries; "embedding" ``[K]``.
    """

    def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b).square().sum(1)

    terms = {"embedding": distance(real.embedding, synthetic.embedding)}
    for name in ("spatial", "channel"):
        blocks = zip(getattr(real, name), getattr(synthetic, name), strict=True)
        if distances := [distance(a, b) for a, b in blocks]:
            terms[name] = torch.stack(distances, 1)
    return terms


def attention_matching_loss(
    real_taps: Sequence[torch.Tensor],
    synthetic_taps: Sequence[torch.Tensor],
    *,
    spatial: float | None = 4.0,
    channel: float | None = None,
    mmd: float = 0.01,
) -> torch.Tensor:
    """Return the loss of one class.

    It is that of DM (both powers None, mmd 1), DataDAM (spatial), channel-only matching, or ATOM
    (both powers): ``Σ_l ‖mean ẑ_real − mean ẑ_syn‖² + mmd · ‖mean ψ_real − mean ψ_syn‖²``, where ẑ
    are unit attention maps (or channel vectors) of each image and ψ its embedding.

    Args:
        real_taps, synthetic_taps: lists of maps ``[N, C, H, W]`` of blocks 1 to L-1 before their
            pooling, then the embedding ``[N, D]`` or ``[N, D, 1, 1]``: floats in tensors, arrays or
            lists. N may differ between the two.
        spatial: power of the spatial attention; None removes this term.
        channel: power of the channel attention; None removes this term.
        mmd: weight of the embedding term.

    Returns:
        A differentiable scalar; no other factor is applied. It is float64 if one of the taps is,
        else float32. NaN in a tap makes it NaN.

    Raises:
        InvalidInput: the shapes of the two lists differ, one of them has no images, a power is not
            above 0, all terms are off, or the loss is larger than its type can hold.

    Source: DataDAM (arXiv 2310.00093); DM (arXiv 2110.04181); ATOM (arXiv 2405.01373). Powers and
    weight of the channel term are our interpretation of ATOM.

    Example:
        >>> a = [torch.rand(8, 4, 6, 6), torch.rand(8, 16)]
        >>> attention_matching_loss(a, a).item()
        0.0
    """
    powers = {"spatial": spatial, "channel": channel}
    for name, power in powers.items():
        if power is not None:
            powers[name] = check_number(f"{name} power", power, above=0)
    mmd = check_number("mmd", mmd, at_least=0)
    if spatial is None and channel is None and not mmd:
        raise InvalidInput("all terms are off: give spatial or channel a power, or mmd a weight")
    real, synthetic = _same_type(
        _check_taps("real_taps", real_taps), _check_taps("synthetic_taps", synthetic_taps)
    )
    shapes = [[tuple(tap.shape[1:]) for tap in taps] for taps in (real, synthetic)]
    counts = [[len(tap) for tap in taps] for taps in (real, synthetic)]
    if not real or shapes[0] != shapes[1] or 0 in (*counts[0], *counts[1]):
        raise InvalidInput(
            "taps must match in all but the number of images (at least 1); "
            f"got shapes {shapes[0]} and {shapes[1]}"
        )
    if any(len(set(images)) > 1 for images in counts):
        raise InvalidInput(
            "all taps of one list must be of the same images; "
            f"got {counts[0]} real and {counts[1]} synthetic images"
        )
    means = []
    for *maps, embedding in (real, synthetic):
        sums = _power_sums([_scaled(f) for f in maps], embedding.flatten(1), **powers)
        labels = torch.zeros(len(embedding), dtype=torch.long, device=embedding.device)
        means.append(class_means(sums, labels, 1))
    loss = weighted(matching_terms(*means), mmd)
    if not torch.isfinite(loss) and all(bool(t.isfinite().all()) for t in (*real, *synthetic)):
        raise InvalidInput(
            f"the loss is too large for {loss.dtype}; scale the embeddings or choose a smaller mmd"
        )
    return loss


def _check_taps(name: str, taps: Any) -> list[torch.Tensor]:
    """Return taps as float tensors on one device, with their gradients; halves in float32."""
    if isinstance(taps, torch.Tensor | np.ndarray):
        raise InvalidInput(
            f"{name} must be a list of maps and then the embedding, got one {type(taps).__name__} "
            f"{list(taps.shape)}"
        )
    tensors = [
        check_tensor(f"{name}[{k}]", tap, ("N", "C", ...), empty=True)
        for k, tap in enumerate(check_items(name, taps))
    ]
    for k, tap in enumerate(tensors[:-1]):
        if tap.ndim != 4:
            raise InvalidInput(f"{name}[{k}]: features must be [N, C, H, W], got {list(tap.shape)}")
    return [tap.float() if tap.dtype.itemsize < 4 else tap for tap in tensors]


def _same_type(*lists: list[torch.Tensor]) -> list[list[torch.Tensor]]:
    """Return lists of tensors in the widest of their types.

    Raises:
        InvalidInput: they are on several devices.
    """
    tensors = [tensor for listed in lists for tensor in listed]
    devices = sorted({str(tensor.device) for tensor in tensors})
    if len(devices) > 1:
        raise InvalidInput(f"all taps must be on one device, got {' and '.join(devices)}")
    wide = any(tensor.dtype == torch.float64 for tensor in tensors)
    return [[t.double() if wide else t for t in listed] for listed in lists]


def _scaled(maps: torch.Tensor) -> torch.Tensor:
    """Return the map of each image with its peak in [0.5, 1): the scale changes no unit map."""
    peaks = (
        maps.detach().flatten(1).abs().amax(1) if maps[:1].numel() else maps.new_zeros(len(maps))
    )
    return maps * _inverse_power_of_two(peaks)[:, None, None, None]


def weighted(terms: dict[str, torch.Tensor], mmd: float) -> torch.Tensor:
    """Return the sum of ``matching_terms``; the embedding has the weight ``mmd``."""
    total = mmd * terms["embedding"].sum()
    for name in ("spatial", "channel"):
        if name in terms:
            total = total + terms[name].sum()
    return total


def _power_sums(
    maps: Sequence[torch.Tensor],
    embedding: torch.Tensor,
    spatial: float | None,
    channel: float | None,
) -> PowerSums:
    def sums(attention: Any, power: float | None) -> list[torch.Tensor]:
        return [] if power is None else [attention(f, power, normalize=False) for f in maps]

    return PowerSums(sums(spatial_attention, spatial), sums(channel_attention, channel), embedding)
