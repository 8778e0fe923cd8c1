"""The objects in an annotation of PASCAL VOC: what each is called, how large its box is, whether it is marked as difficult."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from explore.errors import InvalidInput

SIDES = ("xmin", "ymin", "xmax", "ymax")


class Thing(NamedTuple):
    """One object: its class, the pixels in its box, and whether it is marked as difficult."""

    name: str
    area: float
    difficult: bool


def things_in(path: Path) -> list[Thing]:
    """The objects of an annotation file, in its order; parts of objects (a person's head) are none.

    Raises:
        InvalidInput: no XML, XML with a document type (which could make the parser swell or read other files), no objects,
            one without a name, or a box that is incomplete or has its sides the wrong way round.
    """
    try:
        root = ElementTree.fromstring(path.read_bytes(), ElementTree.XMLParser(target=_Plain()))
    except (
        ElementTree.ParseError,
        ValueError,
        LookupError,
    ) as error:  # the last two from what it says of its encoding
        raise InvalidInput(
            f"{path} cannot be read as an annotation ({error}); replace it by a whole one"
        ) from error
    found = [_thing(path, number, node) for number, node in enumerate(root.findall("object"), 1)]
    if not found:
        raise InvalidInput(
            f"{path} has no objects; annotate it, or take its name out of the lists in ImageSets/Main"
        )
    return found


class _Plain(ElementTree.TreeBuilder):
    """Builds the tree of a document that declares nothing."""

    def doctype(self, name: str, *_: object) -> None:
        """Called before anything that a document type declares is acted upon."""
        raise ValueError(f"it declares a document type, {name!r}, which annotations do not")


def _thing(path: Path, number: int, node: ElementTree.Element) -> Thing:
    name, at = (node.findtext("name") or "").strip(), f"{path}: object {number}"
    if not name:
        raise InvalidInput(f"{at} has no name; give it one")
    texts = {side: (node.findtext(f"bndbox/{side}") or "").strip() for side in SIDES}
    try:
        left, top, right, bottom = map(float, texts.values())
    except ValueError:
        left = math.nan
    if not (
        math.isfinite(left) and left <= right < math.inf and -math.inf < top <= bottom < math.inf
    ):
        shown = ", ".join(f"{side} {text or 'missing'}" for side, text in texts.items())
        raise InvalidInput(
            f"{at} ({name}) has the box {shown}; expected numbers, xmin ≤ xmax and ymin ≤ ymax"
        )
    marked = (node.findtext("difficult") or "0").strip()
    return Thing(
        name, (right - left + 1) * (bottom - top + 1), marked not in ("", "0")
    )  # the last pixel belongs to the box
