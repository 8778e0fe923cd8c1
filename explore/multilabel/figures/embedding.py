"""The picture of an embedding: coloured by the overlap of labels with an anchor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.collections import LineCollection

from explore.plotting.frame import add_caption, add_heading, add_image_axes
from explore.plotting.picture import Picture
from explore.plotting.style import BAR_GREY, EDGE_GREY, PALETTE, SEQUENTIAL, set_title

if TYPE_CHECKING:
    import pandas
    import xarray

PICK_RADIUS = 0.25
"""Inches within which a point is picked."""

COLOUR_LEVELS = 21
"""Colours of the overlap: one for each 0.05."""

CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 61)) for f in (np.cos, np.sin)], 1)
OUTWARDS = (1.0, 1.3, 1.7, 2.2, 3.0, 4.0, 6.0, 9.0)
"""Multiples of a component's radius at which its name is placed."""
NAME_TURN, NAME_MARGIN = 5, 2.0
"""Points of a circle from one place for a name to the next, and pixels around a name."""
MARGIN = 0.06
"""Empty part of the axes on each side, as a share of the positions' range."""

LISTED_LABELS = 8
"""Labels of the anchor's bars at most; those with the highest probability."""


class Embedding(Picture):
    """Held-out samples in the plane; on the right the anchor, its labels and its neighbours."""

    size = (10.4, 6.0)
    title = "An embedding, seen from one sample"
    picks = True

    def build(self, data: xarray.Dataset) -> None:
        """Draw the plane, the colour bar, and frames for the anchor and its neighbours."""
        self._heading = add_heading(self, 0.965)
        self._caption = add_caption(self, 0.02, 0.92)
        axes = self.axes = self.figure.add_axes((0.065, 0.1, 0.49, 0.77))
        axes.set(xlabel="first principal axis of the last step", ylabel="second principal axis")
        self._limits = data.attrs["limits"]
        low, high = np.array(self._limits[:2]), np.array(self._limits[2:])
        # One unit is as long on both axes, so that a component is a circle.
        width, height = np.multiply(axes.get_position().size, self.size).tolist()
        unit = (0.5 + MARGIN) * max(*((high - low) / (width, height)), 1e-9)
        middle = (low + high) / 2
        axes.set(xlim=(middle[0] - unit * width, middle[0] + unit * width))
        axes.set(ylim=(middle[1] - unit * height, middle[1] + unit * height))
        self._others = self.moving(
            axes.plot([], [], "o", ms=3.5, mfc="white", mec=BAR_GREY, mew=0.8, zorder=2)[0]
        )
        # Markers of one colour are drawn much faster than a collection of many colours.
        colours = colormaps[SEQUENTIAL](np.linspace(0, 1, COLOUR_LEVELS))
        style: dict[str, Any] = {"ls": "", "marker": "o", "ms": 5.2, "mew": 0.3, "mec": EDGE_GREY}
        self._points = [
            self.moving(axes.plot([], [], color=colour, zorder=3, **style)[0]) for colour in colours
        ]
        self._anchor = self.moving(
            axes.plot([], [], "*", ms=17, mfc=PALETTE["vermilion"], mec="black", zorder=5)[0]
        )
        self._circles = self.moving(axes.add_collection(LineCollection([], zorder=4)))
        self._circles.set_color(PALETTE["black"])
        self._names = [
            self.moving(axes.text(0, 0, str(name), ha="center", va="center", fontsize=9, zorder=6))
            for name in data["label"].values
        ]
        for text in self._names:
            text.set_clip_on(True)
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8})
        # An image of few colours: dark pictures change them like those of the points.
        bar = self._overlap_bar = self.figure.add_axes((0.565, 0.1, 0.012, 0.77))
        shades = np.linspace(1, 0, COLOUR_LEVELS)[:, None]
        bar.imshow(shades, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto", extent=(0, 1, 0, 1))
        bar.set(xticks=[], ylabel="overlap of labels with the anchor (Jaccard)")
        bar.yaxis.tick_right()
        bar.yaxis.set_label_position("right")
        self.panel("embedding", axes, bar)
        hint = self.figure.text(0.555, 0.89, "(click a point)", ha="right", fontsize=9)
        self.furniture(hint)
        self._build_side(data)

    def _build_side(self, data: xarray.Dataset) -> None:
        """Draw frames for the anchor's image and bars, and for its neighbours."""
        self._images: list[Any] = []
        self._texts: list[Any] = []
        if "image" in data:
            self._images.append(self._add_image((0.655, 0.62, 0.13, 0.225), data, 0))
        bars = self._bars = self.figure.add_axes((0.885, 0.62, 0.1, 0.225))
        self._listed = min(data.sizes["label"], LISTED_LABELS)
        bars.set(xlim=(0, 1), ylim=(self._listed - 0.5, -0.5), yticks=[], xticks=[0, 0.5, 1])
        bars.axvline(0.5, color=EDGE_GREY, lw=0.8)
        set_title(bars, "prediction")
        self._side_title = self.moving(self.figure.text(0.655, 0.865, "", fontweight="bold"))
        self._rectangles = [
            self.moving(bars.barh(row, 0, height=0.7)[0]) for row in range(self._listed)
        ]
        # All labels stay in their places if they have room; else the most probable ones are listed.
        names = data["label"].values[: self._listed]
        self._bar_names = [
            bars.text(-0.06, row, str(name), ha="right", va="center", fontsize=9)
            for row, name in enumerate(names)
        ]
        if self._listed < data.sizes["label"]:
            self._bar_names = [*map(self.moving, self._bar_names)]
        self._neighbour_title = self.moving(self.figure.text(0.655, 0.545, "", fontweight="bold"))
        for rank in range(data.sizes["rank"]):
            left, bottom = 0.655 + 0.117 * (rank % 3), 0.34 - 0.265 * (rank // 3)
            if "image" in data:
                box = (left, bottom, 0.098, 0.17)
                self._images.append(self._add_image(box, data, rank + 1))
            text = self.figure.text(left, bottom - 0.012, "", va="top", fontsize=9)
            self._texts.append(self.moving(text))

    def _add_image(
        self, box: tuple[float, float, float, float], data: xarray.Dataset, row: int
    ) -> Any:
        axes = add_image_axes(self, box)
        pixels = data["image"].values[row]
        return self.moving(axes.imshow(pixels, cmap="gray", vmin=0, vmax=255))

    def fits(self, data: xarray.Dataset) -> bool:
        """Return whether the axes have the limits of the data."""
        return super().fits(data) and data.attrs["limits"] == self._limits

    def show(self, data: xarray.Dataset) -> None:
        """Show points, the anchor's components, its image, predictions and neighbours."""
        position, passes = data["position"].values, data["passes"].values
        anchor = int(data.attrs["anchor"])
        self._others.set_data(*position[~passes].T)
        level = np.round(data["overlap"].values * (COLOUR_LEVELS - 1)).astype(int)
        for index, points in enumerate(self._points):
            points.set_data(*position[passes & (level == index)].T)
        self._anchor.set_data(position[[anchor], 0], position[[anchor], 1])
        self._show_components(data)
        names = data["label"].values
        own = data["present"].values[anchor]
        self._side_title.set_text(f"anchor: sample {anchor}")
        probability = data["probability"].values
        order = np.argsort(-probability, kind="stable")[: self._listed]
        rows = zip(self._rectangles, self._bar_names, np.sort(order), strict=True)
        for rectangle, text, label in rows:
            rectangle.set_width(probability[label])
            rectangle.set_facecolor(PALETTE["blue"] if own[label] else BAR_GREY)
            text.set_text(str(names[label]))
        if "image" in data:
            for artist, pixels in zip(self._images, data["image"].values, strict=True):
                artist.set_data(pixels)
        has_pull = bool(np.isfinite(data["pull"].values).any())
        title = (
            "strongest pulls: J and pull" if has_pull else "most similar (nothing is contrasted)"
        )
        self._neighbour_title.set_text(title)
        for text, row in zip(self._texts, data["neighbour"].values, strict=True):
            number = (
                f"{float(data['pull'][row]):+.3f}"
                if has_pull
                else f"cos {float(data['similarity'][row]):.2f}"
            )
            text.set_text(f"J {float(data['overlap'][row]):.2f}  {number}")
        score = data.attrs["map"]
        quality = "no classifier yet" if np.isnan(score) else f"mAP {score:.1%} on these samples"
        self._heading.set_text(f"{data.attrs['training']}, step {data.attrs['step']}: {quality}")
        self._caption.set_text(_filter_text(data))

    def _show_components(self, data: xarray.Dataset) -> None:
        """Show a circle for each component: one standard deviation, thicker with its weight."""
        centre, radius = data["component_centre"].values, data["component_radius"].values
        weight = data["component_weight"].values
        visible = np.isfinite(radius)
        self._circles.set_segments(
            [c + r * CIRCLE for c, r in zip(centre[visible], radius[visible], strict=True)]
        )
        self._circles.set_linewidth(0.6 + 2.4 * weight[visible] if visible.any() else 1.0)
        placed: list[Any] = []
        for number, text in enumerate(self._names):
            text.set_visible(bool(visible[number]))
            if visible[number]:
                self._place_name(number, text, centre[number], float(radius[number]), placed)

    def _place_name(
        self, number: int, text: Any, centre: np.ndarray, radius: float, placed: list[Any]
    ) -> None:
        """Place the name of a component on its circle, where it lies on no other name.

        Names begin at different angles, as components may lie upon each other. Small circles have
        no place for all names on them: then a name moves outwards.
        """
        canvas: Any = self._canvas
        renderer, inside = canvas.get_renderer(), self.axes.get_window_extent()
        first = 60 * number // len(self._names)
        for factor in OUTWARDS:
            for turn in np.roll(CIRCLE[:-1], -first, 0)[::NAME_TURN]:
                text.set_position(tuple(centre + factor * radius * turn))
                box = text.get_window_extent(renderer).padded(NAME_MARGIN)
                if box.overlaps(inside) and not (
                    inside.x0 <= box.x0
                    and box.x1 <= inside.x1
                    and inside.y0 <= box.y0
                    and box.y1 <= inside.y1
                ):
                    continue
                if not any(box.overlaps(other) for other in placed):
                    placed.append(box)
                    return
        text.set_visible(False)

    def pick(self, data: xarray.Dataset, x: float, y: float) -> Mapping[str, Any]:
        """Return the closest point as the new anchor."""
        position = data["position"].values
        pixels = self.axes.transData.transform(position)
        place = np.array([x, 1 - y]) * [self.figure.bbox.width, self.figure.bbox.height]
        distance = np.hypot(*(pixels - place).T) / self.figure.dpi
        distance[~data["passes"].values] = np.inf
        closest = int(distance.argmin())
        return {"anchor": closest} if distance[closest] <= PICK_RADIUS else {}

    def value_at(self, data: xarray.Dataset, x: float, y: float) -> str:
        """Return the sample under a pointer, its labels and its overlap with the anchor."""
        row = self.pick(data, x, y).get("anchor")
        if row is None:
            return ""
        overlap = float(data["overlap"].values[row])
        return f"sample {row}: {_label_text(data, row)}\noverlap with the anchor {overlap:.2f}"

    def describe(self, data: xarray.Dataset) -> str:
        """Return filter, anchor and strongest neighbour in words."""
        anchor, strongest = int(data.attrs["anchor"]), int(data["neighbour"][0])
        has_pull = bool(np.isfinite(data["pull"].values).any())
        relation = (
            f"has the strongest pull, {float(data['pull'][strongest]):+.3f}"
            if has_pull
            else f"is most similar, cosine {float(data['similarity'][strongest]):.2f}"
        )
        score = data.attrs["map"]
        quality = "" if np.isnan(score) else f", mAP {score:.1%}"
        return (
            f"{data.attrs['training']}, step {data.attrs['step']}{quality}. {_filter_text(data)}. "
            f"The anchor is sample {anchor} with {_label_text(data, anchor)}. Sample {strongest} "
            f"with {_label_text(data, strongest)} {relation}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return one row for each sample."""
        import pandas

        count = data.sizes["point"]
        return pandas.DataFrame(
            {
                "sample": range(count),
                "labels": [_label_text(data, row) for row in range(count)],
                "passes the filter": np.where(data["passes"].values, "yes", "no").astype(object),
                "first principal axis": data["position"].values[:, 0],
                "second principal axis": data["position"].values[:, 1],
                "overlap with the anchor (Jaccard)": data["overlap"].values,
                "pull on the anchor": data["pull"].values,
                "cosine to the anchor": data["similarity"].values,
            }
        )


def _label_text(data: xarray.Dataset, row: int) -> str:
    names = data["label"].values[data["present"].values[row]]
    return " and ".join(map(str, names)) or "no label"


def _filter_text(data: xarray.Dataset) -> str:
    """Return how many samples pass the filter."""
    passing, count = int(data["passes"].sum()), data.sizes["point"]
    if not data.attrs["filter"]:
        return f"{count} held-out samples"
    rule = {"any": "have", "all": "have", "exactly": "have exactly"}[data.attrs["mode"]]
    return f"{passing} of {count} held-out samples {rule} {data.attrs['filter']}"
