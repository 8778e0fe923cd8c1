"""Read an annotation of PASCAL VOC: the class, box size and difficulty of each object."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from explore.errors import InvalidInput

BOX_TAGS = ("xmin", "ymin", "xmax", "ymax")


class AnnotatedObject(NamedTuple):
    """An object: its class, the number of pixels in its box, and the mark as difficult."""

    name: str
    area: float
    difficult: bool


def read_annotation(path: Path) -> list[AnnotatedObject]:
    """Return the objects in an annotation file; parts of objects (a person's head) are not objects.

    Raises:
        InvalidInput: the file is not XML, or has a document type (which could make the parser use
            much memory or read other files), no objects, an object without a name, or a box that is
            incomplete or has minimum and maximum in the wrong order.
    """
    from defusedxml.ElementTree import DTDForbidden, ParseError, fromstring

    try:
        root = fromstring(path.read_bytes(), forbid_dtd=True)
    except (ParseError, ValueError, LookupError) as error:  # LookupError: an unknown encoding.
        reason = "it has a document type" if isinstance(error, DTDForbidden) else error
        raise InvalidInput(
            f"{path} cannot be read as an annotation ({reason}); replace it with a complete copy"
        ) from error
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be opened ({error.strerror}); check its permissions"
        ) from error
    # torchvision's parse_voc_xml is not used here: it drops empty elements and turns repeated ones
    # into lists, so an error could not name the object that is wrong.
    objects = [_read_object(path, i, node) for i, node in enumerate(root.findall("object"), 1)]
    if not objects:
        raise InvalidInput(
            f"{path} has no objects; "
            "annotate it, or remove its name from the lists in ImageSets/Main"
        )
    return objects


def _read_object(path: Path, number: int, node: Element) -> AnnotatedObject:
    name = (node.findtext("name") or "").strip()
    if not name:
        raise InvalidInput(f"{path}: object {number} has no name; add one")
    texts = {tag: (node.findtext(f"bndbox/{tag}") or "").strip() for tag in BOX_TAGS}
    try:
        left, top, right, bottom = map(float, texts.values())
    except ValueError:
        left = top = right = bottom = math.nan
    if not (-math.inf < left <= right < math.inf and -math.inf < top <= bottom < math.inf):
        box = ", ".join(f"{tag} {text or 'missing'}" for tag, text in texts.items())
        raise InvalidInput(
            f"{path}: object {number} ({name}) has the box {box}; "
            "expected numbers, xmin ≤ xmax and ymin ≤ ymax"
        )
    area = (right - left + 1) * (bottom - top + 1)  # The last pixel belongs to the box.
    difficult = (node.findtext("difficult") or "0").strip()
    return AnnotatedObject(name, area, difficult not in ("", "0"))
