"""Split samples with several labels each, so that every label has the same share in all parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from explore.core.array_validation import as_array
from explore.core.validation import check_items, check_names, check_number, check_seed
from explore.data._indices import check_indices
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

Indices = NDArray[np.int64]
ATTEMPTS = 4
"""How many splits are made at most; the best one is returned."""
CLOSE_ROWS = 0.6
"""A split in which no label is off by as many rows is returned at once: whole numbers can hardly be
closer."""
MOST_ROUNDS = 100
"""How often rows of each two parts are exchanged at most."""
CANDIDATES = 64
"""How many rows of each part are tried in an exchange: those whose move would help most.

With more, the products of their labels would be computed on several threads, which is many times
slower while other programs use the cores."""


def stratified_split(labels: Any, shares: Sequence[float], seed: int = 0) -> list[Indices]:
    """Split rows by iterative stratification: the rarest label is distributed first.

    Each row goes to the part that lacks most rows with this label. The sizes of the parts are fixed
    beforehand: a part that is full gets no more rows. Rows without labels fill what is left. At the
    end, rows of two parts are exchanged as long as this brings the shares of the labels closer. All
    this is done a few times, and the result with the smallest differences is returned.

    Args:
        labels: ``[N, K]`` of 0 and 1.
        shares: the share of the rows in each part; their sum is 1.
        seed: of the order of the rows and of the choice between equal parts.

    Returns:
        The indices of each part in ascending order; every row is in exactly one part. The size of a
        part differs from ``share * N`` by less than 1.

    Raises:
        InvalidInput: labels other than 0 and 1, or shares that are not positive or do not add up to
            1.

    Example:
        >>> labels = np.eye(3)[np.arange(30) % 3]
        >>> train, val = stratified_split(labels, [0.8, 0.2])
        >>> labels[val].sum(0).tolist()
        [2.0, 2.0, 2.0]

    Source: Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-label Data", ECML PKDD
    2011, algorithm 1. The fixed sizes, the exchange and the choice are additions.
    """
    table = _check_table(labels)
    if not len(table):
        raise InvalidInput("labels have no rows; pass one or more")
    generator = np.random.default_rng(check_seed(seed))
    shares = _check_shares(shares)
    best: list[Indices] = []
    smallest = np.inf
    for _ in range(ATTEMPTS):
        members = _attempt(table, shares, generator)
        difference, rows = _largest_difference(table, members)
        if difference < smallest:
            best, smallest = members, difference
        if rows < CLOSE_ROWS:
            break
    return best


def stratification_report(
    labels: Any,
    parts: Sequence[Any] | Mapping[str, Any],
    label_names: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the share of each label in each part, and how much it differs from that in all parts.

    Args:
        labels: ``[N, K]`` of 0 and 1.
        parts: the indices of each part; in a mapping, by the name of the part.
        label_names: K names; by default 0 to K − 1.

    Returns:
        One row for each label, with the columns ``count`` (rows with this label in all parts),
        ``all`` (their share), one column for each part (the share there; NaN if it is empty), and
        ``difference``, the largest absolute difference between a part and ``all``.

    Raises:
        InvalidInput: labels other than 0 and 1, no parts, indices that are out of range, or another
            number of names.

    Example:
        >>> labels = np.array([[1, 0], [1, 1], [1, 0], [0, 1]])
        >>> stratification_report(labels, {"train": [0, 1], "test": [2, 3]}, ["cat", "dog"])
             count   all  train  test  difference
        cat      3  0.75    1.0   0.5        0.25
        dog      2  0.50    0.5   0.5        0.00
    """
    import pandas as pd

    table = _check_table(labels)
    if not isinstance(parts, Mapping):
        items = check_items("parts", parts)
        parts = {f"part {number}": part for number, part in enumerate(items)}
    if not parts:
        raise InvalidInput("there are no parts; pass the indices of one or more parts")
    names = check_names("label_names", label_names)
    if names and len(names) != table.shape[1]:
        raise InvalidInput(f"got {len(names)} label names for {table.shape[1]} labels")
    numbers = torch.arange(len(table))
    rows = {
        name: table[numbers[check_indices(f"parts[{name!r}]", part, len(table), "rows")].numpy()]
        for name, part in parts.items()
    }
    everything = np.concatenate(list(rows.values()))
    shares = {name: _shares_of(part) for name, part in {"all": everything, **rows}.items()}
    differences = np.abs([shares[name] - shares["all"] for name in parts])
    columns = {"count": everything.sum(0), **shares, "difference": np.nanmax(differences, 0)}
    return pd.DataFrame(columns, index=pd.Index(names or range(table.shape[1])))


