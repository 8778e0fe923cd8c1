"""Checks of the edges, features, sizes and labels of graphs, with messages that name the graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from explore.core.validation import check_whole_number
from explore.errors import InvalidInput

MAX_CLASSES = 100_000
"""Larger labels are numbers of another kind, not those of classes."""


def feature_tables(features: Sequence[Any], count: int) -> list[torch.Tensor] | None:
    """Return the features of all graphs, or None if no graph has any."""
    if len(features) != count:
        raise InvalidInput(f"got the features of {len(features)} graphs, and {count} graphs")
    missing = [number for number, table in enumerate(features) if table is None]
    if len(missing) == count:
        return None
    if missing:
        raise InvalidInput(
            f"graph {missing[0]} has no features x, but others have; give all or none"
        )
    tables = [_features(number, table) for number, table in enumerate(features)]
    for number, table in enumerate(tables):
        if table.shape[1] != tables[0].shape[1]:
            raise InvalidInput(
                f"graph 0 has {tables[0].shape[1]} features for each node, graph {number} has "
                f"{table.shape[1]}; all graphs need the same features"
            )
    return tables


def graph_sizes(sizes: Any, count: int) -> list[int]:
    """Return the number of nodes of each graph."""
    if len(sizes) != count:
        raise InvalidInput(f"got {len(sizes)} sizes for {count} graphs")
    numbers = [check_whole_number(f"size of graph {k}", _item(n)) for k, n in enumerate(sizes)]
    for number, size in enumerate(numbers):
        if size < 1:
            raise InvalidInput(f"graph {number} has no nodes; leave it out")
    return numbers


def check_rows(sizes: list[int] | None, tables: list[torch.Tensor] | None) -> list[int]:
    """Return the sizes, by default those of the tables."""
    if tables is None:
        if sizes is None:
            raise InvalidInput("give the features or the sizes of the graphs")
        return sizes
    rows = [len(table) for table in tables]
    for number, (size, row_count) in enumerate(zip(sizes or rows, rows, strict=True)):
        if size != row_count:
            raise InvalidInput(
                f"graph {number} has {size} nodes, but features of {row_count}; give one row for "
                "each node"
            )
    return rows


def stack_rows(number: int, rows: list[Any]) -> np.ndarray:
    """Return the attributes x of the nodes of one graph as a table."""
    arrays = [_array(row).reshape(-1) for row in rows]
    widths = sorted({len(array) for array in arrays})
    if len(widths) > 1:
        raise InvalidInput(
            f"the attribute x of each node of graph {number} must hold equally many numbers, got "
            f"{' and '.join(map(str, widths))}"
        )
    return np.stack(arrays)


def _array(values: Any) -> np.ndarray:
    """Return a tensor on any device, an array, or nested lists of numbers as an array."""
    if isinstance(values, torch.Tensor):
        dense = values.detach().cpu().to_dense()
        return (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()
    if isinstance(values, Sequence) and any(isinstance(value, torch.Tensor) for value in values):
        values = [_array(value) for value in values]
    try:
        return np.array(values)
    except ValueError:  # The rows have different lengths.
        return np.array(list(values), dtype=object)


def _item(value: Any) -> Any:
    """Return the number in a tensor or array that holds one; other values unchanged."""
    single = isinstance(value, torch.Tensor | np.ndarray) and math.prod(value.shape) == 1
    return value.item() if single else value


def _features(number: int, table: Any) -> torch.Tensor:
    """Return the features of one graph as float32 ``[n, F]``."""
    array = _array(table)
    if array.dtype.kind == "c":
        raise InvalidInput(f"the features of graph {number} must be real numbers, got complex ones")
    if array.dtype.kind not in "biuf":
        raise InvalidInput(
            f"the features of graph {number} must be a table of numbers, one row for each node"
        )
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise InvalidInput(
            f"the features of graph {number} must be [n, F], got {list(array.shape)}"
        )
    if not len(array):
        raise InvalidInput(f"graph {number} has no nodes; leave it out")
    if not array.shape[1]:
        raise InvalidInput(f"graph {number} has 0 features; give one or more, or none at all")
    with np.errstate(over="ignore"):  # GraphSet refuses infinite features.
        return torch.from_numpy(array.astype(np.float32))


def edge_pairs(number: int, edges: Any, size: int) -> np.ndarray:
    """Return the edges of one graph, int64 ``[2, E]``, with checked node numbers."""
    pairs = _array(edges if hasattr(edges, "shape") else list(edges))
    if pairs.size == 0:
        return np.empty((2, 0), np.int64)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise InvalidInput(
            f"the edges of graph {number} must be pairs of node numbers, got shape "
            f"{list(pairs.shape)}"
        )
    if not _are_whole(pairs):
        raise InvalidInput(
            f"the edges of graph {number} must be pairs of whole numbers, got {pairs.dtype}"
        )
    if pairs.min() < 0 or pairs.max() >= size:
        raise InvalidInput(
            f"graph {number} has nodes 0 to {size - 1}, but an edge names node "
            f"{int(pairs.min() if pairs.min() < 0 else pairs.max())}"
        )
    return pairs.T.astype(np.int64)


def _are_whole(values: np.ndarray) -> bool:
    """Return whether all values are whole numbers, of whatever type."""
    if values.dtype.kind == "f":
        return bool(np.isfinite(values).all() and (values == values.round()).all())
    return values.dtype.kind in "iu"


def graph_label(number: int, value: Any) -> Any:
    """Return the label of one graph: a number, alone or in a tensor or list of length 1."""
    array = _array(value)
    if array.size != 1:
        raise InvalidInput(f"graph {number} needs one label y, got {array.size} values")
    return array.item()


def label_tensor(labels: Any, count: int) -> torch.Tensor:
    """Return the labels of all graphs, int64 ``[G]``."""
    values = _array(labels)
    if values.shape != (count,):
        raise InvalidInput(
            f"labels must be [{count}], one for each graph, got {list(values.shape)}"
        )
    if not _are_whole(values) and values.dtype.kind != "b":
        raise InvalidInput(
            f"labels must be whole numbers from 0 to K-1, one for each graph, got {values.dtype}"
        )
    if not 0 <= values.min() <= values.max() < MAX_CLASSES:
        raise InvalidInput(
            f"labels must be 0 to K-1, with at most {MAX_CLASSES} classes, got "
            f"{values.min()} to {values.max()}; number the classes from 0"
        )
    return torch.from_numpy(values.astype(np.int64))
