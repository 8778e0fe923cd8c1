"""Checks of labels and rows for what is computed with NumPy alone. No torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from explore.core.array_validation import as_array, check_array
from explore.core.validation import check_whole_number, describe
from explore.errors import InvalidInput


def check_label_array(labels: Any, mask: Any = None) -> np.ndarray:
    """Return labels as float64 ``[N, K]``, with 0 where they are not known.

    Raises:
        InvalidInput: another shape, or a known label that is neither 0 nor 1.
    """
    table = as_array("labels", labels)
    if table.ndim != 2:
        raise InvalidInput(f"labels must be [N, K] of 0 and 1, got {describe(table)}")
    table = table.astype(np.float64)
    wrong = ~np.isin(table, (0, 1))
    if mask is not None:
        mask = check_array("mask", mask, table.shape, kind="flag", empty=True)
        wrong &= mask
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InvalidInput(
            f"labels must be 0 or 1, got {table[row, column]:g} in row {row}, column {column}; "
            "pass mask= for missing labels"
        )
    return table if mask is None else np.where(mask, table, 0.0)


def check_row(name: str, row: Any, count: int) -> int:
    """Return the number of a row; negative ones do not count from the end.

    Raises:
        InvalidInput: there is no such row.
    """
    return check_whole_number(name, row, at_least=0, at_most=count - 1)
