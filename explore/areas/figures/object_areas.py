"""The picture of many scenes: the share of the object, and the share that a map uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.patches import Rectangle

from explore.plotting.frame import add_caption, add_heading, add_image_axes
from explore.plotting.mosaic import where
from explore.plotting.picture import Picture, Target
from explore.plotting.style import (
    AREA_GREY,
    GRID_GREY,
    LABEL_GREY,
    PALETTE,
    SEQUENTIAL,
    set_title,
)

if TYPE_CHECKING:
    import pandas

PREDICTIONS = {
    "": "choose …",
    "more": "more than the object",
    "same": "about the object",
    "less": "less than the object",
}
"""What a reader may predict of the map's area, by the name in the state."""

TOLERANCE = 0.05
"""An area within this distance of the object's share counts as "about the object"."""

HINT = "First choose a prediction above:\nhow much of the image does\nthe network use?"
CLASS_COLOURS = ("blue", "vermilion", "green", "purple", "black")
CLASS_MARKERS = ("o", "s", "^", "D", "v")
CAPTION_HEIGHTS = (0.42, 0.375, 0.33, 0.255, 0.21, 0.135, 0.09)
LIMIT = 0.75
"""Upper limit of both axes; no object of a scene covers more."""


def agreement(shares: np.ndarray, areas: np.ndarray, prediction: str) -> float:
    """Return the share of images for which a prediction is right.

    Example:
        >>> agreement(np.array([0.1, 0.4]), np.array([0.3, 0.1]), "more")
        0.5
    """
    difference = areas - shares
    right = {
        "more": difference > TOLERANCE,
        "same": np.abs(difference) <= TOLERANCE,
        "less": difference < -TOLERANCE,
    }[prediction]
    return float(right.mean())


