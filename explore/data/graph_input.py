"""Checks of the edges, features, sizes and labels of graphs, with messages that name the graph."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch

from explore.core.array_validation import as_array, check_plain
from explore.core.tensor_validation import MAX_CLASSES
from explore.core.validation import check_items, check_whole_number, describe, to_python
from explore.errors import InvalidInput

MOST_NODES = 10_000_000
"""Nodes of a graph whose features are made from its degrees, 1.2 GB in float32."""


def feature_tables(features: Any, count: int) -> list[torch.Tensor] | None:
    """Return the features of all graphs, or None if no graph has any."""
    features = check_items("features", features)
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
    sizes = check_items("sizes", sizes)
    if len(sizes) != count:
        raise InvalidInput(f"got {len(sizes)} sizes for {count} graphs")
    numbers = [check_whole_number(f"size of graph {k}", _item(n)) for k, n in enumerate(sizes)]
    for number, size in enumerate(numbers):
        if size < 1:
            raise InvalidInput(f"graph {number} has no nodes; leave it out")
        if size > MOST_NODES:
            raise InvalidInput(f"graph {number} has more than {MOST_NODES} nodes, got {size}")
    return numbers


def check_rows(sizes: list[int] | None, tables: list[torch.Tensor] | None) -> list[int]:
    """Return the sizes, by default those of the tables."""
    if tables is None:
        if sizes is None:
            raise InvalidInput("give the features or the sizes of the graphs")
        if sum(sizes) > MOST_NODES:
            raise InvalidInput(
                f"the graphs have {sum(sizes)} nodes in all, too many for features of their "
                "degrees; give features"
            )
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
    name = f"the attribute x of the nodes of graph {number}"
    arrays = [_array(name, row).reshape(-1) for row in rows]
    widths = sorted({len(array) for array in arrays})
    if len(widths) > 1:
        raise InvalidInput(
            f"the attribute x of each node of graph {number} must hold equally many numbers, got "
            f"{' and '.join(map(str, widths))}"
        )
    return np.stack(arrays)


def _array(name: str, values: Any) -> np.ndarray:
    """Return a tensor on any device, an array, or nested lists of numbers as an array.

    Raises:
        InvalidInput: masked values, or a tensor whose values cannot be used.
    """
    if isinstance(values, np.ma.MaskedArray):
        return as_array(name, values)
    if isinstance(values, torch.Tensor):
        if values.layout != torch.strided and not values.is_meta:
            values = values.detach().to_dense()
        if not values.is_complex():
            check_plain(name, values)
        dense = values.detach().cpu()
        is_small = dense.is_floating_point() and dense.dtype.itemsize < 4
        return (dense.float() if is_small else dense.resolve_conj()).resolve_neg().numpy()
    if isinstance(values, Sequence) and any(isinstance(value, torch.Tensor) for value in values):
        values = [_array(name, value) for value in values]
    try:
        array = np.array(values)
    except (ValueError, TypeError, RuntimeError):  # The rows have different lengths.
        array = np.array(check_items(name, values), dtype=object)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _item(value: Any) -> Any:
    """Return the number in a tensor or array that holds one; other values unchanged."""
    if isinstance(value, torch.Tensor | np.ndarray) and math.prod(value.shape) == 1:
        return to_python(value.reshape(()))
    return value


def _features(number: int, table: Any) -> torch.Tensor:
    """Return the features of one graph as float32 ``[n, F]``."""
    array = _array(f"the features of graph {number}", table)
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
    name = f"the edges of graph {number}"
    if isinstance(edges, Collection) and not isinstance(edges, Sequence):
        edges = edges if hasattr(edges, "shape") else list(edges)  # Their order has no effect.
    pairs = _array(name, edges if hasattr(edges, "shape") else check_items(name, edges))
    if pairs.shape in ((0,), (0, 2)):
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
    array = _array(f"the label of graph {number}", value)
    if array.size != 1:
        raise InvalidInput(f"graph {number} needs one label y, got {array.size} values")
    label = array.item()
    if not isinstance(label, int | float | str | complex):
        raise InvalidInput(f"the label of graph {number} must be a number, got {describe(value)}")
    return label


def label_tensor(labels: Any, count: int) -> torch.Tensor:
    """Return the labels of all graphs, int64 ``[G]``."""
    values = _array("labels", labels)
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
