"""GIN and GAT of PyTorch Geometric as classifiers of graphs, for comparison with the GCN."""

from __future__ import annotations

import torch
from torch import nn

from explore.core.validation import check_choice, check_seed, check_whole_number
from explore.data.pyg import import_pyg
from explore.errors import InvalidInput
from explore.models._checks import check_weight_count
from explore.models.graph_batch import POOLS, SparseGraphs, check_graphs

PYG_KINDS = ("gin", "gat")
HEADS = 4


class PygClassifier(nn.Module):
    """A network of PyTorch Geometric's layers, a pool over nodes and a classifier.

    Args:
        kind: "gin" (Xu et al., ICLR 2019) or "gat" (Veličković et al., ICLR 2018, four heads).
        features, classes, width, depth, pool: as for ``GCN``.
        seed: of the weights.

    Raises:
        InvalidInput, UnknownName: an argument is out of range.

    Example:
        >>> from explore.data import load_graph_set
        >>> graphs = load_graph_set("motifs", count=6)
        >>> PygClassifier("gin", 31, 2, width=8)(SparseGraphs(graphs)).shape
        torch.Size([6, 2])
    """

    def __init__(
        self,
        kind: str,
        features: int,
        classes: int,
        width: int = 64,
        depth: int = 3,
        pool: str = "mean",
        seed: int = 0,
    ) -> None:
        super().__init__()
        kind, pool = check_choice("kind", kind, PYG_KINDS), check_choice("pool", pool, POOLS)
        features, classes, width, depth = (
            check_whole_number(name, value, at_least=1)
            for name, value in (
                ("features", features), ("classes", classes), ("width", width), ("depth", depth),
            )
        )  # fmt: skip
        seed = check_seed(seed)
        check_weight_count(HEADS * width * (features + depth * width + classes))
        layers_of = import_pyg("nn")
        self.kind, self.pool, self.features = kind, pool, features
        inputs = [features, *[width] * (depth - 1)]
        with torch.random.fork_rng(devices=[]):  # Layers draw weights, which are drawn anew below.
            if kind == "gin":
                layers = [
                    layers_of.GINConv(
                        nn.Sequential(nn.Linear(n, width), nn.ReLU(), nn.Linear(width, width))
                    )
                    for n in inputs
                ]
            else:
                layers = [layers_of.GATConv(n, width, heads=HEADS, concat=False) for n in inputs]
            self.layers = nn.ModuleList(layers)
            self.classifier = nn.Linear(width, classes)
        self._draw_weights(seed)

    @torch.no_grad()
    def _draw_weights(self, seed: int) -> None:
        """Draw all weights from a private generator; biases start at zero."""
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                fan = parameter.shape[-1] + parameter.shape[-2]
                limit = (6 / fan) ** 0.5
                drawn = torch.rand(parameter.shape, generator=generator) * (2 * limit) - limit
                parameter.copy_(drawn)
            else:
                parameter.zero_()

    def hidden(self, graphs: SparseGraphs) -> list[torch.Tensor]:
        """Return the values after each layer and its ReLU, ``[nodes, width]`` each."""
        check_graphs(graphs, self.features, SparseGraphs)
        values, outputs = graphs.features, []
        for layer in self.layers:
            values = layer(values, graphs.graphs.edges).relu()
            outputs.append(values)
        return outputs

    def embed(self, hidden: torch.Tensor, graphs: SparseGraphs) -> torch.Tensor:
        """Return the pooled values of the last layer, ``[G, width]``."""
        return graphs.pool(hidden, self.pool)

    def classify(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return the logits of embeddings, ``[G, classes]``."""
        logits: torch.Tensor = self.classifier(embedding)
        return logits

    def forward(self, graphs: SparseGraphs) -> torch.Tensor:
        """Return the logits of all graphs, ``[G, classes]``."""
        return self.classify(self.embed(self.hidden(graphs)[-1], graphs))

    def edge_attention(self, graphs: SparseGraphs) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the attention coefficients that a GAT computes itself, for all layers.

        Returns:
            The edges ``[2, E]`` with one loop at each node, and for each layer ``[E]``: the mean
            over the heads of the coefficient with which the second node attends to the first.

        Raises:
            InvalidInput: a network without such coefficients.
        """
        if self.kind != "gat":
            raise InvalidInput("only a gat has attention coefficients of its own")
        check_graphs(graphs, self.features, SparseGraphs)
        values, coefficients = graphs.features, []
        edges = graphs.graphs.edges
        for layer in self.layers:
            values, (edges, alpha) = layer(
                values, graphs.graphs.edges, return_attention_weights=True
            )
            values = values.relu()
            coefficients.append(alpha.detach().mean(1))
        return edges, coefficients

    @torch.no_grad()
    def received_attention(self, graphs: SparseGraphs) -> torch.Tensor:
        """Return how much a GAT's nodes attend to each node, ``[layers, nodes]``.

        It is the sum of the coefficients on the edges that leave the node, without its loop.

        Raises:
            InvalidInput: a network without such coefficients.
        """
        edges, coefficients = self.edge_attention(graphs)
        source, target = edges
        other = source != target
        nodes = len(graphs.features)
        return torch.stack(
            [
                torch.zeros(nodes, device=alpha.device).index_add(0, source[other], alpha[other])
                for alpha in coefficients
            ]
        )
