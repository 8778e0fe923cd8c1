"""Recognise the names of folders that hold a split of a data set."""

from __future__ import annotations

import re
import unicodedata
from itertools import chain

SPLIT_NAMES = ("train", "val", "test")
SPLIT_SYNONYMS = {
    "train": ("training", "train", "trn"),
    "val": ("validation", "validate", "valid", "val", "development", "dev"),
    "test": ("testing", "test", "tst"),
}
"""What the folder of a split may be called, in lower case."""
SPLIT_PATTERN = re.compile(
    rf"(?P<split>{'|'.join(chain(*SPLIT_SYNONYMS.values()))})"
    r"(set|data|images?|imgs?|split|part|folder)?\d*"
)
NEUTRAL_WORDS = {"", "set", "data", "image", "images", "img", "imgs", "split", "part", "folder"}
"""Words beside that of the split which say nothing more, as in "training_set"."""


def split_words(name: str) -> tuple[str, str] | None:
    """Return the split in the name of a folder and the other words, or None if there is no split.

    Numbers and words such as "set" or "images" are left out.

    Example:
        >>> split_words("Training"), split_words("valid_set"), split_words("seg_test")
        (('train', ''), ('val', ''), ('test', 'seg'))
        >>> split_words("trainer") is None
        True
    """
    words = re.split(r"[\W_]+", unicodedata.normalize("NFKC", name).casefold())
    matches = [SPLIT_PATTERN.fullmatch(word) for word in words]
    splits = [match for match in matches if match]
    if len(splits) != 1:
        return None
    split = next(k for k, names in SPLIT_SYNONYMS.items() if splits[0]["split"] in names)
    others = [word for word, match in zip(words, matches, strict=True) if match is None]
    others = [word for word in others if word not in NEUTRAL_WORDS and not word.isdigit()]
    return split, " ".join(others)
