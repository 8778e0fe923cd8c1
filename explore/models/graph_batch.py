"""Batches of graphs for a network: sparse ones of real graphs, dense ones of synthetic graphs.

Both have the same operations, so a network is written once and runs on either. Padding nodes of a
dense batch never reach a neighbour, a mean or a norm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import torch

from explore.core.validation import check_choice, check_whole_number, describe
from explore.data.graph_set import GraphSet
from explore.errors import InvalidInput

POOLS = ("mean", "sum")
"""How the values of the nodes of a graph become those of the graph."""

MAX_DENSE_VALUES = 2**30
"""A dense batch with more values would take more than 4 GB."""


class GraphBatch(Protocol):
    """What a network needs of a batch of graphs; nodes are rows of ``[..., channels]`` tensors."""

    @property
    def features(self) -> torch.Tensor:
        """The features of all nodes."""

    def aggregate(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return ``D^-1/2 (A + I) D^-1/2 hidden``."""

    def map_rows(
        self, function: Callable[[torch.Tensor], torch.Tensor], hidden: torch.Tensor
    ) -> torch.Tensor:
        """Apply a function of ``[nodes, channels]`` to the rows of real nodes."""

    def clear_padding(self, hidden: torch.Tensor) -> torch.Tensor:
        """Set the rows of padding nodes to zero."""

    def pool(self, hidden: torch.Tensor, how: str) -> torch.Tensor:
        """Return the mean or the sum over the nodes of each graph, ``[G, channels]``."""


@dataclass(frozen=True, eq=False)
class SparseGraphs:
    """The graphs of a ``GraphSet``, with hidden values ``[nodes, channels]``.

    Attributes:
        graphs: the set, on the device of the network.

    Raises:
        InvalidInput: no ``GraphSet``.
    """

    graphs: GraphSet

    def __post_init__(self) -> None:
        _check_graph_set(self.graphs)

    @property
    def features(self) -> torch.Tensor:
        """The features of all nodes, ``[nodes, F]``."""
        return self.graphs.features

    @cached_property
    def _propagation(self) -> _SparseMatrix:
        """The matrix ``D^-1/2 (A + I) D^-1/2``."""
        graphs = self.graphs
        nodes = len(graphs.features)
        loops = torch.arange(nodes, device=graphs.edges.device).expand(2, -1)
        rows, columns = torch.cat([graphs.edges, loops], 1)
        scale = (graphs.degrees + 1).to(graphs.features.dtype).rsqrt()
        order = (rows * nodes + columns).argsort()
        rows, columns = rows[order], columns[order]
        starts = torch.nn.functional.pad(torch.bincount(rows, minlength=nodes).cumsum(0), (1, 0))
        return _SparseMatrix(starts, columns, scale[rows] * scale[columns])

    def aggregate(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return ``D^-1/2 (A + I) D^-1/2 hidden``."""
        product: torch.Tensor = _SymmetricProduct.apply(self._propagation, hidden)
        return product

    def map_rows(
        self, function: Callable[[torch.Tensor], torch.Tensor], hidden: torch.Tensor
    ) -> torch.Tensor:
        """Apply a function to all rows; there is no padding."""
        return function(hidden)

    def clear_padding(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the values unchanged; there is no padding."""
        return hidden

    def pool(self, hidden: torch.Tensor, how: str) -> torch.Tensor:
        """Return the mean or the sum over the nodes of each graph, ``[G, channels]``."""
        check_choice("pool", how, POOLS)
        sums: torch.Tensor = _SegmentSum.apply(hidden, self.graphs.sizes)
        return sums / self.graphs.sizes[:, None] if how == "mean" else sums


class _SparseMatrix(NamedTuple):
    """A square matrix, row by row: row k has the entries ``starts[k]`` to ``starts[k + 1]``."""

    starts: torch.Tensor
    columns: torch.Tensor
    values: torch.Tensor


class _SymmetricProduct(torch.autograd.Function):
    """The product of a constant symmetric sparse matrix and a dense one, twice differentiable."""

    @staticmethod
    def forward(ctx: Any, matrix: _SparseMatrix, dense: torch.Tensor) -> torch.Tensor:
        """Return ``matrix @ dense``."""
        ctx.matrix = matrix
        # A bag of embeddings is a row of the product. It is computed faster than the product of a
        # sparse CSR tensor, which also warns that it is experimental.
        return torch.nn.functional.embedding_bag(
            matrix.columns,
            dense.contiguous(),
            matrix.starts,
            mode="sum",
            per_sample_weights=matrix.values.to(dense.dtype),
            include_last_offset=True,
        )

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, torch.Tensor]:  # type: ignore[override]
        """Multiply by the same matrix, as it is its own transpose."""
        return None, _SymmetricProduct.apply(ctx.matrix, gradient)


