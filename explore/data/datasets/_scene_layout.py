"""Lay out synthetic scenes: positions, shapes and colours; lengths are in image sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SHAPE_NAMES = ("disc", "square", "ring", "cross", "triangle")
PARTNERS = (1, 0, 3, 2, 0)
"""The partner of each shape: disc and square, ring and cross; of the triangle, the disc."""
SPLIT_COUNTS = {"train": 2000, "val": 500, "test": 500}
STRIPE_CONTRAST = 0.17
"""How much lighter and darker than the object its stripes are."""
WARM_SHIFT = 0.12
"""The shift of red up and of blue down in a warm object, and the reverse in a cool one."""
MUTED_CHROMA = 0.35
"""The share of an object's own chroma that is left where warm or cool matters.

With more, a blue could outweigh the shift, or a channel could leave the range of a byte."""
PLACEMENT_TRIALS = 12
"""How many random places are tried for each object next to the first."""

NOISE_STREAM, LABEL_STREAM, SUBCLASS_STREAM, BACKGROUND_STREAM = 0, 1, 2, 3
CLASS_ORDER_STREAM, HUE_ORDER_STREAM, PARTNER_STREAM = 4, 5, 6
FIRST_OBJECT_STREAM, FIRST_CLUTTER_STREAM = 100, 200
Floats = NDArray[np.float32]


class SceneLayout(NamedTuple):
    """The layout of N scenes with J objects, front first, and M pieces of clutter."""

    background: Floats  # [N, 2, 3]: colours at the bottom and at the top
    classes: NDArray[np.int64]  # [N, J]
    is_second: NDArray[np.bool_]  # [N]: the labelled object is of the second subclass of its class
    stripe_contrast: Floats  # [N, J], 0 for a plain object
    is_requested: NDArray[np.bool_]  # [N, J]; painting decides which of these are visible enough
    # [N, J, 8]: x, y, cosine and sine of the rotation, radius, direction (2) and phase of the
    # stripes
    geometry: Floats
    colour: Floats  # [N, J, 3]
    # [N, M, 8]: x, y, cosine and sine of the rotation, length, width, bend, opacity (0 if it is
    # absent)
    clutter_geometry: Floats
    clutter_colour: Floats  # [N, M, 3]


def random_stream(options: Mapping[str, Any], number: int) -> np.random.Generator:
    """Return the random stream of one part of the scenes.

    Each part has its own stream, so that an option changes one thing: with more clutter, or more
    pixels, the objects stay in place.
    """
    key = (list(SPLIT_COUNTS).index(options["split"]), number)
    return np.random.default_rng(np.random.SeedSequence(options["seed"], spawn_key=key))


def create_layout(options: Mapping[str, Any]) -> SceneLayout:
    """Return the layout of scenes with these options; a smaller set is the beginning of a larger
    one."""
    count, class_count = options["count"], len(SHAPE_NAMES)
    sizes, object_counts, clutter_counts = (
        np.ravel([options[name]] * 2)[-2:] for name in ("object_size", "objects", "clutter")
    )

    def uniform(columns: int, streams: Sequence[int], rows: int = count) -> NDArray[np.float64]:
        """Return random numbers ``[columns, rows, streams]`` in [0, 1), drawn row by row."""
        values = [random_stream(options, number).random((rows, columns)) for number in streams]
        return np.array(values).reshape(len(streams), rows, columns).T

    labels = (
        uniform(class_count, [LABEL_STREAM], -(-count // 5))[..., 0].argsort(0).T.ravel()[:count]
    )
    # Of ten successive images, the objects of a class are striped in the first five or in the last.
    coins = uniform(class_count, [SUBCLASS_STREAM], -(-count // 10))[..., 0].T < 0.5
    is_second = np.stack([coins, ~coins], 1).reshape(-1, class_count)[np.arange(count) // 5, labels]
    # Colours are symmetric about mid grey, and either of object and background may be the lighter.
    # So all classes have the same mean colour, although a larger shape shifts that of an image
    # more.
    side, bottom, top, chroma, base_hue, hue_drift, objects_draw, clutter_draw = uniform(
        8, [BACKGROUND_STREAM]
    )
    side, ends = np.where(side < 0.5, -1, 1), np.concatenate([bottom, top], 1)
    background = _colour(
        0.5 - side * (0.05 + 0.22 * ends),
        0.05 + 0.1 * chroma,
        base_hue + hue_drift * [[-0.08, 0.08]],
    )

    most_objects = object_counts[1]
    grow, turn, hue, light, chroma, stripe_turn, phase, stripe_coin, *places = uniform(
        8 + 2 * PLACEMENT_TRIALS, range(FIRST_OBJECT_STREAM, FIRST_OBJECT_STREAM + most_objects)
    )
    order, hue_slots = uniform(class_count, [CLASS_ORDER_STREAM, HUE_ORDER_STREAM]).T
    if cooccurrence := options.get("cooccurrence", 0):
        has_partner = uniform(1, [PARTNER_STREAM])[0, :, 0] < cooccurrence
        order[has_partner, np.array(PARTNERS)[labels[has_partner]]] = -0.5  # It comes second.
    order[np.arange(count), labels] = -1  # The labelled class comes first.
    classes = order.argsort(1)[:, :most_objects]
    hue_slots = hue_slots.argsort(1)[:, :most_objects]
    # Each object has another hue than the other objects and the background.
    hue = base_hue + 0.2 + 0.6 * (hue_slots + 0.2 + 0.6 * hue) / class_count
    colour = _colour(0.5 + side * (0.03 + 0.12 * light), 0.32 + 0.1 * chroma, hue)
    is_first = np.arange(most_objects) == 0
    radius = np.where(is_first, 1, 0.6 + 0.3 * grow) * (
        sizes[0] + (sizes[1] - sizes[0]) * grow[:, :1]
    )
    centre = _place_objects(radius, np.reshape(places, (PLACEMENT_TRIALS, 2, *radius.shape)))
    # Objects are upright within 20 degrees, so that a square is not a diamond; stripes have any
    # direction.
    geometry = _columns(
        *centre, *_direction(0.11 * (turn - 0.5)), radius, *_direction(0.5 * stripe_turn), phase
    )
    contrast = STRIPE_CONTRAST * (stripe_coin < 0.5)
    if options["subclass"] == "texture":
        contrast[:, 0] = options["difference"] * STRIPE_CONTRAST * is_second
    else:
        contrast[:, 0] = 0
        grey = colour[:, 0].mean(1, keepdims=True)
        shift = options["difference"] * WARM_SHIFT * np.where(is_second, 1, -1)
        colour[:, 0] = grey + MUTED_CHROMA * (colour[:, 0] - grey) + shift[:, None] * [1, 0, -1]

    most_clutter = clutter_counts[1]
    x, y, turn, length, width, bend, light, chroma, hue, opacity = uniform(
        10, range(FIRST_CLUTTER_STREAM, FIRST_CLUTTER_STREAM + most_clutter)
    )
    length, width = 0.13 + 0.24 * length, 0.08 + 0.12 * width
    bend, opacity = 0.8 * (bend - 0.5), 0.5 + 0.4 * opacity
    width *= np.where(np.arange(most_clutter) % 2, 0.1, 1)  # Every other piece is a stroke.
    opacity = opacity * _is_present(clutter_counts, clutter_draw)
    return SceneLayout(
        background,
        classes,
        is_second,
        contrast.astype(np.float32),
        _is_present(object_counts, objects_draw),
        geometry,
        colour,
        _columns(x, y, *_direction(turn), length, width, bend, opacity),
        _colour(0.15 + 0.7 * light, 0.1 + 0.25 * chroma, hue),
    )


def _place_objects(radius: NDArray[Any], draws: NDArray[Any]) -> NDArray[Any]:
    """Return the centres ``[2, N, J]`` from random numbers ``[trials, 2, N, J]``.

    Each object is put at the first place where it hides little of the ones before it, or else at
    the place where it hides least.
    """
    places = radius + (1 - 2 * radius) * draws
    centre = places[0].copy()
    for j in range(1, radius.shape[1]):
        distance = np.linalg.norm(places[..., j, None] - centre[..., :j], axis=1)  # [trials, N, j]
        gap = (distance - 0.8 * (radius[:, j, None] + radius[:, :j])).min(2)
        best = np.where((gap > 0).any(0), (gap > 0).argmax(0), gap.argmax(0))
        centre[..., j] = np.take_along_axis(places[..., j], best[None, None], 0)[0]
    return centre


def _colour(light: NDArray[Any], chroma: NDArray[Any], hue: NDArray[Any]) -> Floats:
    """Return RGB ``[..., 3]`` whose mean over the channels is ``light``; the hue is in turns."""
    return _columns(*(light + chroma * np.cos(2 * np.pi * (hue - third / 3)) for third in range(3)))


def _direction(turns: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return cosine and sine of an angle in turns."""
    return np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)


def _columns(*columns: NDArray[Any]) -> Floats:
    return np.stack(columns, -1).astype(np.float32)


def _is_present(counts: NDArray[Any], draw: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of ``high`` items are present, ``[N, high]``.

    Args:
        counts: the smallest and the largest number of items, ``low`` and ``high``.
        draw: random numbers ``[N, 1]`` in [0, 1), which give the number of each scene.
    """
    low, high = counts
    return np.arange(high) < low + np.floor(draw * (high - low + 1))
