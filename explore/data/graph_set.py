"""A set of labelled graphs: the nodes of all graphs in one table, and the edges between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from explore.data.graph_conversion import from_networkx, from_pyg, graph_set
from explore.data.image_set import sha256_of
from explore.data.pyg import import_pyg
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import networkx
    from torch_geometric.data import Data


@dataclass(frozen=True, eq=False)
class GraphSet:
    """Undirected graphs with node features and one label each.

    The nodes of all graphs are numbered through: those of the first graph come first. Use
    ``from_edges``, ``from_pyg`` or ``from_networkx`` to make a set of your own graphs.

    Attributes:
        features: float32 ``[nodes, F]``.
        edges: int64 ``[2, E]``, each edge in both directions, in ascending order, without loops.
        sizes: int64 ``[G]``, the number of nodes of each graph.
        labels: int64 ``[G]``, each in ``0..K-1``.
        class_names: ``K`` names, in label order.
        feature_names: ``F`` names, such as the atom types.
        name: of the set in recordings; "graphs" for your own.
        options: the arguments of the loader that create this set.
        motif: bool ``[nodes]``, the nodes that decide the class, where they are known.
        degree_features: whether the first features are the degrees of the nodes, as
            ``degree_one_hot`` makes them; they then follow the edges.

    Raises:
        InvalidInput: no graphs, an empty graph, features that are not finite, labels or edges out
            of range, or, in the three functions above, a set in which no graph has an edge.

    Example:
        >>> triangle = GraphSet.from_edges([[(0, 1), (1, 2), (2, 0)]], [torch.eye(3)], [0])
        >>> triangle
        GraphSet('graphs': 1 graphs, 3 to 3 nodes, 3 edges, 3 features, 1 classes)
        >>> triangle.degrees.tolist()
        [2, 2, 2]
    """

    features: torch.Tensor
    edges: torch.Tensor
    sizes: torch.Tensor
    labels: torch.Tensor
    class_names: Sequence[str]
    feature_names: Sequence[str] = ()
    name: str = "graphs"
    options: Mapping[str, Any] = field(default_factory=dict)
    motif: torch.Tensor | None = None
    degree_features: bool = False

    def __post_init__(self) -> None:
        nodes, classes = int(self.sizes.sum()), len(self.class_names)
        if not len(self.sizes):
            raise InvalidInput("the set has no graphs; give one or more")
        if int(self.sizes.min()) < 1:
            raise InvalidInput(f"graph {int(self.sizes.argmin())} has no nodes; leave it out")
        if self.features.ndim != 2 or len(self.features) != nodes or not self.features.shape[1]:
            raise InvalidInput(
                f"features must be [{nodes}, F], one row for each node, got "
                f"{list(self.features.shape)}"
            )
        finite = torch.isfinite(self.features).all(1)
        if not bool(finite.all()):
            node = int((~finite).nonzero()[0])
            graph = int(self.graph_of_node[node])
            raise InvalidInput(
                f"a feature of node {node - int(self.offsets[graph])} of graph {graph} is NaN or "
                "infinite; replace it by a number"
            )
        if self.feature_names and len(self.feature_names) != self.features.shape[1]:
            raise InvalidInput(
                f"got {len(self.feature_names)} feature names for {self.features.shape[1]} features"
            )
        if len(self.labels) != len(self.sizes):
            raise InvalidInput(f"got {len(self.labels)} labels for {len(self.sizes)} graphs")
        if not 0 <= int(self.labels.min()) <= int(self.labels.max()) < classes:
            raise InvalidInput(
                f"labels must be 0..{classes - 1}, as there are {classes} class names; got "
                f"{int(self.labels.min())}..{int(self.labels.max())}"
            )
        if self.edges.numel() and not 0 <= int(self.edges.min()) <= int(self.edges.max()) < nodes:
            raise InvalidInput(
                f"edges must join nodes 0..{nodes - 1}, got {int(self.edges.min())}.."
                f"{int(self.edges.max())}"
            )
        first, second = self.edges
        if bool(
            (first.diff() < 0).any()
            | (self.graph_of_node[first] != self.graph_of_node[second]).any()
        ):
            raise InvalidInput(
                "edges must join nodes of the same graph, in ascending order of the first node; "
                "GraphSet.from_edges sorts them"
            )
        if self.motif is not None and self.motif.shape != (nodes,):
            raise InvalidInput(
                f"motif must be [{nodes}], one value for each node, got {list(self.motif.shape)}"
            )

    @classmethod
    def from_edges(
        cls,
        edges: Sequence[Any],
        features: Sequence[torch.Tensor] | None,
        labels: Sequence[int] | torch.Tensor,
        sizes: Sequence[int] | None = None,
        **others: Any,
    ) -> Self:
        """Make a set of lists of edges. See ``explore.data.graph_conversion.graph_set``."""
        return graph_set(cls, edges, features, labels, sizes, **others)

    @classmethod
    def from_pyg(cls, graphs: Sequence[Data], **others: Any) -> Self:
        """Make a set of PyTorch Geometric's graphs: ``edge_index``, ``x`` and ``y`` of each.

        Args:
            graphs: without ``x``, the features are the degrees.
            **others: attributes of the set, such as ``name`` and ``class_names``.

        Raises:
            InvalidInput: see ``GraphSet``.

        Warns:
            ExploreWarning: directed edges, loops or repeated edges were changed.
        """
        return from_pyg(cls, graphs, **others)

    @classmethod
    def from_networkx(
        cls, graphs: Sequence[networkx.Graph], labels: Sequence[int] | None = None, **others: Any
    ) -> Self:
        """Make a set of networkx graphs.

        Args:
            graphs: the features of a node are its attribute "x", a number or a list of numbers;
                without it, they are the degrees.
            labels: by default the attribute "y" of each graph.
            **others: attributes of the set.

        Raises:
            InvalidInput: see ``GraphSet``.

        Warns:
            ExploreWarning: directed edges, loops or repeated edges were changed.
        """
        return from_networkx(cls, graphs, labels, **others)

    def to_pyg(self) -> list[Data]:
        """Return PyTorch Geometric's graphs, with ``x``, ``edge_index`` and ``y``."""
        data_class = import_pyg("data").Data
        parts = [self.subset([number]) for number in range(len(self))]
        return [data_class(x=part.features, edge_index=part.edges, y=part.labels) for part in parts]

    def __len__(self) -> int:
        return len(self.sizes)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.name!r}: {len(self)} graphs, "
            f"{int(self.sizes.min())} to {int(self.sizes.max())} nodes, "
            f"{self.edges.shape[1] // 2} edges, {self.features.shape[1]} features, "
            f"{len(self.class_names)} classes)"
        )

    @cached_property
    def offsets(self) -> torch.Tensor:
        """The first node of each graph, and the number of all nodes: int64 ``[G + 1]``."""
        return torch.nn.functional.pad(self.sizes.cumsum(0), (1, 0))

    @cached_property
    def graph_of_node(self) -> torch.Tensor:
        """The graph of each node: int64 ``[nodes]``."""
        graphs = torch.arange(len(self.sizes), device=self.sizes.device)
        return graphs.repeat_interleave(self.sizes)

    @cached_property
    def degrees(self) -> torch.Tensor:
        """The number of neighbours of each node: int64 ``[nodes]``."""
        return torch.bincount(self.edges[0], minlength=len(self.features))

    @cached_property
    def members(self) -> list[np.ndarray]:
        """The indices of each class's graphs."""
        labels = self.labels.cpu().numpy()
        return [(labels == k).nonzero()[0] for k in range(len(self.class_names))]

    @cached_property
    def sha256(self) -> str:
        """Hash of all graphs and labels: the identity of the data in a recording."""
        return sha256_of(self.features, self.edges, self.sizes, self.labels)

    def describe(self) -> dict[str, Any]:
        """Return what identifies the set in a recording."""
        shape = [len(self), int(self.sizes.max()), self.features.shape[1]]
        return {
            "name": self.name,
            "options": dict(self.options),
            "shape": shape,
            "sha256": self.sha256,
        }

    def subset(self, indices: Any) -> Self:
        """Return the graphs ``indices``, in this order, or those of a mask ``[G]``."""
        numbers = torch.arange(len(self), device=self.sizes.device)
        indices = numbers[indices].reshape(-1)
        sizes, starts = self.sizes[indices], self.offsets[:-1][indices]
        shifts = torch.nn.functional.pad(sizes.cumsum(0), (1, 0))[:-1]
        nodes = _ranges(starts, sizes)
        # The edges are sorted by their first node, so those of one graph follow one another.
        first_edges = torch.searchsorted(self.edges[0].contiguous(), self.offsets)
        edge_counts = (first_edges[1:] - first_edges[:-1])[indices]
        edges = self.edges[:, _ranges(first_edges[:-1][indices], edge_counts)]
        edges = edges + (shifts - starts).repeat_interleave(edge_counts)
        return replace(
            self,
            features=self.features[nodes],
            edges=edges,
            sizes=sizes,
            labels=self.labels[indices],
            motif=None if self.motif is None else self.motif[nodes],
        )

    def to(self, device: torch.device | str) -> Self:
        """Return the set on a device."""
        names = ("features", "edges", "sizes", "labels", "motif")
        tensors = {name: getattr(self, name) for name in names}
        return replace(self, **{k: t.to(device) for k, t in tensors.items() if t is not None})

    def adjacency(self, graph: int) -> torch.Tensor:
        """Return the adjacency matrix of one graph, float32 ``[n, n]``."""
        graph = range(len(self))[graph]  # Negative numbers count from the end.
        start, end = self.offsets[graph].item(), self.offsets[graph + 1].item()
        inside = (self.edges[0] >= start) & (self.edges[0] < end)
        matrix = torch.zeros(int(end - start), int(end - start), device=self.edges.device)
        matrix[tuple(self.edges[:, inside] - start)] = 1
        return matrix


def _ranges(starts: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return ``starts[0], starts[0] + 1, …`` of all ranges, one after the other."""
    ends = counts.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    shift = (starts - ends + counts).repeat_interleave(counts)
    return torch.arange(total, device=starts.device) + shift