class _SegmentSum(torch.autograd.Function):
    """The sum over the rows of each graph; PyTorch's own cannot be differentiated twice."""

    @staticmethod
    def forward(ctx: Any, dense: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        """Return ``[G, channels]``."""
        ctx.sizes = sizes
        return torch.segment_reduce(dense.contiguous(), "sum", lengths=sizes, axis=0, unsafe=True)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        """Give each row the gradient of its graph."""
        return gradient.repeat_interleave(ctx.sizes, 0), None


@dataclass(frozen=True, eq=False)
class DenseGraphs:
    """Graphs of up to N nodes, with hidden values ``[G, N, channels]``.

    Attributes:
        features: ``[G, N, F]``.
        adjacency: ``[G, N, N]``, symmetric, in [0, 1], with a zero diagonal.
        mask: bool ``[G, N]``, False for padding nodes.

    Raises:
        InvalidInput: shapes that do not match.
    """

    features: torch.Tensor
    adjacency: torch.Tensor
    mask: torch.Tensor

    def __post_init__(self) -> None:
        for name in ("features", "adjacency", "mask"):
            if not isinstance(getattr(self, name), torch.Tensor):
                raise InvalidInput(f"{name} must be a tensor, got {describe(getattr(self, name))}")
        if self.mask.dtype != torch.bool or not (
            self.features.is_floating_point() and self.adjacency.is_floating_point()
        ):
            raise InvalidInput(
                "expected floats for features and adjacency and true or false for mask, got "
                f"{self.features.dtype}, {self.adjacency.dtype} and {self.mask.dtype}"
            )
        graphs, nodes = self.mask.shape if self.mask.ndim == 2 else (-1, -1)
        if (
            self.features.ndim != 3
            or self.features.shape[:2] != (graphs, nodes)
            or self.adjacency.shape
            != (
                graphs,
                nodes,
                nodes,
            )
        ):
            raise InvalidInput(
                "expected features [G, N, F], adjacency [G, N, N] and mask [G, N], got "
                f"{list(self.features.shape)}, {list(self.adjacency.shape)} and "
                f"{list(self.mask.shape)}"
            )

    @classmethod
    def of(cls, graphs: GraphSet, nodes: int | None = None) -> DenseGraphs:
        """Return the graphs of a set, padded to a number of nodes; by default the largest's.

        Raises:
            InvalidInput: no ``GraphSet``, a number below 1, or a graph has more nodes.
        """
        _check_graph_set(graphs)
        largest = int(graphs.sizes.max())
        size = largest if nodes is None else check_whole_number("nodes", nodes, at_least=1)
        if largest > size:
            raise InvalidInput(f"a graph has {largest} nodes, more than {size}")
        if len(graphs) * size * (size + graphs.features.shape[1]) > MAX_DENSE_VALUES:
            raise InvalidInput(
                f"nodes must be smaller, got {describe(nodes)}: {len(graphs)} graphs padded to it "
                "would take gigabytes"
            )
        graph, node = graphs.graph_of_node, _number_in_graph(graphs)
        features = graphs.features.new_zeros(len(graphs), size, graphs.features.shape[1])
        features[graph, node] = graphs.features
        adjacency = graphs.features.new_zeros(len(graphs), size, size)
        rows, columns = graphs.edges
        adjacency[graph[rows], node[rows], node[columns]] = 1
        mask = torch.zeros(len(graphs), size, dtype=torch.bool, device=graphs.features.device)
        mask[graph, node] = True
        return cls(features, adjacency, mask)

    @cached_property
    def _propagation(self) -> torch.Tensor:
        """The matrices ``D^-1/2 (A + I) D^-1/2``, in which padding nodes have no neighbours."""
        valid = self.mask.to(self.adjacency.dtype)
        matrix = self.adjacency * (valid[:, :, None] * valid[:, None, :]) + torch.diag_embed(valid)
        scale = matrix.sum(-1).clamp(min=1).rsqrt()
        return matrix * scale[:, :, None] * scale[:, None, :]

    def aggregate(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return ``D^-1/2 (A + I) D^-1/2 hidden``."""
        return self._propagation.to(hidden.dtype) @ hidden

    def map_rows(
        self, function: Callable[[torch.Tensor], torch.Tensor], hidden: torch.Tensor
    ) -> torch.Tensor:
        """Apply a function of ``[nodes, channels]`` to the rows of real nodes."""
        rows = function(hidden[self.mask])
        result = rows.new_zeros(*self.mask.shape, rows.shape[-1])
        result[self.mask] = rows
        return result

    def clear_padding(self, hidden: torch.Tensor) -> torch.Tensor:
        """Set the rows of padding nodes to zero."""
        return hidden * self.mask[..., None]

    def pool(self, hidden: torch.Tensor, how: str) -> torch.Tensor:
        """Return the mean or the sum over the nodes of each graph, ``[G, channels]``."""
        check_choice("pool", how, POOLS)
        sums = self.clear_padding(hidden).sum(1)
        return sums / self.mask.sum(1, keepdim=True).clamp(min=1) if how == "mean" else sums


def check_graphs(graphs: Any, features: int, kind: type | None = None) -> None:
    """Check that a network can compute a batch of graphs.

    Args:
        graphs: the batch.
        features: number of features of a node.
        kind: the expected class; by default any batch.

    Raises:
        InvalidInput: no batch of graphs, or nodes with another number of features.
    """
    is_batch = all(hasattr(graphs, name) for name in ("features", "aggregate", "pool"))
    if not is_batch or (kind and not isinstance(graphs, kind)):
        raise InvalidInput(
            f"graphs must be SparseGraphs(graph_set){'' if kind else ' or DenseGraphs'}, got "
            f"{describe(graphs)}"
        )
    if graphs.features.shape[-1] != features:
        raise InvalidInput(
            f"a node must have {features} features, as the network was built for, got "
            f"{graphs.features.shape[-1]}"
        )


def _check_graph_set(graphs: Any) -> None:
    if not isinstance(graphs, GraphSet):
        raise InvalidInput(f"graphs must be a GraphSet, got {describe(graphs)}")


def _number_in_graph(graphs: GraphSet) -> torch.Tensor:
    """Return the number of each node within its graph."""
    nodes = torch.arange(len(graphs.features), device=graphs.features.device)
    return nodes - graphs.offsets[:-1][graphs.graph_of_node]
