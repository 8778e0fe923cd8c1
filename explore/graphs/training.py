"""Train a network on graphs, and score it on others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from explore.core.tensor_validation import check_network
from explore.core.validation import (
    check_choice,
    check_number,
    check_seed,
    check_whole_number,
    describe,
)
from explore.data.graph_set import GraphSet
from explore.errors import ExploreError, InvalidInput, RunDiverged
from explore.graphs.attention import for_network
from explore.graphs.config import ARCHITECTURES, MOST_RATE
from explore.graphs.sources import as_graph_set
from explore.models.gcn import GCN
from explore.models.graph_batch import SparseGraphs
from explore.models.training import Fit, evaluation_mode

NETWORK_OPTIONS = ("width", "depth", "norm", "pool")


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
            return self._logits(self._whole)[indices]
        return self._logits(SparseGraphs(self.graphs.subset(indices.cpu())))

    def _logits(self, batch: SparseGraphs) -> torch.Tensor:
        if len(batch.features) == 1 and self.network.training:
            # The norm of a batch of one node is not defined, so that of all batches is used.
            with evaluation_mode(self.network):
                return self.network(batch)
        logits: torch.Tensor = self.network(batch)
        return logits


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

    Raises:
        InvalidInput, UnknownName: an argument is out of range.
    """
    architecture = check_choice("architecture", architecture, ARCHITECTURES)
    graphs = as_graph_set(graphs)
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
        RunDiverged: the loss, or a weight at the end, is not a finite number.
        InvalidInput, UnknownName: an argument is out of range.

    Source: Adam with the rate divided by 10 at half is the evaluation of DosCond's and GSTAM's
    released code, with 0.001 and 500 epochs.

    Example:
        >>> from explore.data import load_graph_set
        >>> graphs = load_graph_set("motifs", count=20)
        >>> network = train_network(graphs, epochs=2, width=8)
        >>> sorted(graph_scores(network, graphs))
        ['accuracy', 'balanced']
    """
    unknown = sorted(set(network_options) - set(NETWORK_OPTIONS))
    if unknown:
        raise InvalidInput(
            f"train_network has no option {unknown[0]!r}; those of the network are "
            f"{', '.join(NETWORK_OPTIONS)}"
        )
    graphs = as_graph_set(graphs)
    network = create_network(architecture, graphs, seed=seed, **network_options)
    fit = fit_network(network, graphs, epochs, learning_rate, batch, seed)
    fit.run()
    check_weights(network)
    return network.eval()


def check_weights(network: nn.Module) -> None:
    """Check the weights at the end of a training, after whose last step no loss is computed.

    Raises:
        RunDiverged: one is NaN or infinite.
    """
    values = [*network.parameters(), *network.buffers()]
    if not all(bool(value.isfinite().all()) for value in values):
        raise RunDiverged(
            f"weights of {type(network).__name__} are NaN or infinite at the end of the training; "
            "learning_rate may be too large"
        )


def fit_network(
    network: nn.Module, graphs: GraphSet, epochs: int, learning_rate: float, batch: int, seed: int
) -> Fit:
    """Return the training run of a network on graphs; a step is one epoch.

    Raises:
        InvalidInput: an argument is out of range.
    """
    graphs = for_network(network, graphs)
    return Fit(
        GraphClassifier(network, graphs),
        torch.arange(len(graphs)),
        graphs.labels,
        epochs=check_whole_number("epochs", epochs, at_least=1),
        learning_rate=check_number("learning_rate", learning_rate, above=0, at_most=MOST_RATE),
        schedule="step",
        optimizer="adam",
        weight_decay=0.0,
        batch=check_whole_number("batch", batch, at_least=1),
        seed=check_seed(seed),
    )


@torch.no_grad()
def predict(network: nn.Module, graphs: GraphSet) -> torch.Tensor:
    """Return the logits of all graphs in evaluation mode, ``[G, classes]``.

    Raises:
        InvalidInput: no network, no graphs, or a network that cannot take them.
        RunDiverged: a logit is NaN or infinite.
    """
    network, graphs = check_network("network", network), as_graph_set(graphs)
    graphs = for_network(network, graphs)
    return _outputs(network, lambda: network(SparseGraphs(graphs)), len(graphs), "logits")


def _outputs(
    network: nn.Module, function: Callable[[], Any], count: int, title: str
) -> torch.Tensor:
    """Return what a function of a network returns in evaluation mode, ``[count, n]``, finite."""
    try:
        with evaluation_mode(network):
            values = function()
    except ExploreError:
        raise
    except Exception as error:  # The network of somebody else may fail in any way.
        raise InvalidInput(
            f"network {type(network).__name__} cannot take these graphs: {error}"
        ) from error
    if not isinstance(values, torch.Tensor) or values.ndim != 2 or len(values) != count:
        raise InvalidInput(
            f"{type(network).__name__} must return {title} [{count}, n], got {describe(values)}"
        )
    if not bool(values.isfinite().all()):
        raise RunDiverged(
            f"{title} of {type(network).__name__} are NaN or infinite; its learning rate may be "
            "too large, or features of the graphs are"
        )
    return values


def graph_scores(network: nn.Module, graphs: GraphSet) -> dict[str, float]:
    """Return accuracy and balanced accuracy, the mean over the classes that are present.

    A set in which one class prevails needs the second: whoever always names that class has a high
    accuracy and a balanced accuracy of 1 / classes.

    Args:
        network: is called in evaluation mode and keeps its modes.
        graphs: real graphs, on the device of the network.

    Returns:
        "accuracy" and "balanced", both in 0..1.

    Raises:
        InvalidInput, RunDiverged: see ``predict``.
    """
    graphs = as_graph_set(graphs)
    predicted = predict(network, graphs).argmax(1).cpu().numpy()
    labels = graphs.labels.cpu().numpy()
    correct = predicted == labels
    recalls = [correct[labels == k].mean() for k in np.unique(labels)]
    return {"accuracy": float(correct.mean()), "balanced": float(np.mean(recalls))}


@torch.no_grad()
def embeddings(network: nn.Module, graphs: GraphSet) -> torch.Tensor:
    """Return the pooled values of the last layer, ``[G, width]``, in evaluation mode.

    Raises:
        InvalidInput: a network without the methods ``hidden`` and ``embed``, or see ``predict``.
        RunDiverged: a value is NaN or infinite.
    """
    network, graphs = check_network("network", network), as_graph_set(graphs)
    if not all(hasattr(network, name) for name in ("hidden", "embed")):
        raise InvalidInput(
            f"{type(network).__name__} has no methods hidden and embed, like those of GCN; use one"
        )
    model: Any = network
    batch = SparseGraphs(for_network(network, graphs))
    return _outputs(
        network, lambda: model.embed(model.hidden(batch)[-1], batch), len(graphs), "embeddings"
    )
