"""The one loss of DM, DataDAM, channel-only matching and ATOM: means of unit attention, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import normalize, one_hot

from explore.attention.maps import channel_attention, spatial_attention
from explore.attention.power_sums import PowerSums, power_sums, taps_and_embed
from explore.errors import InvalidInput


@dataclass(frozen=True)
class ClassMeans:
    """Class means: ``spatial[l]`` of unit maps ``[K, H·W]``, ``channel[l]`` of unit vectors ``[K, C]``, ``embedding [K, D]``."""

    spatial: list[torch.Tensor]
    channel: list[torch.Tensor]
    embedding: torch.Tensor


def class_means(sums: PowerSums, labels: torch.Tensor, classes: int) -> ClassMeans:
    """Normalise each image's sums, then average over each class (the mean of unit maps, not the unit map of the mean)."""
    weight = one_hot(labels, classes).to(sums.embedding.dtype)
    weight = (weight / weight.sum(0).clamp(min=1)).T  # [K, N]

    def mean(values: torch.Tensor) -> torch.Tensor:
        return weight @ values.flatten(1)

    return ClassMeans(
        [mean(normalize(s.flatten(1), dim=1)) for s in sums.spatial],
        [mean(normalize(s, dim=1)) for s in sums.channel],
        mean(sums.embedding),
    )


def real_means(
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    spatial: float | None = 4.0,
    channel: float | None = None,
    dtype: torch.dtype = torch.float32,
) -> ClassMeans:
    """Class means of many images under one network, without gradients, on the fast path."""
    return class_means(power_sums(network, images, spatial, channel, dtype), labels, classes)


def synthetic_means(
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    spatial: float | None = 4.0,
    channel: float | None = None,
) -> ClassMeans:
    """Class means of a few images under one network, with gradients."""
    maps, embedding = taps_and_embed(network, images)
    return class_means(_sums(maps[:-1], embedding, spatial, channel), labels, classes)


def matching_terms(real: ClassMeans, synthetic: ClassMeans) -> dict[str, torch.Tensor]:
    """Squared distances between class means, not weighted: "spatial" and "channel" ``[K, L-1]``, "embedding" ``[K]``.

    Each entry of the first two is at most 2, as means of unit vectors without negative entries are.
    """

    def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b).square().sum(1)

    terms = {"embedding": distance(real.embedding, synthetic.embedding)}
    for name in ("spatial", "channel"):
        pairs = [
            distance(a, b)
            for a, b in zip(getattr(real, name), getattr(synthetic, name), strict=True)
        ]
        if pairs:
            terms[name] = torch.stack(pairs, 1)
    return terms


def attention_matching_loss(
    real_taps: Sequence[torch.Tensor],
    synthetic_taps: Sequence[torch.Tensor],
    *,
    spatial: float | None = 4.0,
    channel: float | None = None,
    mmd: float = 0.01,
) -> torch.Tensor:
    """The loss of one class: DM (both powers None, mmd 1), DataDAM (spatial), channel-only, or ATOM (both).

    ``Σ_l ‖mean ẑ_real − mean ẑ_syn‖² + mmd · ‖mean ψ_real − mean ψ_syn‖²``, where ẑ are unit
    attention maps (or channel vectors) of each image and ψ its embedding.

    Args:
        real_taps, synthetic_taps: maps ``[N, C, H, W]`` of blocks 1 to L-1 before their pooling,
            then the embedding ``[N, D]`` or ``[N, D, 1, 1]``. N may differ between the two.
        spatial: power of the spatial maps; None switches them off.
        channel: power of the channel vectors; None switches them off.
        mmd: weight of the embedding term.

    Returns:
        A scalar that gradients flow through; no other scale is applied.

    Raises:
        InvalidInput: the two lists do not fit together, one is empty of images, a power is not above 0, or all terms are off.

    Source: DataDAM (arXiv 2310.00093); DM (arXiv 2110.04181); ATOM (arXiv 2405.01373), of which
    powers and weight of the channel term are our reading.

    Example:
        >>> a = [torch.rand(8, 4, 6, 6), torch.rand(8, 16)]
        >>> attention_matching_loss(a, a).item()
        0.0
    """
    if spatial is None and channel is None and not mmd:
        raise InvalidInput("all terms are off: give spatial or channel a power, or mmd a weight")
    real, synthetic = list(real_taps), list(synthetic_taps)
    shapes = [[tuple(t.shape[1:]) for t in taps] for taps in (real, synthetic)]
    if len(real) < 1 or shapes[0] != shapes[1] or not all(len(t) for t in (*real, *synthetic)):
        given = f"got shapes {shapes[0]} and {shapes[1]}"
        raise InvalidInput(f"taps must match in all but the number of images (at least 1); {given}")
    counts = [[len(t) for t in taps] for taps in (real, synthetic)]
    if any(len(set(of_one)) > 1 for of_one in counts):
        given = f"got {counts[0]} real and {counts[1]} synthetic images"
        raise InvalidInput(f"all taps of one side must be of the same images; {given}")
    means = []
    for *maps, embedding in (real, synthetic):
        sums = _sums(maps, embedding.flatten(1), spatial, channel)
        means.append(
            class_means(
                sums, torch.zeros(len(embedding), dtype=torch.long, device=embedding.device), 1
            )
        )
    return weighted(matching_terms(*means), mmd)


def weighted(terms: dict[str, torch.Tensor], mmd: float) -> torch.Tensor:
    """The scalar loss of ``matching_terms``: attention terms at weight 1, the embedding at ``mmd``."""
    total = mmd * terms["embedding"].sum()
    for name in ("spatial", "channel"):
        if name in terms:
            total = total + terms[name].sum()
    return total


def _sums(
    maps: Sequence[torch.Tensor],
    embedding: torch.Tensor,
    spatial: float | None,
    channel: float | None,
) -> PowerSums:
    return PowerSums(
        [spatial_attention(f, spatial, normalize=False) for f in maps]
        if spatial is not None
        else [],
        [channel_attention(f, channel, normalize=False) for f in maps]
        if channel is not None
        else [],
        embedding,
    )
