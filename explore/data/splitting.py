"""Which files are for training, for choosing settings and for testing: decided by their names alone."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Hashable, Sequence


def drawn(names: Sequence[str], seed: int = 0) -> list[int]:
    """Indices of ``names`` in an order that looks random and depends on nothing but each name and ``seed``.

    Example:
        >>> drawn(["a", "b", "c"]) == [["c", "a", "b"].index(name) for name in ("a", "b", "c")]
        False
        >>> sorted(drawn(["a", "b", "c"]))
        [0, 1, 2]
    """
    keys = [hashlib.sha256(f"{seed}/".encode() + os.fsencode(name)).digest() for name in names]
    return sorted(range(len(names)), key=keys.__getitem__)


def dealt(
    names: Sequence[str], groups: Sequence[Hashable], *, val: int = 10, test: int = 0, seed: int = 0
) -> dict[str, list[int]]:
    """Indices for "train", "val" and "test", so that each group gives its share to each.

    A split depends on the names and ``seed`` only, whatever order they come in. A file more or less in a group moves
    at most one other file of this group across each border, and none of another group.

    Args:
        names: of N things, all different.
        groups: of each, N: the subclass, say.
        val, test: percent of each group, rounded half up; together at most 30, so that one of each group is left to train.

    Example:
        >>> {split: len(part) for split, part in dealt([f"{i}" for i in range(20)], [0] * 20, val=10, test=20).items()}
        {'train': 14, 'val': 2, 'test': 4}
    """
    whole, seen = Counter(groups), Counter[Hashable]()
    parts: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for i in drawn(names, seed):
        group = groups[i]
        tested, valued = ((whole[group] * percent + 50) // 100 for percent in (test, val))
        rank = seen[group]
        seen[group] += 1
        parts["test" if rank < tested else "val" if rank < tested + valued else "train"].append(i)
    return parts
