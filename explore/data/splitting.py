"""Split files into train, val and test by their names alone."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Hashable, Sequence

from explore.core.validation import check_names, check_seed, check_whole_number
from explore.errors import InvalidInput


def shuffle_by_name(names: Sequence[str], seed: int = 0) -> list[int]:
    """Return the indices of ``names``, sorted by a hash of ``seed`` and each name.

    The order looks random. Whether one name comes before another does not depend on the others.

    Raises:
        InvalidInput: ``names`` is no list of texts, or ``seed`` no seed.

    Example:
        >>> alphabetical = [["c", "a", "b"].index(name) for name in ("a", "b", "c")]
        >>> shuffle_by_name(["a", "b", "c"]) == alphabetical
        False
        >>> sorted(shuffle_by_name(["a", "b", "c"]))
        [0, 1, 2]
    """
    names, seed = check_names("names", names), check_seed(seed)
    keys = [hashlib.sha256(f"{seed}/".encode() + os.fsencode(name)).digest() for name in names]
    return sorted(range(len(names)), key=keys.__getitem__)


def split_by_name(
    names: Sequence[str], groups: Sequence[Hashable], *, val: int = 10, test: int = 0, seed: int = 0
) -> dict[str, list[int]]:
    """Return the indices of "train", "val" and "test"; each group is split in the same proportions.

    A split depends on the names and ``seed`` only, not on their order. If a file is added to a
    group or removed from it, at most one other file of this group moves across each border, and no
    file of another group.

    Args:
        names: N different names.
        groups: the group of each name, e.g. its subclass.
        val, test: percent of each group, rounded half up; together at most 30, so that one name of
            each group remains in train.

    Raises:
        InvalidInput: names and groups of different lengths, a name that occurs twice, or larger or
            negative shares.

    Example:
        >>> splits = split_by_name([f"{i}" for i in range(20)], [0] * 20, val=10, test=20)
        >>> {split: len(indices) for split, indices in splits.items()}
        {'train': 14, 'val': 2, 'test': 4}
    """
    names = check_names("names", names)
    if len(groups) != len(names) or len(set(names)) != len(names):
        raise InvalidInput(
            f"names must be different and groups one for each of them, got {len(names)} names, "
            f"{len(set(names))} of them different, and {len(groups)} groups"
        )
    val, test = (check_whole_number(*share, 0, 30) for share in (("val", val), ("test", test)))
    check_whole_number("val + test", val + test, 0, 30)
    sizes, ranks = Counter(groups), Counter[Hashable]()
    splits: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for i in shuffle_by_name(names, seed):
        group = groups[i]
        test_count, val_count = ((sizes[group] * share + 50) // 100 for share in (test, val))
        rank = ranks[group]
        ranks[group] += 1
        split = "test" if rank < test_count else "val" if rank < test_count + val_count else "train"
        splits[split].append(i)
    return splits
