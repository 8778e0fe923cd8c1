"""The graph convolutional network (GCN), which runs on sparse and on dense batches of graphs."""

from __future__ import annotations

import math

import torch
from torch import nn

from explore.core.validation import check_choice, check_seed, check_whole_number
from explore.models._checks import check_weight_count
from explore.models.graph_batch import POOLS, GraphBatch, check_graphs

NORMS = ("none", "batch")


class GCN(nn.Module):
    """Graph convolutions, each with a norm and ReLU, then a pool over nodes and a classifier.

    A layer computes ``ReLU(norm(D^-1/2 (A + I) D^-1/2 H W + b))``, with ``H`` the hidden values of
    the layer before and D the degrees of ``A + I``.

    Args:
        features: number of features of a node.
        classes: number of classes.
        width: channels of each layer.
        depth: number of layers.
        norm: "none", or "batch" over all real nodes of a batch.
        pool: "mean" or "sum" over the nodes of a graph.
        seed: of the weights, which are Glorot's uniform ones; biases start at zero.

    Raises:
        InvalidInput, UnknownName: an argument is out of range.

    Source: Kipf and Welling, ICLR 2017; widths and pools as in the released code of GSTAM.

    Example:
        >>> from explore.data import load_graph_set
        >>> from explore.models import GCN, SparseGraphs
        >>> graphs = load_graph_set("motifs", count=6)
        >>> network = GCN(graphs.features.shape[1], 2, width=8)
        >>> network(SparseGraphs(graphs)).shape
        torch.Size([6, 2])
    """

    def __init__(
        self,
        features: int,
        classes: int,
        width: int = 128,
        depth: int = 3,
        norm: str = "none",
        pool: str = "mean",
        seed: int = 0,
    ) -> None:
        super().__init__()
        features, classes, width, depth = (
            check_whole_number(name, value, at_least=1)
            for name, value in (
                ("features", features), ("classes", classes), ("width", width), ("depth", depth),
            )
        )  # fmt: skip
        check_weight_count(width * (features + (depth - 1) * width + classes))
        self.pool = check_choice("pool", pool, POOLS)
        check_choice("norm", norm, NORMS)
        inputs = [features, *[width] * (depth - 1)]
        self.weights = nn.ParameterList(torch.empty(n, width) for n in inputs)
        self.biases = nn.ParameterList(torch.empty(width) for _ in inputs)
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(width) if norm == "batch" else nn.Identity() for _ in inputs
        )
        self.classifier_weight = nn.Parameter(torch.empty(width, classes))
        self.classifier_bias = nn.Parameter(torch.empty(classes))
        self.draw_weights(seed)

    @torch.no_grad()
    def draw_weights(self, seed: int) -> GCN:
        """Draw all weights anew, from a private generator, and return the network."""
        generator = torch.Generator().manual_seed(check_seed(seed))
        for weight in [*self.weights, self.classifier_weight]:
            limit = math.sqrt(6 / sum(weight.shape))
            weight.copy_(torch.rand(weight.shape, generator=generator) * (2 * limit) - limit)
        for bias in [*self.biases, self.classifier_bias]:
            bias.zero_()
        for norm in self.norms:
            if isinstance(norm, nn.BatchNorm1d):
                norm.reset_parameters()
        return self

    def hidden(self, graphs: GraphBatch) -> list[torch.Tensor]:
        """Return the values after each layer: ``[nodes, width]``, or ``[G, N, width]`` if dense."""
        check_graphs(graphs, self.weights[0].shape[0])
        hidden, layers = graphs.features.to(self.weights[0].dtype), []
        for weight, bias, norm in zip(self.weights, self.biases, self.norms, strict=True):
            # The smaller of both sides is aggregated.
            if weight.shape[0] < weight.shape[1]:
                hidden = graphs.aggregate(hidden) @ weight
            else:
                hidden = graphs.aggregate(hidden @ weight)
            hidden = hidden + bias
            if not isinstance(norm, nn.Identity):
                hidden = graphs.map_rows(norm, hidden)
            hidden = graphs.clear_padding(hidden.relu())
            layers.append(hidden)
        return layers

    def embed(self, hidden: torch.Tensor, graphs: GraphBatch) -> torch.Tensor:
        """Return the pooled values of the last layer, ``[G, width]``."""
        return graphs.pool(hidden, self.pool)

    def classify(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return the logits of embeddings, ``[G, classes]``."""
        return embedding @ self.classifier_weight + self.classifier_bias

    def forward(self, graphs: GraphBatch) -> torch.Tensor:
        """Return the logits of all graphs, ``[G, classes]``."""
        return self.classify(self.embed(self.hidden(graphs)[-1], graphs))
