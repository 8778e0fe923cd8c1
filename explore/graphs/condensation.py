"""Condensation: learn a few graphs on which random networks behave as on all real graphs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from explore.core.registry import families, make_config, resolve
from explore.core.runs import BaseRun, stream_seed
from explore.core.tensor_validation import check_device
from explore.core.validation import check_choice
from explore.data.graph_set import GraphSet
from explore.errors import RunDiverged
from explore.graphs.adjacency import (
    most_likely_edges,
    sample_edges,
    sparsity_penalty,
    symmetric,
    temperature_at,
    valid_pairs,
)
from explore.graphs.condensed_graphs import CondensedGraphs
from explore.graphs.config import CondenseConfig
from explore.graphs.initial_graphs import initial_graphs
from explore.graphs.matching import attention_loss, dense_maps, gradient_loss, sparse_maps
from explore.graphs.probe import GraphProbe
from explore.graphs.real_batches import RealBatches
from explore.graphs.recordings import CONDENSATION
from explore.graphs.sources import resolve_graphs
from explore.models.gcn import GCN
from explore.models.graph_batch import DenseGraphs
from explore.models.optimizer_state import optimizer_arrays, restore_optimizer, to_array

if TYPE_CHECKING:
    import xarray


def condense(
    graphs: Any,
    method: str = "gstam",
    *,
    graphs_per_class: int = 1,
    steps: int | None = None,
    seed: int = 0,
    device: Any = None,
    **options: Any,
) -> CondenseRun:
    """Return a run that condenses your graphs: ``record`` it, or call its ``run``.

    Args:
        graphs: the name of a set, a ``GraphSet``, or a list of graphs of PyTorch Geometric or
            networkx.
        method: "gstam", "gstam-features", "gstam-edges" or "doscond".
        graphs_per_class: synthetic graphs of each class.
        steps: steps planned; by default the preset's.
        seed: of every random stream.
        device: where to compute, such as "cuda".
        **options: other options of ``CondenseConfig``, such as ``preset``.

    Returns:
        A ``CondenseRun`` at step 0. ``condensed()`` gives its graphs, ``CondensedGraphs.of(run)``
        their file.

    Raises:
        InvalidInput: graphs that cannot be condensed, an option out of range, or a class with fewer
            graphs than asked.
        UnknownName: an unknown method or preset.

    Source: GSTAM (arXiv 2408.16871) and DosCond (arXiv 2206.07746), with their released code.

    Example:
        >>> from explore.data import load_graph_set
        >>> run = condense(load_graph_set("motifs", count=20), preset="lesson", steps=2, width=8)
        >>> run.run().condensed()
        GraphSet('graphs': 2 graphs, 20 to 21 nodes, 51 edges, 31 features, 2 classes)
    """
    methods = families()["condense"]
    method = check_choice("method", method, methods)
    if device is not None:
        device = str(check_device(device))
    optional = {"steps": steps, "device": device}
    options |= {name: value for name, value in optional.items() if value is not None}
    values = {"method": method, "graphs_per_class": graphs_per_class, "seed": seed, **options}
    row = methods[method]
    source = resolve_graphs(graphs)
    run: CondenseRun = resolve(row.builder)(
        make_config(row, {**values, "data": {"name": source.name}}), source
    )
    return run


def build(config: CondenseConfig, data: Any = None) -> CondenseRun:
    """Return the run of a configuration."""
    return CondenseRun(config, resolve_graphs(config.data if data is None else data))


class CondenseRun(BaseRun):
    """A condensation by GSTAM, by its parts, or by DosCond.

    Every step draws a new network that is never trained, draws the edges of the synthetic graphs
    from their probabilities, and takes one Adam step. With ``learn="features"``, the synthetic
    graphs keep the edges of their start, and nothing is drawn. With ``learn="edges"``, they keep
    its features.

    Attributes:
        source: the real graphs.
        logits: ``[G, N, N]``, whose symmetric part is the log-odds of the edges.
        features: ``[G, N, F]``.
        mask: bool ``[G, N]``, which nodes exist; a start with fewer than N nodes stays as small.
        labels: the class of each synthetic graph, class by class.
    """

    def __init__(self, options: CondenseConfig, source: GraphSet) -> None:
        self.options, self.name, self.steps = options, options.method, options.steps
        self.device = check_device(options.device)
        self.config: Mapping[str, Any] = options.identity(source.describe())
        self.source = source.to(self.device)
        self.class_names = source.class_names
        self.start = initial_graphs(
            source, options.graphs_per_class, options.init, options.nodes, self._seed("init")
        )
        self._real = RealBatches(self.source, options.batch, options.seed)
        start, classes = self.start.dense, torch.arange(len(source.class_names))
        self.labels = classes.repeat_interleave(options.graphs_per_class).to(self.device)
        self.mask = start.mask.to(self.device)
        self._pairs = valid_pairs(self.mask)
        self.logits = self.start.logits.to(self.device).clone()
        self.features = start.features.to(self.device).clone()
        learnt = {
            "both": [self.logits, self.features],
            "features": [self.features],
            "edges": [self.logits],
        }[options.learn]
        self._rates = [
            options.edge_rate if parameter is self.logits else options.feature_rate
            for parameter in learnt
        ]
        self._learnt = [parameter.requires_grad_(True) for parameter in learnt]
        groups = [
            {"params": [parameter], "lr": rate}
            for parameter, rate in zip(self._learnt, self._rates, strict=True)
        ]
        self._optimizer = torch.optim.Adam(groups)
        self._network = GCN(
            source.features.shape[1],
            len(source.class_names),
            options.width,
            options.depth,
            pool=options.pool,
        ).to(self.device)
        self._network.requires_grad_(options.match == "gradients")
        self._probe: GraphProbe | None = None
        self.loss = float("nan")

    @property
    def message(self) -> str:
        """The loss of the last step, for a progress bar."""
        return f"loss {self.loss:.3g}" if self.step else "no step yet"

    @property
    def temperature(self) -> float:
        """The temperature of the last step."""
        return temperature_at(max(0, self.step - 1), self.options.anneal)

    def advance(self) -> None:
        """Take one step with a new network and a batch of real graphs.

        Raises:
            RunDiverged: the loss or a gradient is not a finite number. The graphs keep their last
                values.
        """
        options = self.options
        self._network.draw_weights(self._seed("networks", self.step))
        loss = self._loss()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise self._divergence(f"the loss is {value}")
        is_late = self.step >= options.rate_drop
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate / 10 if is_late else rate
        self._optimizer.zero_grad()
        loss.backward()
        for parameter in self._learnt:
            gradient = parameter.grad
            if gradient is not None and not math.isfinite(float(gradient.abs().amax())):
                raise self._divergence("a gradient is NaN or infinite")
        self._optimizer.step()
        self.loss = value
        self.step += 1

    def _divergence(self, reason: str) -> RunDiverged:
        """Return the error of a step that cannot be taken."""
        options = self.options
        return RunDiverged(
            f"{reason} at step {self.step + 1}; feature_rate {options.feature_rate} or power "
            f"{options.power} may be too large"
        )

    def _loss(self) -> torch.Tensor:
        options, network = self.options, self._network
        synthetic = self._synthetic()
        if options.match == "gradients":
            loss = gradient_loss(network, synthetic, self.labels, self._real.by_class(self.step))
        else:
            batch, counts = self._real.merged(self.step), self._real.counts
            real = sparse_maps(network, batch, counts, options.power)
            maps = dense_maps(network, synthetic, len(self.class_names), options.power)
            loss = attention_loss(maps, real, options.embedding)
        if options.learn != "features" and options.sparsity:
            loss = loss + options.sparsity * sparsity_penalty(
                self.logits, self._pairs, self.start.edge_share
            )
        return loss

    def _synthetic(self) -> DenseGraphs:
        """Return the synthetic graphs of this step, with drawn edges if these are learnt."""
        if self.options.learn == "features":
            edges = most_likely_edges(self.logits, self._pairs)
        else:
            generator = torch.Generator().manual_seed(self._seed("edges", self.step))
            temperature = temperature_at(self.step, self.options.anneal)
            edges = sample_edges(self.logits, temperature, self._pairs, generator)
        return DenseGraphs(self.features, edges, self.mask)

    def _hard(self) -> DenseGraphs:
        """Return the synthetic graphs with the edges that are more likely than not."""
        edges = most_likely_edges(self.logits.detach(), self._pairs)
        return DenseGraphs(self.features.detach(), edges, self.mask)

    def condensed(self) -> GraphSet:
        """Return the synthetic graphs: their features, and the edges with a probability above ½.

        Nodes that have lost all edges stay.
        """
        hard = self._hard()
        sizes = hard.mask.sum(1)  # the nodes that exist are the first ones of each graph
        starts = torch.nn.functional.pad(sizes.cumsum(0), (1, 0))[:-1]
        graph, node, neighbour = hard.adjacency.nonzero().T
        return GraphSet(
            hard.features[hard.mask].cpu(),
            torch.stack([starts[graph] + node, starts[graph] + neighbour]).cpu(),
            sizes.cpu(),
            self.labels.cpu(),
            self.class_names,
            self.source.feature_names,
        )

    def snapshot(self) -> xarray.Dataset:
        """Return edges, features, attention and the distance to the real graphs."""
        if self._probe is None:
            self._probe = GraphProbe(self.source, self.options)
        hard, start = self._hard(), self.start
        values = {
            "edge_probability": _array(torch.sigmoid(symmetric(self.logits)) * self._pairs),
            "feature_value": _array(hard.features),
            "attention": _array(self._probe.energy(hard)),
            "distance": np.float32(self._probe.distance(hard)),
            "loss": np.float32(self.loss),
            "temperature": np.float32(self.temperature),
        }
        names = self.source.class_names
        coordinates = {
            "label": np.array([names[k] for k in self.labels.tolist()], object),
            "alive": self.mask.cpu().numpy(),
            "start_edge": _array(most_likely_edges(start.logits, self._pairs.cpu())) > 0,
            "start_feature": _array(start.dense.features),
            "feature": np.array(self.source.feature_names, object),
        }
        return CONDENSATION.frame(values, coordinates)

    def result(self) -> xarray.Dataset:
        """Return logits, features and mask in full precision."""
        import xarray

        return xarray.Dataset(
            {
                "logits": (("graph", "node", "neighbour"), _array(self.logits)),
                "features": (("graph", "node", "feature"), _array(self.features)),
                "alive": (("graph", "node"), self.mask.cpu().numpy()),
                "labels": ("graph", self.labels.cpu().numpy()),
            },
            attrs={"config": dict(self.config), "step": self.step},
        )

    def state(self) -> dict[str, Any]:
        """Return edges, features and the state of the optimizer."""
        return {
            **super().state(),
            "logits": to_array(self.logits),
            "features": to_array(self.features),
            "loss": self.loss,
            **optimizer_arrays(self._optimizer, self._learnt),
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        super().restore(state)
        self.logits.copy_(torch.from_numpy(np.asarray(state["logits"])))
        self.features.copy_(torch.from_numpy(np.asarray(state["features"])))
        self.loss = float(state["loss"])
        restore_optimizer(self._optimizer, self._learnt, state)

    def save_product(self, recording: Path) -> Path:
        """Write the condensed graphs as ``.safetensors`` beside the recording."""
        return CondensedGraphs.save_beside(self, recording)

    def _seed(self, name: str, *index: int) -> int:
        return stream_seed(self.options.seed, name, *index)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return to_array(tensor.float())
