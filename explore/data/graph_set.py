"""A set of labelled graphs: the nodes of all graphs in one table, and the edges between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from explore.core.tensor_validation import check_device
from explore.core.validation import check_whole_number
from explore.data._graph_checks import check_graph_set
from explore.data._indices import check_indices
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
    ``from_edges``, ``from_pyg`` or ``from_networkx`` to make a set of your own graphs. Arrays and
    lists are accepted where tensors are expected; all is checked once and converted.

    Attributes:
        features: float32 ``[nodes, F]``; a tensor of float64 stays one.
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
            of range, edges in one direction, twice or to the same node, parts of another shape or
            type, or, in the three functions above, a set in which no graph has an edge.

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
        for name, value in check_graph_set(self).items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_edges(
        cls,
        edges: Sequence[Any],
        features: Sequence[Any] | None,
        labels: Any,
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
        """Return the graphs ``indices``, in this order.

        Args:
            indices: a slice; whole numbers, of which negative ones count from the end; one whole
                number; or a mask ``[G]``.

        Raises:
            InvalidInput: indices of another kind, out of range, or none.
        """
        rows = check_indices("indices", indices, len(self), "graphs")
        numbers = torch.arange(len(self), device=self.sizes.device)
        indices = numbers[rows if isinstance(rows, slice) else rows.to(numbers.device)]
        if not len(indices):
            raise InvalidInput("the set has no graphs; give one or more")
        sizes, starts = self.sizes[indices], self.offsets[:-1][indices]
        shifts = torch.nn.functional.pad(sizes.cumsum(0), (1, 0))[:-1]
        nodes = _ranges(starts, sizes)
        # The edges are sorted by their first node, so those of one graph follow one another.
        first_edges = torch.searchsorted(self.edges[0].contiguous(), self.offsets)
        edge_counts = (first_edges[1:] - first_edges[:-1])[indices]
        edges = self.edges[:, _ranges(first_edges[:-1][indices], edge_counts)]
        edges = edges + (shifts - starts).repeat_interleave(edge_counts)
        return self._with(
            features=self.features[nodes],
            edges=edges,
            sizes=sizes,
            labels=self.labels[indices],
            motif=None if self.motif is None else self.motif[nodes],
        )

    def to(self, device: Any) -> Self:
        """Return the set on a device.

        Raises:
            InvalidInput: there is no such device.
        """
        device = check_device(device)
        names = ("features", "edges", "sizes", "labels", "motif")
        tensors = {name: getattr(self, name) for name in names}
        return self._with(**{k: t.to(device) for k, t in tensors.items() if t is not None})

    def _with(self, **tensors: Any) -> Self:
        """Return the set with other tensors, which need no check, as they come from a set."""
        result = object.__new__(type(self))
        for part in fields(self):
            object.__setattr__(result, part.name, tensors.get(part.name, getattr(self, part.name)))
        return result

    def adjacency(self, graph: int) -> torch.Tensor:
        """Return the adjacency matrix of one graph, float32 ``[n, n]``.

        Raises:
            InvalidInput: there is no such graph.
        """
        last = len(self) - 1
        graph = check_whole_number("graph", graph, at_least=-last - 1, at_most=last) % len(self)
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
