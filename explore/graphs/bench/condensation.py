"""Benchmark of one step of GSTAM, and of its cost against the number and the size of graphs.

explore bench graphs
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated, Any

import networkx
import numpy as np
import torch
from typer import Option

from explore.core import benchmark
from explore.data.graph_set import GraphSet
from explore.graphs.adjacency import sample_edges, valid_pairs
from explore.graphs.attention import structural_attention
from explore.graphs.condensation import CondenseRun
from explore.graphs.config import CondenseConfig
from explore.models.gcn import GCN
from explore.models.graph_batch import DenseGraphs, SparseGraphs

MUTAG_NODES = (10, 28)
"""Nodes of the smallest and of the largest graph of MUTAG; their mean is 18."""

EXTRA_EDGES = 2
"""Edges beyond a tree, as in MUTAG on average."""

CLASS_COUNT, FEATURE_COUNT = 2, 7
GRAPH_COUNTS, NODE_COUNTS = (64, 128, 256, 512), (10, 20, 40, 80)


def generate_graphs(per_class: int, nodes: tuple[int, int], seed: int = 0) -> GraphSet:
    """Return random connected graphs of two classes with one-hot features of seven kinds."""
    generator = np.random.default_rng(seed)
    edges, features = [], []
    for _ in range(CLASS_COUNT * per_class):
        size = int(generator.integers(nodes[0], nodes[1] + 1))
        graph = networkx.Graph()
        graph.add_edges_from((node, int(generator.integers(node))) for node in range(1, size))
        wanted = graph.number_of_edges() + EXTRA_EDGES
        while graph.number_of_edges() < wanted:
            graph.add_edge(*generator.choice(size, 2, replace=False).tolist())
        edges.append(list(graph.edges))
        kinds = torch.from_numpy(generator.integers(FEATURE_COUNT, size=size))
        features.append(torch.nn.functional.one_hot(kinds, FEATURE_COUNT).float())
    labels = torch.arange(CLASS_COUNT * per_class) % CLASS_COUNT
    return GraphSet.from_edges(edges, features, labels)


class ReferenceStep:
    """A step of GSTAM as a plain program takes it, for the same loss.

    Each class is a batch of its own, and output, maps and embedding each need a forward pass, on
    the real and on the synthetic side. The gradient of the real side is not cut off.

    Args:
        run: whose graphs, options and network are used; it is not advanced.
    """

    def __init__(self, run: CondenseRun) -> None:
        self._run, self._options = run, run.options
        self._network = GCN(FEATURE_COUNT, CLASS_COUNT, run.options.width, run.options.depth)
        self._classes = [run.source.subset(members) for members in run.source.members]
        self._logits = run.logits.detach().clone().requires_grad_(True)
        self._features = run.features.detach().clone().requires_grad_(True)
        self._optimizer = torch.optim.Adam([self._logits, self._features], run.options.feature_rate)
        self._pairs = valid_pairs(run.mask)

    def __call__(self) -> float:
        """Take one step; returns the loss."""
        self._network.draw_weights(0)
        generator = torch.Generator().manual_seed(0)
        loss = self.loss(self._network, sample_edges(self._logits, 1.0, self._pairs, generator))
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return float(loss.detach())

    def loss(self, network: GCN, adjacency: torch.Tensor) -> torch.Tensor:
        """Return the loss under a network, with the edges ``[G, N, N]`` of the synthetic graphs."""
        options = self._options
        loss = self._features.new_zeros(())
        for number, graphs in enumerate(self._classes):
            real = SparseGraphs(graphs)
            mine = self._run.labels == number
            synthetic = DenseGraphs(self._features[mine], adjacency[mine], self._run.mask[mine])
            vectors = []
            for batch, mask in ((real, None), (synthetic, synthetic.mask)):
                network(batch)
                maps = [
                    structural_attention(hidden, mask, options.power).flatten()
                    for hidden in network.hidden(batch)
                ]
                summed = network.embed(network.hidden(batch)[-1], batch).sum(0)
                vectors.append((torch.cat(maps), summed / summed.abs().sum()))
            for weight, a, b in zip((1.0, options.embedding), *vectors, strict=True):
                loss = loss + weight * (a - b).square().sum() / a.square().sum()
        return loss


def create_run(
    per_class: int, nodes: tuple[int, int], width: int, graphs_per_class: int = 1
) -> CondenseRun:
    """Return a run of GSTAM on generated graphs, with all of them in each step."""
    config = CondenseConfig(
        batch=per_class, width=width, graphs_per_class=graphs_per_class, steps=1_000_000
    )
    return CondenseRun(config, generate_graphs(per_class, nodes))


def fitted_exponent(sizes: Any, seconds: Any) -> float:
    """Return the slope of log seconds over log size: 1 for a cost that grows in proportion.

    Example:
        >>> round(fitted_exponent([1, 2, 4], [0.1, 0.4, 1.6]), 3)
        2.0
    """
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


@benchmark.command("graphs")
def main(
    per_class: Annotated[int, Option(help="Real graphs of each class.", min=1)] = 256,
    width: Annotated[int, Option(help="Channels of the GCN.", min=1)] = 128,
    graphs_per_class: Annotated[int, Option(help="Synthetic graphs of each class.", min=1)] = 1,
    rounds: benchmark.Rounds = 15,
    json_file: benchmark.JsonFile = None,
) -> None:
    """Time one step of GSTAM beside a plain program, and over numbers of graphs and of nodes."""
    run = create_run(per_class, MUTAG_NODES, width, graphs_per_class)
    candidates: dict[str, Any] = {"explore": run.advance, "reference": ReferenceStep(run)}
    seconds = benchmark.time_rounds(candidates, rounds, pause=benchmark.PAUSE, warmups=1)
    ratio = benchmark.Ratio.of(seconds["reference"], seconds["explore"])
    medians = benchmark.medians(seconds)
    lines = [
        f"one step of GSTAM, {per_class} graphs of {MUTAG_NODES[0]} to {MUTAG_NODES[1]} "
        f"nodes in each of {CLASS_COUNT} classes, {graphs_per_class} synthetic each, GCN-3, "
        f"{width} wide; medians of {rounds} rounds, interleaved",
        *(f"  {name:10} {1000 * value:8.2f} ms" for name, value in medians.items()),
        f"  reference / explore: {ratio:.2f}",
    ]
    report: dict[str, Any] = {"seconds": medians, "ratio": ratio}
    sweeps = {
        "graphs of each class": {n: (n, (20, 20)) for n in GRAPH_COUNTS},
        "nodes of each graph": {n: (128, (n, n)) for n in NODE_COUNTS},
    }
    for name, cases in sweeps.items():
        runs = {
            str(size): partial(CondenseRun.advance, create_run(count, nodes, width))
            for size, (count, nodes) in cases.items()
        }
        times = benchmark.medians(
            benchmark.time_rounds(runs, rounds, pause=benchmark.PAUSE, warmups=1)
        )
        exponent = fitted_exponent(list(cases), list(times.values()))
        listed = ", ".join(f"{size}: {1000 * value:.1f} ms" for size, value in times.items())
        lines.append(f"  {name}: {listed}; fitted exponent {exponent:.2f}")
        report[name] = {"seconds": times, "exponent": exponent}
    benchmark.report(lines, report, json_file)


if __name__ == "__main__":
    main(sys.argv[1:])
