"""The search for texts that overlap or are cut off, on pictures whose faults are laid out by hand."""

from __future__ import annotations

import matplotlib.patheffects as effects
import pandas
import xarray
from text_boxes import drawn_texts, problems

from explore.plotting.picture import Picture


class Texts(Picture):
    """A picture of 400 × 300 pixels with texts at (x, y, words, options), all of them moving."""

    size = (4.0, 3.0)
    texts: tuple = ()

    def build(self, data: xarray.Dataset) -> None:
        for x, y, words, options in self.texts:
            self.moving(self.figure.text(x, y, words, **options))

    def show(self, data: xarray.Dataset) -> None:
        pass

    def describe(self, data: xarray.Dataset) -> str:
        return "Texts."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        return pandas.DataFrame()


def picture(*texts: tuple) -> Picture:
    rows = tuple((x, y, words, dict(*options)) for x, y, words, *options in texts)
    return type("Case", (Texts,), {"texts": rows})(xarray.Dataset())


def test_texts_that_overlap_or_are_cut_off_are_reported() -> None:
    wrong = problems(
        picture((0.1, 0.5, "first words"), (0.2, 0.51, "second words"), (0.9, 0.1, "too long"))
    )
    assert sorted(wrong) == [
        "'first words' overlaps 'second words'",
        "'too long' is cut off at the edge",
    ]


def test_texts_beside_one_another_are_not_reported() -> None:
    assert problems(picture((0.1, 0.5, "upper"), (0.1, 0.4, "lower"), (0.4, 0.5, "right"))) == []


def test_each_line_of_a_text_has_its_own_box() -> None:
    # The box of both lines together would overlap the text to the right of the short line.
    assert problems(picture((0.1, 0.5, "short\na much longer line"), (0.3, 0.57, "right"))) == []


def test_rotated_texts_have_rotated_boxes() -> None:
    turned = {"rotation": 45, "rotation_mode": "anchor"}
    beside = picture((0.2, 0.2, "a rotated text", turned), (0.4, 0.2, "below"))
    across = picture((0.2, 0.2, "a rotated text", turned), (0.2, 0.3, "crossing words"))
    assert problems(beside) == []
    assert problems(across) == ["'a rotated text' overlaps 'crossing words'"]


def test_only_what_is_drawn_counts() -> None:
    hidden = picture(
        (0.1, 0.5, "first"),
        (0.1, 0.5, "second", {"visible": False}),
        (0.1, 0.5, "third", {"alpha": 0}),
    )
    assert problems(hidden) == []
    assert [text.words for text in drawn_texts(hidden)] == ["first"]


def test_texts_with_an_outline_count() -> None:
    outline = {"path_effects": [effects.withStroke(linewidth=2, foreground="white")]}
    (wrong,) = problems(picture((0.1, 0.5, "first", outline), (0.12, 0.5, "second")))
    assert wrong == "'first' overlaps 'second'"


def test_a_text_that_its_axes_clip_is_cut_off() -> None:
    class Clipped(Texts):
        def build(self, data: xarray.Dataset) -> None:
            axes = self.figure.add_axes((0.1, 0.1, 0.8, 0.8))
            axes.set(xticks=[], yticks=[])
            axes.text(0.95, 0.5, "leaves the axes", clip_on=True)
            axes.text(1.5, 0.5, "outside", clip_on=True)

    assert problems(Clipped(xarray.Dataset())) == ["'leaves the axes' is cut off at the edge"]
