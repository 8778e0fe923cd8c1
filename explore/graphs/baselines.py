"""Real graphs that are selected and not changed: random, herding and k-center."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from explore.core.runs import BaseRun, stream_seed
from explore.core.tensor_validation import check_device
from explore.data.coresets import select
from explore.data.graph_set import GraphSet
from explore.graphs.condensed_graphs import CondensedGraphs
from explore.graphs.config import GraphCoresetConfig
from explore.graphs.initial_graphs import check_class_sizes
from explore.graphs.recordings import GRAPH_CORESET
from explore.graphs.sources import resolve_graphs
from explore.graphs.training import create_network, embeddings, fit_network

if TYPE_CHECKING:
    import xarray

LEARNING_RATE, BATCH = 0.005, 128


def build(config: GraphCoresetConfig, data: Any = None) -> GraphCoresetRun:
    """Return the run of a configuration."""
    return GraphCoresetRun(config, resolve_graphs(config.data if data is None else data))


class GraphCoresetRun(BaseRun):
    """A selection of real graphs of each class, by the embeddings of a network that learns first.

    A step is one epoch of that network; a random selection needs none.
    """

    name = "graph-coreset"

    def __init__(self, options: GraphCoresetConfig, source: GraphSet) -> None:
        check_class_sizes(source, options.graphs_per_class)
        self.device = check_device(options.device)
        self.options, self.source = options, source.to(self.device)
        self.class_names = source.class_names
        self.config: Mapping[str, Any] = options.identity(source.describe())
        seed = stream_seed(options.seed, "networks")
        network = create_network("gcn", source, width=options.width, seed=seed)
        self._network = network.to(self.device)
        self._fit = fit_network(
            self._network, self.source, options.epochs, LEARNING_RATE, BATCH, options.seed
        )
        self.steps = options.epochs if options.selection != "random" else 1

    def advance(self) -> None:
        """Train the network of the embeddings for one epoch."""
        if self.options.selection != "random":
            self._fit.advance()
        self.step += 1

    def indices(self) -> torch.Tensor:
        """Return the numbers of the selected graphs, class by class."""
        if self.options.selection == "random":
            features = torch.zeros(len(self.source), 1)
        else:
            features = embeddings(self._network, self.source).cpu()
        return select(
            features,
            self.source.labels.cpu(),
            self.options.selection,
            self.options.graphs_per_class,
            stream_seed(self.options.seed, "selection"),
        )

    def condensed(self) -> GraphSet:
        """Return the selected graphs."""
        return self.source.subset(self.indices()).to("cpu")

    def snapshot(self) -> xarray.Dataset:
        """Return the numbers of the graphs that are selected by the present embeddings."""
        names = self.source.class_names
        indices = self.indices()
        labels = np.array([names[k] for k in self.source.labels[indices].tolist()], object)
        return GRAPH_CORESET.frame({"selected": indices.numpy()}, {"label": labels})

    def state(self) -> dict[str, Any]:
        """Return the network and its optimizer."""
        return {**self._fit.state(), **super().state(), "epoch": self._fit.step}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        super().restore(state)
        self._fit.restore({**state, "step": state["epoch"]})

    def save_product(self, recording: Path) -> Path:
        """Write the selected graphs as ``.safetensors`` beside the recording."""
        return CondensedGraphs.save_beside(self, recording)
