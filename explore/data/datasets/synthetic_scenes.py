"""Draws labelled scenes: coloured shapes on a cluttered background, with size, clutter and subclasses as dials.

``_layout`` decides where everything is, in units of the image side, and ``_paint`` turns that into pixels. Each part
has its own random stream, so a dial changes one thing: with more clutter, or more pixels, the objects stay in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from explore.data.image_set import ImageSet
from explore.errors import InvalidInput, UnknownName

CLASSES = ("disc", "square", "ring", "cross", "triangle")
KINDS = {"texture": ("plain", "striped"), "colour": ("cool", "warm")}
"""What may tell the two subclasses of a class apart, and what they are called."""

STRIPES = 0.17  # how much lighter and darker they are than the object
SHIFT = 0.12  # of red up and blue down in a warm object, and back in a cool one
MUTED = 0.35  # of its own colour is left where warm or cool matters: no blue may outweigh the shift, no channel leaves a byte
PARENTS = tuple(shape for shape in range(len(CLASSES)) for _ in range(2))
COUNTS = {"train": 2000, "val": 500, "test": 500}
VISIBLE_SHARE = (
    0.5  # an object of which less would be seen is left out, of the picture and of the labels
)
MEAN, STD = (
    (0.5, 0.5, 0.5),
    (0.195, 0.195, 0.195),
)  # measured on train at the defaults; the mean is .5 by symmetry
TRIES = 12  # places tried for an object beside others
Floats = NDArray[np.float32]
# Signed distances to shapes inscribed in the unit circle, negative inside; v points down.
SHAPES: tuple[Callable[[Floats, Floats], Any], ...] = (
    lambda u, v: np.sqrt(u * u + v * v) - 1,
    lambda u, v: np.maximum(abs(u), abs(v)) - 0.70711,
    lambda u, v: abs(np.sqrt(u * u + v * v) - 0.76) - 0.24,
    lambda u, v: np.maximum(np.minimum(abs(u), abs(v)) - 0.3, np.maximum(abs(u), abs(v)) - 0.954),
    lambda u, v: np.maximum(v, abs(u) * 0.86603 - v * 0.5) - 0.5,
)


def scenes(
    split: str = "train",
    *,
    size: int = 32,
    count: int | None = None,
    objects: int | Sequence[int] = 1,
    object_size: float | Sequence[float] = (0.18, 0.30),
    clutter: int | Sequence[int] = 4,
    subclass: str = "texture",
    difference: float = 1.0,
    seed: int = 0,
) -> ImageSet:
    """Scenes of five shapes, each plain or striped (or cool or warm); the same arguments give the same bytes.

    The labelled object lies in front, wholly inside the image, and is the largest. The others are of other classes,
    have 0.6 to 0.9 of its radius, and may be partly hidden: one that would be hidden by more than half is left out.
    Clutter lies behind the objects: soft blobs and thin strokes in turn. Colours say nothing about the class. Every
    5 images in a row hold each class once, every 10 each subclass, and fewer images are the first of more.

    Args:
        split: ``"train"``, ``"val"`` or ``"test"``; they share no scene.
        size: image side in pixels, 32 to 128.
        count: number of images; 2000 for train, 500 for val and test, unless given.
        objects: objects a scene, 1 to 5, or ``(low, high)``, both included.
        object_size: radius of the circle around the labelled object / image side, 0.05 to 0.48, or ``(low, high)``.
        clutter: pieces of clutter a scene, 0 to 64, or ``(low, high)``, both included.
        subclass: what tells the two subclasses of a class apart: ``"texture"`` (the labelled object is plain or striped)
            or ``"colour"`` (it is cool or warm, never striped, and of a muted colour; its lightness says nothing).
        difference: how far the two are apart, 0 (nothing in the pixels tells them apart) to 2, as a factor on the
            stripes or on the shift of colour. Other objects stay as they are.
        seed: 0 or more.

    Returns:
        images uint8 ``[N, 3, size, size]``, labels int64 ``[N]``, masks bool ``[N, size, size]`` (the labelled
        object's pixels), subclasses int64 ``[N]`` (2 · label, + 1 if striped or warm), multi_hot float32 ``[N, 5]``;
        ``mean`` and ``std`` do not depend on the arguments. ``scenes(**made.options)`` makes the set ``made`` again.

    Raises:
        InvalidInput: an argument has the wrong type or is out of its range (``UnknownName`` for the split).

    Example:
        Simple and complex in EDF's sense:

        >>> easy, hard = scenes(count=50, object_size=0.45, clutter=0), scenes(count=50, object_size=0.12, clutter=8)
        >>> bool(easy.masks.float().mean() > 10 * hard.masks.float().mean())
        True

        Subclasses that are hard to tell apart:

        >>> scenes(count=10, subclass="colour", difference=0.25).subclass_names[:2]
        ('cool disc', 'warm disc')
    """
    if split not in list(COUNTS):
        raise UnknownName("split of scenes", split, COUNTS)
    if subclass not in list(KINDS):
        raise UnknownName("subclass of scenes", subclass, KINDS)
    options = {
        "split": split,
        "size": _checked("size", size, 32, 128, "pixels a side"),
        "count": COUNTS[split] if count is None else _checked("count", count, 1, 10**7, "images"),
        "objects": _checked(
            "objects", objects, 1, len(CLASSES), "each of another class", ranged=True
        ),
        "object_size": _checked(
            "object_size", object_size, 0.05, 0.48, "radius / image side", ranged=True
        ),
        "clutter": _checked("clutter", clutter, 0, 64, "pieces a scene", ranged=True),
        "subclass": subclass,
        "difference": _checked("difference", difference, 0.0, 2.0, "1 is plain to see"),
        "seed": _checked("seed", seed, 0, 2**63 - 1, "any will do"),
    }
    layout = _layout(options)
    images, masks, shown = _paint(layout, options["size"], _stream(options, 0))
    labels, subclasses = layout.classes[:, 0].copy(), 2 * layout.classes[:, 0] + layout.second
    present = np.zeros((len(labels), len(CLASSES)), np.float32)
    np.put_along_axis(present, layout.classes, shown.astype(np.float32), 1)
    x, y, mask, minor, multi_hot = map(
        torch.from_numpy, (images, labels, masks, subclasses, present)
    )
    names = tuple(f"{kind} {shape}" for shape in CLASSES for kind in KINDS[options["subclass"]])
    return ImageSet(
        "scenes", x, y, CLASSES, MEAN, STD, options, mask, minor, names, multi_hot, PARENTS
    )


class _Layout(NamedTuple):
    """What is where in N scenes of J objects, front first, and M pieces of clutter; lengths in image sides."""

    background: Floats  # [2, 3] of each scene: the colours at the bottom and at the top
    classes: NDArray[np.int64]  # [J]
    second: NDArray[
        np.bool_
    ]  # of each scene: the labelled object is of its class's second subclass
    stripes: Floats  # [J]: how much lighter and darker they are, 0 if there are none
    wanted: NDArray[np.bool_]  # [J]; _paint says which can be seen
    spot: Floats  # [J, 8]: x, y, cosine and sine of the rotation, radius, direction and phase of the stripes
    colour: Floats  # [J, 3]
    speck: Floats  # [M, 8]: x, y, cosine and sine of the rotation, length, width, bend, opacity (0: not there)
    tint: Floats  # [M, 3]


def _layout(options: Mapping[str, Any]) -> _Layout:
    """Where everything is in the scenes of these ``options``; drawn row by row, so that fewer are the first of more."""
    count, kinds = options["count"], len(CLASSES)
    sizes, many, pieces = (
        np.ravel([options[name]] * 2)[-2:] for name in ("object_size", "objects", "clutter")
    )

    def uniform(columns: int, parts: Sequence[int], rows: int = count) -> NDArray[np.float64]:
        drawn = [_stream(options, part).random((rows, columns)) for part in parts]
        return np.array(drawn).reshape(len(parts), rows, columns).T  # [columns, rows, parts]

    labels = uniform(kinds, [1], -(-count // 5))[..., 0].argsort(0).T.ravel()[:count]
    coins = (
        uniform(kinds, [2], -(-count // 10))[..., 0].T < 0.5
    )  # striped in the first five of ten, or in the last?
    lined = np.stack([coins, ~coins], 1).reshape(-1, kinds)[np.arange(count) // 5, labels]
    # Colours are symmetric about mid grey and either side may be the lighter one, so that all classes have the same
    # mean colour, although larger shapes shift that of an image further.
    side, start, stop, chroma, base, drift, number, mess = uniform(8, [3])
    side, ends = np.where(side < 0.5, -1, 1), np.concatenate([start, stop], 1)
    background = _colour(
        0.5 - side * (0.05 + 0.22 * ends), 0.05 + 0.1 * chroma, base + drift * [[-0.08, 0.08]]
    )

    grow, turn, hue, light, chroma, run, phase, line, *tries = uniform(
        8 + 2 * TRIES, range(100, 100 + many[1])
    )
    order, slots = uniform(kinds, [4, 5]).T
    order[np.arange(count), labels] = -1  # the labelled class comes first
    classes, slots = order.argsort(1)[:, : many[1]], slots.argsort(1)[:, : many[1]]
    hue = (
        base + 0.2 + 0.6 * (slots + 0.2 + 0.6 * hue) / kinds
    )  # like no other object's, nor the background's
    colour = _colour(0.5 + side * (0.03 + 0.12 * light), 0.32 + 0.1 * chroma, hue)
    front = np.arange(many[1]) == 0
    radius = np.where(front, 1, 0.6 + 0.3 * grow) * (sizes[0] + (sizes[1] - sizes[0]) * grow[:, :1])
    places = radius + (1 - 2 * radius) * np.reshape(tries, (TRIES, 2, *radius.shape))
    centre = places[0].copy()  # [2, N, J]
    for j in range(
        1, many[1]
    ):  # the first place that hides little, or else the one that hides least
        apart = np.linalg.norm(places[..., j, None] - centre[..., :j], axis=1)  # [tries, N, j]
        gap = (apart - 0.8 * (radius[:, j, None] + radius[:, :j])).min(2)
        best = np.where((gap > 0).any(0), (gap > 0).argmax(0), gap.argmax(0))
        centre[..., j] = np.take_along_axis(places[..., j], best[None, None], 0)[0]
    # Upright within 20 degrees, so that a square is no diamond; stripes run anywhere.
    spot = _columns(*centre, *_axis(0.11 * (turn - 0.5)), radius, *_axis(0.5 * run), phase)
    stripes, wanted = STRIPES * (line < 0.5), _up_to(many, number)
    if options["subclass"] == "texture":
        stripes[:, 0] = options["difference"] * STRIPES * lined
    else:
        stripes[:, 0] = 0
        grey, away = (
            colour[:, 0].mean(1, keepdims=True),
            options["difference"] * SHIFT * np.where(lined, 1, -1),
        )
        colour[:, 0] = grey + MUTED * (colour[:, 0] - grey) + away[:, None] * [1, 0, -1]

    x, y, turn, long, wide, bend, light, chroma, hue, solid = uniform(
        10, range(200, 200 + pieces[1])
    )
    long, wide, bend, solid = (
        0.13 + 0.24 * long,
        0.08 + 0.12 * wide,
        0.8 * (bend - 0.5),
        0.5 + 0.4 * solid,
    )
    wide *= np.where(np.arange(pieces[1]) % 2, 0.1, 1)  # every other piece is a stroke
    speck = _columns(x, y, *_axis(turn), long, wide, bend, solid * _up_to(pieces, mess))
    tint = _colour(0.15 + 0.7 * light, 0.1 + 0.25 * chroma, hue)
    return _Layout(
        background, classes, lined, stripes.astype(np.float32), wanted, spot, colour, speck, tint
    )


def _paint(
    layout: _Layout, size: int, noise: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Bytes [N, 3, H, W], mask of the labelled object [N, H, W], and which objects can be seen [N, J]."""
    count, chunk = (
        len(layout.classes),
        max(1, 2**16 // size**2),
    )  # so few that a plane of them stays in the cache
    images, masks = (
        np.empty((count, 3, size, size), np.uint8),
        np.empty((count, size, size), np.bool_),
    )
    shown = layout.wanted.copy()
    grid = ((np.arange(size) + 0.5) / size).astype(np.float32)
    # Pixels see only + - * / sqrt, min, max and floor, which all processors round alike (not so exp and sin).
    for rows in (slice(start, start + chunk) for start in range(0, count, chunk)):
        part = _Layout._make(values[rows] for values in layout)
        canvas = np.zeros_like(images[rows], np.float32)
        free = np.ones_like(canvas[:, 0])  # what nothing covers yet: painted from front to back
        for j in range(part.classes.shape[1]):
            cover, shade = _object(part, j, grid)
            seen = cover * free
            shown[rows, j] &= seen.sum((1, 2)) >= VISIBLE_SHARE * cover.sum((1, 2))
            seen *= shown[rows, j, None, None]
            if j == 0:
                masks[rows] = seen >= 0.5
            _lay(canvas, free, seen, part.colour[:, j], shade)
        for j in range(part.speck.shape[1]):
            _lay(canvas, free, free * _speck(part.speck[:, j], grid, j % 2), part.tint[:, j])
        _lay(canvas, free, free * grid[:, None], part.background[:, 0])
        _lay(canvas, free, free.copy(), part.background[:, 1])
        canvas += 0.08 * noise.random(canvas.shape, np.float32) - 0.04
        images[rows] = np.clip(canvas * 255 + 0.5, 0, 255)
    return images, masks, shown


def _lay(
    canvas: Floats, free: Floats, seen: Floats, colour: Floats, shade: Floats | float = 0.0
) -> None:
    for channel in range(3):
        canvas[:, channel] += seen * (colour[:, channel, None, None] + shade)
    free -= seen


def _object(part: _Layout, j: int, grid: Floats) -> tuple[Floats, Floats]:
    """How much of each pixel object ``j`` covers, and how much lighter its stripes are, both [n, H, W]."""
    spot, lined = part.spot[:, j], part.stripes[:, j] > 0
    u, v = _turned(grid, spot[:, :2], spot[:, 2:4] / spot[:, 4:5])
    radius, cos, sin, phase = spot[:, 4:, None, None].swapaxes(0, 1)
    pixels, distance, shade = radius * len(grid), np.empty_like(u), np.zeros_like(u)
    for kind, shape in enumerate(SHAPES):
        mine = part.classes[:, j] == kind
        distance[mine] = shape(u[mine], v[mine])
    period = np.maximum(0.7 * pixels, 3)  # narrower stripes would not be seen as such
    wave = (u * cos + v * sin)[lined] * (pixels / period)[lined] + phase[lined]
    height = part.stripes[:, j, None, None][lined]
    shade[lined] = height * np.clip(
        (4 * abs(wave - np.floor(wave) - 0.5) - 1) * period[lined] / 2, -1, 1
    )
    return np.clip(0.5 - distance * pixels, 0, 1), shade


def _speck(speck: Floats, grid: Floats, stroke: int) -> Floats:
    """Opacity [n, H, W] of a piece of clutter: a thin bent stroke with faint ends, or a blob without an edge."""
    length, width, bend, solid = speck[:, 4:, None, None].swapaxes(0, 1)
    u, v = _turned(grid, speck[:, :2], speck[:, 2:4])
    along = np.maximum(1 - (u / length) ** 2, 0)
    if not stroke:
        return solid * np.maximum(along - (v / width) ** 2, 0) ** 2
    away = abs(v - bend * length * along) - np.maximum(width, 0.6 / len(grid))
    return solid * np.clip(0.5 - away * len(grid), 0, 1) * np.minimum(along * 3, 1)


def _turned(grid: Floats, centre: Floats, axis: Floats) -> tuple[Floats, Floats]:
    """Coordinates of all pixels, [n, H, W] each, from ``centre`` [n, 2], along ``axis`` [n, 2] and across it."""
    x, y = (
        grid[None, None, :] - centre[:, 0, None, None],
        grid[None, :, None] - centre[:, 1, None, None],
    )
    cos, sin = axis[:, 0, None, None], axis[:, 1, None, None]
    return x * cos + y * sin, y * cos - x * sin


def _colour(light: NDArray[Any], chroma: NDArray[Any], hue: NDArray[Any]) -> Floats:
    """RGB [..., 3] whose mean over the channels is ``light``; hue in turns."""
    return _columns(*(light + chroma * np.cos(2 * np.pi * (hue - third / 3)) for third in range(3)))


def _axis(turns: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    return np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)


def _columns(*columns: NDArray[Any]) -> Floats:
    return np.stack(columns, -1).astype(np.float32)


def _up_to(span: NDArray[Any], u: NDArray[Any]) -> NDArray[np.bool_]:
    """The first ``low`` to ``high`` of ``high`` things are there: [N, high] from ``u`` [N, 1] in [0, 1)."""
    return np.arange(span[1]) < span[0] + np.floor(u * (span[1] - span[0] + 1))


def _stream(options: Mapping[str, Any], part: int) -> np.random.Generator:
    key = (list(COUNTS).index(options["split"]), part)
    return np.random.default_rng(np.random.SeedSequence(options["seed"], spawn_key=key))


def _checked(
    name: str, given: Any, low: float, high: float, what: str, ranged: bool = False
) -> Any:
    """``given`` as a Python number, or as ``[low, high]`` where it may be a range."""
    span = (
        list(given) if ranged and isinstance(given, (list, tuple)) and len(given) == 2 else [given]
    )
    kinds = (int, np.integer) if isinstance(low, int) else (int, float, np.integer, np.floating)
    if (
        any(isinstance(x, bool) or not isinstance(x, kinds) or not low <= x <= high for x in span)
        or span[0] > span[-1]
    ):
        hint = f" or (least, most), such as ({low}, {high})" if ranged else ""
        kind = "an integer" if isinstance(low, int) else "a number"
        raise InvalidInput(
            f"{name}={given!r} cannot be drawn: give {kind} from {low} to {high} ({what}){hint}"
        )
    span = [type(low)(x) for x in span]
    return span if len(span) == 2 else span[0]
