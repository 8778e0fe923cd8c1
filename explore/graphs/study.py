"""A study: networks trained on condensed graphs and on real ones, over repeated stratified splits.

All methods of a split see the same training graphs, all condensations start from the same real
graphs, and networks of the same number start from the same weights, so differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from explore.core.runs import BaseRun, stream_seed
from explore.core.tensor_validation import check_device
from explore.data.coresets import select
from explore.data.graph_set import GraphSet
from explore.errors import InvalidInput, RunDiverged
from explore.graphs.condensation import CondenseRun
from explore.graphs.config import SELECTIONS, CondenseConfig, GraphStudyConfig
from explore.graphs.initial_graphs import check_class_sizes, draw_start
from explore.graphs.recordings import MEASURE_LABELS, STUDY
from explore.graphs.sources import resolve_graphs
from explore.graphs.training import create_network, embeddings, fit_network, graph_scores

if TYPE_CHECKING:
    import xarray

VALIDATION_SHARE = 0.125
"""Of the training graphs, if the best epoch is chosen by validation: a tenth of all."""

VALIDATION_EVERY = 10
"""Epochs between two scores on the validation graphs."""


def build(config: GraphStudyConfig, data: Any = None) -> GraphStudyRun:
    """Return the run of a configuration."""
    return GraphStudyRun(config, resolve_graphs(config.data if data is None else data))


class GraphStudyRun(BaseRun):
    """A study of condensation. A step is one method at one size on one split.

    Args:
        options: see ``GraphStudyConfig``.
        source: all graphs; each split divides them into training and test graphs.

    Raises:
        InvalidInput: a class has too few graphs for the sizes and splits that are asked.
    """

    name = "graph-study"

    def __init__(self, options: GraphStudyConfig, source: GraphSet) -> None:
        self.device = check_device(options.device)
        self.options, self.source = options, source
        self.class_names = source.class_names
        self.config: Mapping[str, Any] = options.identity(source.describe())
        check_class_sizes(source, 2)
        for split in range(options.splits):
            check_class_sizes(self._parts(split)[0], max(options.graphs_per_class))
        self._jobs = [
            (split, size, method)
            for split in range(options.splits)
            for size in range(len(options.graphs_per_class))
            for method in range(len(options.methods))
        ]
        self.steps, self.every = len(self._jobs), len(self._jobs)
        shape = (len(options.graphs_per_class), len(options.methods), options.splits)
        self._scores = np.full((len(MEASURE_LABELS), *shape, options.networks), np.nan, np.float32)
        self._message = "study"
        self._embeddings: tuple[int, torch.Tensor] | None = None

    @property
    def message(self) -> str:
        """What the last step trained, with its balanced accuracy."""
        return self._message

    def advance(self) -> None:
        """Condense or select graphs, train networks on them and score these on the test graphs.

        Raises:
            RunDiverged: a condensation or a network diverged; the message names it.
        """
        options = self.options
        split, size, method = self._jobs[self.step]
        name, count = options.methods[method], options.graphs_per_class[size]
        train, test, validation = self._parts(split)
        if name == "whole" and size > 0:  # It does not depend on the size.
            self._scores[:, size, method, split] = self._scores[:, 0, method, split]
        else:
            graphs = self._graphs(name, train, count, split).to(self.device)
            for number in range(options.networks):
                try:
                    network = self._train(graphs, validation, split, number)
                    scores = graph_scores(network, test.to(self.device))
                except RunDiverged as error:
                    raise RunDiverged(
                        f"{name}, split {split + 1}, network {number + 1}: {error}"
                    ) from error
                for measure, label in enumerate(MEASURE_LABELS):
                    self._scores[measure, size, method, split, number] = scores[label]
        balanced = float(self._scores[1, size, method, split].mean())
        self._message = f"split {split + 1}, {count} per class, {name}: {balanced:.1%}"
        self.step += 1

    def _parts(self, split: int) -> tuple[GraphSet, GraphSet, GraphSet | None]:
        """Return the training, test and validation graphs of a split."""
        from sklearn.model_selection import train_test_split

        options, labels = self.options, self.source.labels.numpy()
        every = np.arange(len(labels))

        def divide(rows: np.ndarray, share: float, name: str) -> tuple[np.ndarray, np.ndarray]:
            seed = stream_seed(options.seed + split, name) % 2**32
            try:
                return tuple(  # type: ignore[return-value]
                    np.sort(part)
                    for part in train_test_split(
                        rows, test_size=share, stratify=labels[rows], random_state=seed
                    )
                )
            except ValueError as error:
                raise InvalidInput(
                    f"{len(rows)} graphs cannot be divided with the share {share}: {error}; "
                    "use more graphs or another test_share"
                ) from error

        train, test = divide(every, options.test_share, "split")
        if options.epoch == "last":
            return self.source.subset(train), self.source.subset(test), None
        train, validation = divide(train, VALIDATION_SHARE, "validation")
        return tuple(map(self.source.subset, (train, test, validation)))  # type: ignore[return-value]

    def _graphs(self, name: str, train: GraphSet, count: int, split: int) -> GraphSet:
        """Return the graphs that a method gives to the networks."""
        options = self.options
        seed = options.seed + split
        if name == "whole":
            return train
        if name == "unmodified":
            return train.subset(draw_start(train, count, 0, stream_seed(seed, "init")))
        if name in SELECTIONS:
            features = torch.zeros(len(train), 1)
            if name != "random":
                features = self._features(train, split)
            chosen = select(features, train.labels, name, count, stream_seed(seed, "selection"))
            return train.subset(chosen)
        config = CondenseConfig.make(
            method=name,
            data={"name": self.source.name},
            graphs_per_class=count,
            preset=options.preset,
            steps=options.condense_steps,
            seed=seed,
            pool=options.pool,
            device=options.device,
            width=options.width,
        )
        return CondenseRun(config, train).run().condensed()

    def _features(self, train: GraphSet, split: int) -> torch.Tensor:
        """Return embeddings of the training graphs by a gcn that was trained on all of them."""
        if self._embeddings is None or self._embeddings[0] != split:
            network = self._new_network(stream_seed(self.options.seed + split, "features"), "gcn")
            self._fit(network, train, self.options.seed + split)(self.options.epochs)
            self._embeddings = split, embeddings(network, train)
        return self._embeddings[1]

    def _train(
        self, graphs: GraphSet, validation: GraphSet | None, split: int, number: int
    ) -> nn.Module:
        """Return a network trained on graphs; its weights depend on split and number alone."""
        options = self.options
        seed = stream_seed(options.seed + split, "networks", number)
        network = self._new_network(seed, options.architecture).to(self.device)
        advance = self._fit(network, graphs, seed)
        if validation is None:
            advance(options.epochs)
            return network
        best, weights = -1.0, {}
        for epoch in range(0, options.epochs, VALIDATION_EVERY):
            advance(min(VALIDATION_EVERY, options.epochs - epoch))
            score = graph_scores(network, validation.to(self.device))["balanced"]
            if score > best:
                best = score
                weights = {k: value.clone() for k, value in network.state_dict().items()}
        network.load_state_dict(weights)
        return network

    def _new_network(self, seed: int, architecture: str) -> nn.Module:
        options = self.options
        return create_network(
            architecture,
            self.source,
            width=options.width,
            norm=options.norm,
            pool=options.pool,
            seed=seed,
        )

    def _fit(self, network: nn.Module, graphs: GraphSet, seed: int) -> Callable[[int], None]:
        """Return a function that trains a network for a number of epochs."""
        options = self.options
        fit = fit_network(
            network, graphs, options.epochs, options.learning_rate, options.batch, seed
        )

        def advance(epochs: int) -> None:
            for _ in range(epochs):
                fit.advance()

        return advance

    def snapshot(self) -> xarray.Dataset:
        """Return all scores, NaN for what is not trained yet."""
        options = self.options
        return STUDY.frame(
            {"graph_score": self._scores.copy()},
            {
                "measure": np.array(list(MEASURE_LABELS), object),
                "graphs_per_class": np.array(options.graphs_per_class),
                "training_set": np.array(options.methods, object),
                "split": np.arange(options.splits),
                "network": np.arange(options.networks),
            },
        )

    def state(self) -> dict[str, Any]:
        """Return the step and the scores."""
        return {**super().state(), "scores": self._scores.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        super().restore(state)
        self._scores = np.array(state["scores"], np.float32)
