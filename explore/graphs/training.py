"""Train a network on graphs, and score it on others."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from explore.core.validation import check_choice
from explore.data.graph_set import GraphSet
from explore.graphs.config import ARCHITECTURES
from explore.models.gcn import GCN
from explore.models.graph_batch import SparseGraphs
from explore.models.training import Fit, evaluation_mode


class GraphClassifier(nn.Module):
    """A network and a set of graphs as a function of the graphs' indices, for ``Fit``.

    A batch of all graphs is made only once.
    """

    def __init__(self, network: nn.Module, graphs: GraphSet) -> None:
        super().__init__()
        self.network, self.graphs = network, graphs
        self._whole = SparseGraphs(graphs)

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """Return the logits of the graphs ``indices``."""
        if len(indices) == len(self.graphs):
            logits: torch.Tensor = self.network(self._whole)[indices]
            return logits
        return self.network(SparseGraphs(self.graphs.subset(indices.cpu())))


def create_network(
    architecture: str,
    graphs: GraphSet,
    *,
    width: int = 64,
    depth: int = 3,
    norm: str = "none",
    pool: str = "mean",
    seed: int = 0,
) -> nn.Module:
    """Return a new network for the features and classes of a set.

    Args:
        architecture: "gcn", "gin" or "gat".
        graphs: the set.
        width, depth, norm, pool: as for ``GCN``; only the gcn has a norm.
        seed: of the weights.
    """
    check_choice("architecture", architecture, ARCHITECTURES)
    features, classes = graphs.features.shape[1], len(graphs.class_names)
    if architecture == "gcn":
        return GCN(features, classes, width, depth, norm, pool, seed)
    from explore.models.pyg_networks import PygClassifier

    return PygClassifier(architecture, features, classes, width, depth, pool, seed)


def train_network(
    graphs: GraphSet,
    architecture: str = "gcn",
    *,
    epochs: int = 200,
    learning_rate: float = 0.005,
    batch: int = 128,
    seed: int = 0,
    **network_options: Any,
) -> nn.Module:
    """Train a new network on a set of graphs and return it in evaluation mode.

    Args:
        graphs: real or condensed.
        architecture: "gcn", "gin" or "gat".
        epochs, batch: passes over the graphs, and graphs in a step.
        learning_rate: of Adam, divided by 10 at half of the epochs.
        seed: of the weights and of the order of the graphs.
        **network_options: of ``create_network``, such as ``width`` and ``norm``.

    Raises:
        RunDiverged: the loss is not a finite number.

    Source: Adam with the rate divided by 10 at half is the evaluation of DosCond's and GSTAM's
    released code, with 0.001 and 500 epochs.

    Example:
        >>> from explore.data import load_graph_set
        >>> graphs = load_graph_set("motifs", count=20)
        >>> network = train_network(graphs, epochs=2, width=8)
        >>> sorted(graph_scores(network, graphs))
        ['accuracy', 'balanced']
    """
    network = create_network(architecture, graphs, seed=seed, **network_options)
    fit = fit_network(network, graphs, epochs, learning_rate, batch, seed)
    fit.run()
    return network.eval()


def fit_network(
    network: nn.Module, graphs: GraphSet, epochs: int, learning_rate: float, batch: int, seed: int
) -> Fit:
    """Return the training run of a network on graphs; a step is one epoch."""
    return Fit(
        GraphClassifier(network, graphs),
        torch.arange(len(graphs)),
        graphs.labels,
        epochs=epochs,
        learning_rate=learning_rate,
        schedule="step",
        optimizer="adam",
        weight_decay=0.0,
        batch=batch,
        seed=seed,
    )


@torch.no_grad()
def predict(network: nn.Module, graphs: GraphSet) -> torch.Tensor:
    """Return the logits of all graphs in evaluation mode, ``[G, classes]``."""
    with evaluation_mode(network):
        logits: torch.Tensor = network(SparseGraphs(graphs))
        return logits


def graph_scores(network: nn.Module, graphs: GraphSet) -> dict[str, float]:
    """Return accuracy and balanced accuracy, the mean over the classes that are present.

    A set in which one class prevails needs the second: whoever always names that class has a high
    accuracy and a balanced accuracy of 1 / classes.

    Args:
        network: is called in evaluation mode and keeps its modes.
        graphs: real graphs, on the device of the network.

    Returns:
        "accuracy" and "balanced", both in 0..1.
    """
    predicted = predict(network, graphs).argmax(1).cpu().numpy()
    labels = graphs.labels.cpu().numpy()
    correct = predicted == labels
    recalls = [correct[labels == k].mean() for k in np.unique(labels)]
    return {"accuracy": float(correct.mean()), "balanced": float(np.mean(recalls))}


@torch.no_grad()
def embeddings(network: nn.Module, graphs: GraphSet) -> torch.Tensor:
    """Return the pooled values of the last layer, ``[G, width]``, in evaluation mode."""
    batch: Any = SparseGraphs(graphs)
    with evaluation_mode(network):
        result: torch.Tensor = network.embed(network.hidden(batch)[-1], batch)  # type: ignore[operator]
        return result
