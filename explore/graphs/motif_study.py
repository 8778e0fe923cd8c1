"""A run that asks whether the attention of trained networks finds the motif, and whether they need
it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import networkx
import numpy as np
import torch

from explore.core.runs import BaseRun, stream_seed
from explore.core.tensor_validation import check_tensor
from explore.data.graph_set import GraphSet
from explore.errors import InvalidInput
from explore.graphs.attention import node_attention
from explore.graphs.config import NODE_ATTENTION_KINDS, MotifStudyConfig
from explore.graphs.editing import with_degrees
from explore.graphs.recordings import MOTIF_CONDITIONS, MOTIF_STUDY, SCORERS
from explore.graphs.scores import area_under_curve
from explore.graphs.sources import as_graph_set, resolve_graphs
from explore.graphs.training import create_network, graph_scores, train_network

if TYPE_CHECKING:
    import xarray


def build(config: MotifStudyConfig, data: Any = None) -> MotifStudyRun:
    """Return the run of a configuration."""
    return MotifStudyRun(config, resolve_graphs(config.data if data is None else data))


class MotifStudyRun(BaseRun):
    """A study of node attention on graphs with known motifs. A step is one seed.

    Each seed divides the graphs into training and test graphs, trains one network and scores the
    attention of its last layer on the test graphs: the area under the ROC curve (AUROC) for the
    nodes of the motif, mean over the graphs. The same is done for an untrained network, the degree
    and the core number. The accuracy on graphs whose motif has lost its edges says whether the
    network needs the motif; another count of edges is removed elsewhere for comparison.

    Raises:
        InvalidInput: graphs without a known motif.
    """

    name = "motif-study"

    def __init__(self, options: MotifStudyConfig, source: GraphSet) -> None:
        if source.motif is None:
            raise InvalidInput(
                f"the graphs of {source.name} have no known motif; use motifs, or give a GraphSet "
                "with motif="
            )
        self.options, self.source, self.steps = options, source, options.seeds
        self.class_names = source.class_names
        self.every = self.steps
        self.config: Mapping[str, Any] = options.identity(source.describe())
        self._auroc = np.full((len(SCORERS), options.depth, options.seeds), np.nan, np.float32)
        self._accuracy = np.full((3, options.seeds), np.nan, np.float32)

    @property
    def message(self) -> str:
        """The AUROC of Grad-CAM in the last layer, for a progress bar."""
        return f"AUROC {self._auroc[0, -1, self.step - 1]:.2f}" if self.step else "no seed yet"

    def advance(self) -> None:
        """Train one network and score its attention."""
        options, number = self.options, self.step
        seed = options.seed + number
        order = np.random.default_rng(stream_seed(seed, "split")).permutation(len(self.source))
        test_count = max(1, round(options.test_share * len(order)))
        if test_count >= len(order):
            raise InvalidInput(
                f"test_share {options.test_share:g} of {len(order)} graphs leaves none to learn "
                "from; use a smaller share or more graphs"
            )
        train, test = self.source.subset(order[test_count:]), self.source.subset(order[:test_count])
        network_options: dict[str, Any] = {
            "width": options.width,
            "depth": options.depth,
            "norm": options.norm,
        }
        network_seed = stream_seed(seed, "networks")
        network = train_network(
            train,
            epochs=options.epochs,
            learning_rate=options.learning_rate,
            batch=options.batch,
            seed=network_seed,
            **network_options,
        )
        untrained = create_network("gcn", train, seed=network_seed, **network_options)
        scores = {
            f"{state} {kind}": node_attention(model, test, kind)
            for state, model in (("trained", network), ("untrained", untrained))
            for kind in NODE_ATTENTION_KINDS
        }
        scores["degree"] = test.degrees.expand(options.depth, -1)
        scores["core number"] = core_numbers(test).expand(options.depth, -1)
        for row, name in enumerate(SCORERS):
            for layer in range(options.depth):
                self._auroc[row, layer, number] = motif_auroc(scores[name][layer], test)
        graphs = (
            test,
            without_motif_edges(test, seed),
            without_motif_edges(test, seed, other=True),
        )
        for row, changed in enumerate(graphs):
            self._accuracy[row, number] = graph_scores(network, changed)["accuracy"]
        self.step += 1

    def snapshot(self) -> xarray.Dataset:
        """Return the scores, NaN for seeds that are not done yet."""
        return MOTIF_STUDY.frame(
            {"auroc": self._auroc.copy(), "accuracy": self._accuracy.copy()},
            {
                "scorer": np.array(SCORERS, object),
                "layer": np.arange(1, self.options.depth + 1),
                "condition": np.array(MOTIF_CONDITIONS, object),
                "run": np.arange(self.options.seeds),
            },
        )

    def state(self) -> dict[str, Any]:
        """Return the scores so far."""
        return {**super().state(), "auroc": self._auroc.copy(), "accuracy": self._accuracy.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        super().restore(state)
        self._auroc = np.array(state["auroc"], np.float32)
        self._accuracy = np.array(state["accuracy"], np.float32)


def motif_auroc(scores: Any, graphs: GraphSet) -> float:
    """Return the AUROC of scores ``[nodes]`` for the nodes of the motif, mean over the graphs.

    NaN if in no graph some nodes, but not all, belong to the motif.

    Raises:
        InvalidInput: graphs without a known motif, or scores of another shape or with NaN.
    """
    graphs = as_graph_set(graphs)
    shape = (len(graphs.features),)
    scores = check_tensor("scores", scores, shape, kind="number", dtype=torch.float64, finite=True)
    if graphs.motif is None:
        raise InvalidInput("the graphs have no known motif")
    parts = [
        area_under_curve(values.numpy(), truth.numpy())
        for values, truth in zip(
            scores.detach().cpu().split(graphs.sizes.tolist()),
            graphs.motif.cpu().split(graphs.sizes.tolist()),
            strict=True,
        )
    ]
    return float(np.nanmean(parts)) if np.isfinite(parts).any() else float("nan")


def core_numbers(graphs: GraphSet) -> torch.Tensor:
    """Return the core number of each node: int64 ``[nodes]``, the largest k of its k-cores."""
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(graphs.features)))
    graph.add_edges_from(graphs.edges.T.tolist())
    numbers = networkx.core_number(graph)
    return torch.tensor([numbers[node] for node in range(len(graphs.features))])


def without_motif_edges(graphs: GraphSet, seed: int, other: bool = False) -> GraphSet:
    """Return the graphs without the edges inside their motif.

    Args:
        graphs: with a known motif.
        seed: of the choice of other edges.
        other: remove as many other edges of each graph in place of them, at random.
    """
    if graphs.motif is None:
        raise InvalidInput("the graphs have no known motif")
    generator = np.random.default_rng(stream_seed(seed, "edges"))
    first, second = graphs.edges.numpy()
    inside = graphs.motif.numpy()[first] & graphs.motif.numpy()[second]
    graph = graphs.graph_of_node.numpy()[first]
    removed = inside.copy()
    if other:
        removed[:] = False
        for number in range(len(graphs)):
            mine = np.flatnonzero((graph == number) & ~inside & (first < second))
            count = min(len(mine), int((inside & (graph == number)).sum()) // 2)
            removed[generator.choice(mine, count, replace=False)] = True
        keys = first * len(graphs.features) + second
        mirrored = second * len(graphs.features) + first
        removed |= np.isin(mirrored, keys[removed])
    edges = graphs.edges[:, torch.from_numpy(~removed)]
    changed = replace(graphs, edges=edges)
    if not graphs.degree_features:
        return changed
    return replace(changed, features=with_degrees(graphs.features, changed.degrees))