class ObjectAreas(Picture):
    """One dot per scene: object share and area of the map; beside it one scene, its map, its mask.

    The Dataset holds ``share``, ``area`` and ``label`` per image, ``picture``, ``map`` and ``mask``
    of the chosen one, ``field`` (left, top, width, height of the receptive field in pixels), the
    index ``chosen``, the scalars ``accuracy`` and ``pointing``, and the attributes ``heading``,
    ``layer``, ``caption`` and ``prediction``. Without a prediction the dots are hidden.
    """

    size = (9.6, 5.3)
    title = "How much of the image does the map use?"
    structural = ("task",)

    def build(self, data: xarray.Dataset) -> None:
        """Create the plot of all scenes, the three images and the texts."""
        self._heading = add_heading(self, 0.955)
        axes = self._axes = self.figure.add_axes((0.075, 0.13, 0.4, 0.72))
        self.panel("areas", axes)
        axes.set(xlim=(0, LIMIT), ylim=(0, LIMIT), aspect="equal")
        axes.set(xlabel="share of the image that is the object")
        axes.set(ylabel="share of the image where the map is above 0.5")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(color=GRID_GREY, lw=0.6)
        axes.plot([0, LIMIT], [0, LIMIT], color=LABEL_GREY, lw=1, ls="--")
        axes.text(
            0.6, 0.615, "as large as the object", rotation=45, rotation_mode="anchor",
            ha="center", va="bottom", fontsize=9, color=LABEL_GREY,
        )  # fmt: skip
        self._band = self.moving(axes.fill([0], [0], color=AREA_GREY, alpha=0.45, lw=0)[0])
        self._dots, self._means = [], []
        for name, colour, marker in zip(
            data["class"].values, CLASS_COLOURS, CLASS_MARKERS, strict=False
        ):
            style: dict[str, Any] = {"color": PALETTE[colour], "marker": marker, "ls": ""}
            (dots,) = axes.plot([], [], ms=4, alpha=0.35, mew=0, **style)
            (mean,) = axes.plot([], [], ms=10, mec="white", mew=1.2, label=str(name), **style)
            self._dots.append(self.moving(dots))
            self._means.append(self.moving(mean))
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=5, columnspacing=0.9,
            handletextpad=0.1, borderaxespad=0, markerscale=0.7,
        )  # fmt: skip
        (self._ring,) = axes.plot([], [], "o", ms=12, mfc="none", mec="black", mew=1.8)
        self.furniture(self.moving(self._ring))
        self._hint = self.furniture(self.moving(
            axes.text(
                LIMIT / 2, LIMIT / 2,
                "",
                ha="center", va="center", fontsize=11,
                bbox={"fc": "white", "ec": LABEL_GREY, "pad": 8},
            )
        ))  # fmt: skip
        self._build_images(data)
        self._captions = [add_caption(self, 0.52, y) for y in CAPTION_HEIGHTS]

    def _build_images(self, data: xarray.Dataset) -> None:
        height, width = data["mask"].shape
        self._images: dict[str, Any] = {}
        for index, (name, title) in enumerate(
            {"picture": "scene", "map": "map", "mask": "mask of the object"}.items()
        ):
            axes = add_image_axes(self, (0.52 + index * 0.16, 0.5, 0.15, 0.31))
            set_title(axes, title)
            self.panel(("scene", "map", "mask")[index], axes)
            limits: dict[str, Any] = {"vmin": 0, "vmax": 1, "cmap": SEQUENTIAL}
            if name == "mask":
                limits["cmap"] = "gray"
            image = axes.imshow(data[name].values, **({} if name == "picture" else limits))
            self._images[name] = self.moving(image)
            if name == "picture":
                box = Rectangle((0, 0), width, height, fill=False, ec="white", lw=2.2)
                inner = Rectangle((0, 0), width, height, fill=False, ec="black", lw=1)
                self._boxes = [self.moving(axes.add_patch(patch)) for patch in (box, inner)]

    def show(self, data: xarray.Dataset) -> None:
        """Show all dots, the chosen scene and the numbers."""
        shares, areas, labels = (data[name].values for name in ("share", "area", "label"))
        prediction = str(data.attrs["prediction"])
        is_shown, k = bool(prediction), int(data["chosen"])
        for label, (dots, mean) in enumerate(zip(self._dots, self._means, strict=True)):
            rows = labels == label
            dots.set_data(shares[rows], areas[rows])
            mean.set_data(
                *([values[rows].mean()] if rows.any() else [] for values in (shares, areas))
            )
        for artist in (*self._dots, *self._means, self._ring, self._band):
            artist.set_visible(is_shown)
        self._hint.set_text("" if is_shown else HINT)
        self._ring.set_data([shares[k]], [areas[k]])
        self._band.set_xy(_region(prediction))
        for name, artist in self._images.items():
            artist.set_data(data[name].values)
        self._images["map"].set_visible(is_shown)
        left, top, width, height = data["field"].values
        for box in self._boxes:
            box.set_bounds(left - 0.5, top - 0.5, width, height)
            box.set_visible(is_shown)
        self._heading.set_text(str(data.attrs["heading"]))
        for text, caption in zip(self._captions, self._sentences(data), strict=True):
            text.set_text(caption)

    def _sentences(self, data: xarray.Dataset) -> list[str]:
        name = str(data["class"].values[int(data["label"].values[int(data["chosen"])])])
        share, area = (float(data[key].values[int(data["chosen"])]) for key in ("share", "area"))
        start = f"Scene {int(data['chosen']) + 1}, {name}: the object is {share:.0%} of the image"
        if not data.attrs["prediction"]:
            return [f"{start}.", *[""] * (len(CAPTION_HEIGHTS) - 1)]
        right = agreement(data["share"].values, data["area"].values, str(data.attrs["prediction"]))
        return [
            f"{start}, the map {area:.0%}.",
            "The box is the receptive field of the brightest value",
            f"({data.attrs['layer']}).",
            f"Your prediction: {PREDICTIONS[str(data.attrs['prediction'])]}.",
            f"It holds for {right:.0%} of {data.sizes['image']} scenes (grey).",
            f"Accuracy {float(data['accuracy']):.0%}; brightest pixel inside the object: "
            f"{float(data['pointing']):.0%}.",
            str(data.attrs["caption"]),
        ]

    def describe(self, data: xarray.Dataset) -> str:
        """Return heading, class and area of the chosen scene, and the means."""
        k = int(data["chosen"])
        name = str(data["class"].values[int(data["label"].values[k])])
        share = float(data["share"].values[k])
        start = f"{data.attrs['heading']}. Scene {k + 1}: {name}, the object is {share:.0%}"
        if not data.attrs["prediction"]:
            return f"{start} of the image. The maps are hidden until a prediction is chosen."
        quarter, weight = where(data["map"].values)
        return (
            f"{start} of the image, the map's area {float(data['area'].values[k]):.0%}; "
            f"{weight:.0%} of the map lies in the {quarter} quarter. Mean of all "
            f"{data.sizes['image']} scenes: object {float(data['share'].mean()):.0%}, area "
            f"{float(data['area'].mean()):.0%}; accuracy {float(data['accuracy']):.0%}, brightest "
            f"pixel inside the object in {float(data['pointing']):.0%}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return one row for each scene."""
        import pandas

        names = data["class"].values[data["label"].values]
        rows: dict[str, Any] = {
            "scene": np.arange(1, data.sizes["image"] + 1),
            "class": [str(name) for name in names],
            "share of the object, %": (100 * data["share"].values).round(3),
        }
        if data.attrs["prediction"]:
            rows["area of the map, %"] = (100 * data["area"].values).round(3)
        return pandas.DataFrame(rows)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return one target for each dot; a click shows its scene."""
        if not data.attrs["prediction"]:
            return []
        half = 0.012
        return [
            Target(
                *self.box(self._axes, x - half, y + half, x + half, y - half),
                f"scene {k + 1}",
                {"image": k + 1},
            )
            for k, (x, y) in enumerate(zip(data["share"].values, data["area"].values, strict=True))
        ]


def _region(prediction: str) -> list[tuple[float, float]]:
    """Return the corners of the region of the plot in which a prediction is right."""
    low, high, gap = -1.0, LIMIT + 1, TOLERANCE
    if prediction == "more":
        return [(low, low + gap), (high, high + gap), (low, high + gap)]
    if prediction == "less":
        return [(low, low - gap), (high, high - gap), (high, low - gap)]
    return [(low, low + gap), (high, high + gap), (high, high - gap), (low, low - gap)]
