"""Condensed graphs: a few synthetic graphs, with how they were made, as a file for elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from explore.core.validation import check_path, describe
from explore.data._json_values import check_json
from explore.data._product_file import FileKind, load_product, path_beside, write_file
from explore.data.graph_set import GraphSet
from explore.errors import InvalidInput

if TYPE_CHECKING:
    from torch_geometric.data import Data

FILE = FileKind(
    "a set of condensed graphs", "CondensedGraphs.save", "save one with CondensedGraphs.of(run)"
)

TENSORS = ("features", "edges", "sizes", "labels", "motif")
HEADER_NAMES = ("class_names", "feature_names", "name")


@dataclass(frozen=True, eq=False)
class CondensedGraphs:
    """A set of synthetic or selected graphs.

    Attributes:
        graphs: the graphs, with hard edges.
        provenance: "config" and "step" of the run that made them.

    Raises:
        InvalidInput: no ``GraphSet``, or a provenance that JSON cannot hold.

    Example:
        >>> import tempfile
        >>> from explore.data import load_graph_set
        >>> from explore.graphs import condense
        >>> run = condense(load_graph_set("motifs", count=10), preset="lesson", steps=2, width=8)
        >>> condensed = CondensedGraphs.of(run.run())
        >>> path = condensed.save(tempfile.mkdtemp() + "/motifs.safetensors")
        >>> CondensedGraphs.load(path).graphs.labels.tolist()
        [0, 1]
    """

    graphs: GraphSet
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.graphs, GraphSet):
            raise InvalidInput(f"graphs must be a GraphSet, got {describe(self.graphs)}")
        object.__setattr__(self, "provenance", check_json("provenance", self.provenance))

    def __len__(self) -> int:
        return len(self.graphs)

    @property
    def sha256(self) -> str:
        """Hash of the graphs."""
        return self.graphs.sha256

    @classmethod
    def of(cls, run: Any) -> Self:
        """Take the graphs of a run that condenses or selects graphs.

        Raises:
            InvalidInput: another run.
        """
        graphs = getattr(run, "condensed", None)
        if not callable(graphs):
            raise InvalidInput(
                f"expected a run that condenses or selects graphs, got {describe(run)}; see "
                "explore.graphs.condense"
            )
        return cls(graphs(), {"config": dict(run.config), "step": run.step})

    def to_pyg(self) -> list[Data]:
        """Return PyTorch Geometric's graphs."""
        return self.graphs.to_pyg()

    def write_pyg(self, path: str | os.PathLike[str]) -> Path:
        """Write a plain list of PyTorch Geometric's ``Data``.

        After ``import torch_geometric.data``, ``torch.load`` reads it, also with ``weights_only``.

        Raises:
            InvalidInput: the path does not end in ``.pt``.
        """
        import torch

        path = check_path("path", path)
        if path.suffix != ".pt":
            raise InvalidInput(f"a list of Data is written as a .pt file, got {str(path)!r}")
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save([_PicklableData(graph) for graph in self.to_pyg()], path)
        return path

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one ``.safetensors`` file, atomically.

        Raises:
            InvalidInput: another suffix.
        """
        graphs = self.graphs
        header = {
            "graphs": {name: _plain(getattr(graphs, name)) for name in HEADER_NAMES},
            "options": dict(graphs.options),
            "degree_features": graphs.degree_features,
            "provenance": dict(self.provenance),
            "sha256": self.sha256,
        }
        tensors = {name: getattr(graphs, name) for name in TENSORS}
        tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
        return write_file(check_path("path", path), tensors, header, FILE)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what ``save`` wrote. Nothing in the file is executed.

        Raises:
            DataMissing: there is no such file.
            RecordingDamaged: the file is truncated or was changed.
            InvalidInput: a file of another kind.
        """
        return load_product(
            check_path("path", path),
            FILE,
            "graphs",
            "graphs",
            lambda tensors, header: cls(
                GraphSet(
                    **cast(Any, tensors),
                    **header["graphs"],
                    options=header["options"],
                    degree_features=header["degree_features"],
                ),
                header["provenance"],
            ),
        )

    @classmethod
    def save_beside(cls, run: Any, recording: Path) -> Path:
        """Write the graphs of a run beside its recording and return the path."""
        return cls.of(run).save(path_beside(recording))


class _PicklableData:
    """A ``Data`` that is pickled as a call of its class.

    Its own pickle names further classes, which ``torch.load`` refuses by default.
    """

    def __init__(self, data: Data) -> None:
        self._data = data

    def __reduce__(self) -> tuple[type[Data], tuple[Any, ...]]:
        """Return the class and its arguments."""
        data = self._data
        return type(data), (data.x, data.edge_index, None, data.y)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else list(value)
