"""What is matched between real and synthetic graphs: structural attention, or gradients.

Each class is one group of graphs. The groups of a batch follow one another, so a batch needs one
forward pass for all of them, from which maps, embedding and logits come alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from explore.graphs.attention import EPSILON
from explore.graphs.powers import raise_to, safe_scale, unit_sum
from explore.models.gcn import GCN
from explore.models.graph_batch import DenseGraphs, SparseGraphs


@dataclass(frozen=True)
class Maps:
    """What structural-attention matching sees of a batch.

    Attributes:
        attention: ``[C, L, d, d]``, the structural attention of each class and layer, sum 1.
        embedding: ``[C, d]``, the sum of each class's pooled embeddings, divided by its L1 norm.
    """

    attention: torch.Tensor
    embedding: torch.Tensor


def sparse_maps(network: GCN, batch: SparseGraphs, counts: Sequence[int], power: float) -> Maps:
    """Return the maps of real graphs, of which class c has ``counts[c]``, class by class."""
    layers = network.hidden(batch)
    node_counts = [int(part.sum()) for part in batch.graphs.sizes.split(list(counts))]
    products = torch.stack(
        [
            torch.stack(
                [
                    rows.T @ rows
                    for rows in raise_to(safe_scale(hidden, power), power).split(node_counts)
                ]
            )
            for hidden in layers
        ],
        1,
    )
    embedding = network.embed(layers[-1], batch)
    sums = torch.stack([part.sum(0) for part in embedding.split(list(counts))])
    return _normalised(products, sums)


def dense_maps(network: GCN, batch: DenseGraphs, classes: int, power: float) -> Maps:
    """Return the maps of synthetic graphs, as many of each class, class by class."""
    layers = network.hidden(batch)  # zero at padding nodes
    products = []
    for hidden in layers:
        powers = raise_to(safe_scale(hidden, power), power).reshape(classes, -1, hidden.shape[-1])
        products.append(powers.mT @ powers)
    embedding = network.embed(layers[-1], batch)
    return _normalised(
        torch.stack(products, 1), embedding.reshape(classes, -1, embedding.shape[-1]).sum(1)
    )


def _normalised(products: torch.Tensor, sums: torch.Tensor) -> Maps:
    return Maps(unit_sum(products, (-1, -2), EPSILON), unit_sum(sums, (-1,), EPSILON))


def attention_loss(synthetic: Maps, real: Maps, embedding: float) -> torch.Tensor:
    """Return the loss of GSTAM: relative squared distances of the maps, plus λ that of embeddings.

    Each class has one ratio over all layers together. Nothing is propagated to the real side.

    Args:
        synthetic, real: see ``Maps``.
        embedding: λ, the weight of the term of the embeddings.

    Returns:
        A scalar, the sum over classes.
    """
    attention = _relative(synthetic.attention, real.attention.detach())
    if not embedding:
        return attention.sum()
    return (attention + embedding * _relative(synthetic.embedding, real.embedding.detach())).sum()


def _relative(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return ``|a − b|² / |b|²`` of each class."""
    a, b = a.flatten(1), b.flatten(1)
    return (a - b).square().sum(1) / (b.square().sum(1) + EPSILON)


def gradient_loss(
    network: GCN,
    synthetic: DenseGraphs,
    labels: torch.Tensor,
    real: Sequence[SparseGraphs],
) -> torch.Tensor:
    """Return the loss of DosCond: relative squared distances of gradients, summed over classes.

    Args:
        network: its parameters are what the gradients belong to.
        synthetic: as many graphs of each class, class by class.
        labels: their classes.
        real: the real graphs of each class.

    Returns:
        A scalar that can be propagated to features and adjacency.

    Source: DosCond (arXiv 2206.07746) with the distance "mse" of its scripts.
    """
    classes = len(real)
    logits = network(synthetic)
    total = logits.new_zeros(())
    for group, (rows, target) in enumerate(
        zip(logits.chunk(classes), labels.chunk(classes), strict=True)
    ):
        loss = cross_entropy(network(real[group]), real[group].graphs.labels)
        real_gradient = _gradient(loss, network, create_graph=False)
        gradient = _gradient(cross_entropy(rows, target), network, create_graph=True)
        total = total + _relative(gradient[None], real_gradient[None])[0]
    return total


def _gradient(loss: torch.Tensor, network: nn.Module, create_graph: bool) -> torch.Tensor:
    """Return the gradient of a loss in all parameters, ``[P]``."""
    parameters = list(network.parameters())
    gradients = torch.autograd.grad(
        loss, parameters, create_graph=create_graph, retain_graph=create_graph
    )
    return torch.cat([gradient.flatten() for gradient in gradients])
