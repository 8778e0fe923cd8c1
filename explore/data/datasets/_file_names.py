"""Names of sets and files that others have written, before they become parts of paths."""

from __future__ import annotations

from typing import Any

LONGEST_NAME = 200
"""Characters of a name; file systems hold 255 bytes."""


def is_plain_name(name: Any) -> bool:
    """Return whether a name is that of one file or folder, and leads nowhere else.

    Example:
        >>> is_plain_name("MUTAG"), is_plain_name("../MUTAG"), is_plain_name("..")
        (True, False, False)
    """
    return (
        isinstance(name, str)
        and 0 < len(name) <= LONGEST_NAME
        and name not in (".", "..")
        and not any(character in name for character in "/\\\0")
    )


def is_path_below(name: Any) -> bool:
    """Return whether a name is a path of files below a folder, such as "train/1.jpg".

    Example:
        >>> is_path_below("train/1.jpg"), is_path_below("a/../../1.jpg"), is_path_below("/etc")
        (True, False, False)
    """
    return isinstance(name, str) and all(map(is_plain_name, name.split("/")))