def _shares_of(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    return rows.mean(0) if len(rows) else np.full(rows.shape[1], np.nan)


def _largest_difference(table: NDArray[np.bool_], members: list[Indices]) -> tuple[float, float]:
    """Return by how much a label differs in a part at most: as a share, and as a number of rows."""
    everything = _shares_of(table)
    differences = [
        (np.abs(_shares_of(table[rows]) - everything).max(), len(rows))
        for rows in members
        if len(rows)
    ]
    shares, counts = np.array(differences).T
    return shares.max(), (shares * counts).max()


def _attempt(
    table: NDArray[np.bool_], shares: list[float], generator: np.random.Generator
) -> list[Indices]:
    """Return the indices of each part after one distribution and the exchange."""
    parts = _distribute(table, shares, generator)
    _exchange(table, parts, len(shares))
    return [np.flatnonzero(parts == part) for part in range(len(shares))]


def _distribute(
    table: NDArray[np.bool_], shares: list[float], generator: np.random.Generator
) -> Indices:
    """Return the part of each row.

    Lists of Python numbers are used, as every row changes what the next one meets, and operations
    on arrays of three numbers would take most of the time.
    """
    count = len(table)
    space = _part_sizes(count, shares)
    # How many more rows with each label a part should get: [K][parts].
    lacking = (table.sum(0)[:, None] * np.array(shares)).tolist()
    waiting = generator.permutation(count)
    ties = generator.random((count, len(shares))).tolist()
    labels_of_row = [np.flatnonzero(row).tolist() for row in table]
    parts = np.full(count, -1)
    while len(waiting):
        counts = table[waiting].sum(0)
        if counts.any():
            label = int(np.where(counts, counts, count + 1).argmin())
            of_label = table[waiting, label]
            rows, waiting = waiting[of_label], waiting[~of_label]
            demand = lacking[label]
        else:
            rows, waiting = waiting, waiting[:0]
            demand = space
        for row in rows.tolist():
            free = [part for part, size in enumerate(space) if size]
            tie = ties[row]
            part = max(free, key=lambda p: (demand[p], space[p], tie[p]))
            parts[row] = part
            space[part] -= 1
            for k in labels_of_row[row]:
                lacking[k][part] -= 1
    return parts


def _exchange(table: NDArray[np.bool_], parts: Indices, part_count: int) -> None:
    """Exchange rows of two parts in place, until no exchange lowers the error.

    The error is the sum of the squared differences between the share of each label in each part and
    its share in all rows.
    """
    values, count = table.astype(float), len(table)
    members = [np.flatnonzero(parts == part) for part in range(part_count)]
    members = [rows for rows in members if len(rows)]
    # How many rows with each label a part has above its share: [parts, K].
    surplus = np.array([values[r].sum(0) - len(r) * values.sum(0) / count for r in members])
    for _ in range(MOST_ROUNDS):
        exchanged = False
        for p, q in combinations(range(len(members)), 2):
            n, m = len(members[p]), len(members[q])
            # An exchange changes the error by weight * |change|² + 2 * change · slope.
            weight, slope = 1 / n**2 + 1 / m**2, surplus[p] / n**2 - surplus[q] / m**2
            losses, gains = (_products(values[members[part]], slope) for part in (p, q))
            leaving, coming = np.argsort(-losses, kind="stable"), np.argsort(gains, kind="stable")
            leaving, coming = leaving[:CANDIDATES], coming[:CANDIDATES]
            a, b = values[members[p][leaving]], values[members[q][coming]]
            squares = a.sum(1)[:, None] + b.sum(1) - 2 * a @ b.T
            errors = weight * squares + 2 * (gains[coming] - losses[leaving][:, None])
            i, j = divmod(int(errors.argmin()), errors.shape[1])
            if errors[i, j] < -1e-9 * weight:
                first, second = members[p][leaving[i]], members[q][coming[j]]
                members[p][leaving[i]], members[q][coming[j]] = second, first
                parts[[first, second]] = parts[[second, first]]
                surplus[p] += b[j] - a[i]
                surplus[q] -= b[j] - a[i]
                exchanged = True
        if not exchanged:
            break


def _products(rows: NDArray[np.float64], slope: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the products of rows with a vector, summed in the same order on every machine."""
    return np.ascontiguousarray(rows.T * slope[:, None]).sum(0)


def _part_sizes(count: int, shares: Sequence[float]) -> list[int]:
    """Return whole numbers with the sum ``count``, each less than 1 from its share of it."""
    exact = np.array(shares) * count
    sizes = np.floor(exact + 1e-9).astype(int)
    missing = count - sizes.sum()
    sizes[np.argsort(sizes - exact, kind="stable")[:missing]] += 1
    return sizes.tolist()


def _check_shares(shares: Sequence[float]) -> list[float]:
    values = [
        check_number("a share", share, above=0, at_most=1)
        for share in check_items("shares", shares)
    ]
    if not values or abs(sum(values) - 1) > 1e-6:
        raise InvalidInput(f"the shares must add up to 1, got {values}")
    return [value / sum(values) for value in values]


def _check_table(labels: Any) -> NDArray[np.bool_]:
    """Return labels as bool ``[N, K]``."""
    table = as_array("labels", labels)
    if table.ndim != 2 or not table.shape[1]:
        raise InvalidInput(f"labels must be [N, K], got {list(table.shape)}")
    wrong = np.argwhere((table != 0) & (table != 1))
    if len(wrong):
        row, column = wrong[0]
        raise InvalidInput(
            f"labels must be 0 or 1, got {table[row, column]} in row {row}, column {column}; "
            "replace missing labels by 0"
        )
    return table.astype(bool)
