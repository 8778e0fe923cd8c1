"""The diagram of a small map in five formats: its cells against loops, highlights and input checks."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from picture_checks import check_texts, small_map
from sparse_oracles import Case, brute_sizes, literal_cpo

from explore.core.resources import shipped
from explore.errors import DataMissing, InvalidInput
from explore.sparseconv import encode, lab
from explore.sparseconv.figures.format_cells import format_cells
from explore.sparseconv.figures.format_diagram import CPS_NOTES, STRIP_KINDS, FormatDiagram
from explore.sparseconv.formats.recorded_maps import FORMAT_NAMES


def strips(data: Any, name: str) -> list[tuple[str, int, int, int]]:
    """Return text, position, row and column of each cell."""
    on = np.flatnonzero(data["cell_strip"].values == name)
    columns = [
        data[f"cell_{key}"].values[on].tolist() for key in ("text", "source", "row", "column")
    ]
    return list(zip(*columns, strict=True))


def text(value: float) -> str:
    return f"{value:g}" if value else "·"


@pytest.mark.parametrize("seed", range(16))
def test_cells_and_copies_equal_loops(seed: int) -> None:
    x, (kh, kw), (sh, sw) = small_map(seed)
    (height, width), case = (
        x.shape,
        Case(x[None, None], np.zeros((1, 1, kh, kw), np.float32), np.zeros(1), (sh, sw), (0, 0)),
    )
    sizes = brute_sizes(case)
    plain = format_cells(x, (kh, kw), (sh, sw))
    assert plain["copies"].values.tolist() == [0] * 5
    patches = [(y * sh, s * sw) for y in range(sizes.oh) for s in range(sizes.ow)]
    assert strips(plain, "im2col matrix") == [
        (text(x[y + i, s + j]), (y + i) * width + s + j if x[y + i, s + j] else -1, row, i * kw + j)
        for row, (y, s) in enumerate(patches)
        for i in range(kh)
        for j in range(kw)
    ]
    windows = [s * sw for s in range(sizes.ow)]
    lowered = [
        (text(x[i, s + j]), i * width + s + j if x[i, s + j] else -1, row, i * kw + j)
        for row, s in enumerate(windows)
        for i in range(height)
        for j in range(kw)
    ]
    assert strips(plain, "mec matrix") == lowered
    cells = [cell[:2] for cell in lowered if cell[1] >= 0]
    assert [cell[:2] for cell in strips(plain, "cscc values")] == cells
    assert [cell[0] for cell in strips(plain, "cscc indices")] == [
        str(c) for _, position, _, c in lowered if position >= 0
    ]
    starts = [
        0,
        *itertools.accumulate(
            sum(position >= 0 for _, position, row, _ in lowered if row == k)
            for k in range(len(windows))
        ),
    ]
    assert [cell[0] for cell in strips(plain, "cscc pointers")] == [str(n) for n in starts]
    values, indices, pointers = literal_cpo(case)
    assert [cell[0] for cell in strips(plain, "cpo values")] == [f"{value:g}" for value in values]
    assert [cell[0] for cell in strips(plain, "cpo indices")] == [str(index) for index in indices]
    assert [cell[0] for cell in strips(plain, "cpo pointers")] == [
        str(n) for row in pointers for n in row
    ]
    for name in ("cpo", "cps"):
        assert all(
            x.ravel()[position] == float(label)
            for label, position, *_ in strips(plain, f"{name} values")
        )
    masks = [cell[0] for cell in strips(plain, "cps masks")]
    assert len(masks) == len(strips(plain, "cps words"))
    assert sum(mask.count("1") for mask in masks) == len(values)
    assert plain["window"].values.tolist() == [[s, s + kw - 1] for s in windows]
    for i, j in np.argwhere(x != 0).tolist():
        read = len(sizes.readers[j])
        rows = sum(y <= i < y + kh for y in range(0, sh * sizes.oh, sh))
        diagram = format_cells(x, (kh, kw), (sh, sw), f"{i + 1}, {j + 1}")
        assert diagram["copies"].values.tolist() == [
            rows * read,
            read,
            read,
            min(1, read),
            min(1, read),
        ]
        assert int(diagram["value_index"]) == i * width + j
    encodings = {name: encode(x, (kh, kw), (sh, sw), method=name) for name in FORMAT_NAMES[:4]}
    encodings["cps"] = encode(x, (kh, kw), (sh, sw), method="cps", pointers="per-channel")
    assert plain["elements"].values.tolist() == [encodings[name].elements for name in FORMAT_NAMES]
    assert plain["bytes"].values.tolist() == [encodings[name].nbytes for name in FORMAT_NAMES]


@pytest.mark.parametrize(
    ("value", "stride"), [("2, 4", 1), ("4, 5", 1), ("2, 4", 2), ("1, 1", 2), ("4, 5", 3)]
)
def test_every_copy_of_a_value_is_highlighted(value: str, stride: int) -> None:
    x = np.array(lab.EXAMPLE_MAP, np.float32)
    data = format_cells(x, 3, stride, value)
    picture = FormatDiagram(data)
    row, column = (int(n) - 1 for n in value.split(", "))
    boxes = [path.get_extents() for path in picture._highlights.get_paths()]
    texts = []
    for box in boxes:
        centre = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
        inside = [
            t.get_text()
            for t in picture._axes.texts
            if np.allclose(t.get_position(), centre, atol=0.05)
        ]
        assert len(inside) == 1
        texts += inside
    indices = [
        c[0]
        for name in ("cscc", "cpo")
        for c in strips(data, f"{name} indices")
        if c[1] == row * 5 + column
    ]
    copies = data["copies"].values
    assert sorted(texts) == sorted([f"{x[row, column]:g}"] * (1 + int(copies.sum())) + indices)
    assert len(boxes) == 1 + copies.sum() + copies[2] + copies[3]
    for k, name in enumerate(FORMAT_NAMES):
        assert f"{int(data['elements'].values[k])} elements" in picture._headings[name].get_text()
    table = picture.table(data).set_index("format")
    assert table["copies"].tolist() == copies.tolist()


def test_the_picture_says_what_is_drawn_but_not_counted() -> None:
    data = format_cells(np.array(lab.EXAMPLE_MAP, np.float32), 3)
    picture = FormatDiagram(data)
    drawn = {kind: len(strips(data, f"cps {kind}")) for kind in STRIP_KINDS if kind != "indices"}
    elements = int(data["elements"].values[FORMAT_NAMES.index("cps")])
    assert elements == sum(drawn.values()) - drawn["masks"] - drawn["maps"] == 14
    words = [t.get_text() for t in picture._axes.texts]
    assert set(CPS_NOTES) <= set(words)
    masks = [cell[0] for cell in strips(data, "cps masks")]
    assert masks == ["1010", "0011", "0100", "1110"], "the first row is on the left"
    assert [c[0] for c in strips(data, "cps words")] == ["5", "76", "18", "55"]
    boxes = sum(
        len(c.get_paths()) for c in picture._axes.collections if isinstance(c, PolyCollection)
    )
    cells = len(data["cell_text"]) - drawn["masks"] + data["map"].size
    assert boxes == cells, "masks have no boxes, because they are not stored"


def test_brackets_hold_their_numbers() -> None:
    explorer = lab.copies([[0, 0, 1, 2, 3, 0], [4, 0, 0, 5, 6, 0]], kernel_size=1)
    texts = [t.get_text() for t in explorer.picture._axes.texts]
    assert "windows 1 to 6 of the kernel:" in texts
    assert {"1", "2", "3", "4", "5", "6"} <= set(texts)
    assert explorer.set(stride=3).stride == 3


def test_another_stride_needs_a_new_picture_even_with_equal_cells() -> None:
    x = np.array([[1, 0, 0, 0]], np.float32)
    two, three = format_cells(x, 1, 2), format_cells(x, 1, 3)
    assert two["cell_text"].values.tolist() == three["cell_text"].values.tolist()
    assert not FormatDiagram(two).fits(three)


def test_a_click_selects_a_value() -> None:
    explorer = lab.copies()
    target = next(
        t
        for t in explorer.picture.targets(explorer.data)
        if t.label == "value 5 in row 2, column 4"
    )  # type: ignore[union-attr, arg-type]
    explorer.set(**target.state)
    assert (
        "The value 5 in row 2, column 4: im2col 4 times, MEC twice, CSCC twice, CPO once, CPS once."
        in explorer.alt
    )


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: lab.copies(np.ones((9, 2)), 2), "at most 8×8"),
        (lambda: lab.copies(np.ones((8, 8)), 3), "36×9 im2col matrix"),
        (lambda: lab.copies(np.ones((6, 6)), 3), "72 values in CSCC"),
        (lambda: format_cells(np.eye(8, 4, dtype=np.float32), (4, 3)), "a MEC matrix 24 wide"),
        (lambda: lab.copies(np.zeros((4, 4))), "no value that is not zero"),
        (lambda: lab.copies(np.ones((2, 2)), 3), "kernel is larger than"),
        (lambda: lab.copies(np.full((4, 4), 0.123)), "0.123 does not fit in a cell"),
        (lambda: lab.copies(np.ones(4)), r"\[H, W\]"),
        (lambda: lab.copies([[1, 2], [3]]), "x must be an array of numbers"),
        (lambda: lab.copies([["a"]]), "x must be an array of numbers"),
        (lambda: lab.copies([[]]), "x must not be empty"),
        (
            lambda: format_cells(np.eye(3, dtype=np.float32), value="1, 2"),
            "there are 1, 1; 2, 2; 3, 3",
        ),
        (lambda: lab.neighbour_values(image=5), "image must be 1 to 4, got 5"),
        (lambda: lab.neighbour_values(image=0), "image must be 1 to 4, got 0"),
        (lambda: lab.neighbour_values("resnet20"), "resnet20 holds no maps; record it with"),
        (lambda: lab.patterns("squeezenet"), "squeezenet holds no maps"),
        (
            lambda: lab.densities("resnet21"),
            "there is no recording resnet21; give the path of one, or a network of resnet20",
        ),
        (
            lambda: lab.densities(str(shipped("data/digits-dm.zarr.zip"))),
            "expected a recording of a density survey",
        ),
        (
            lambda: lab.patterns(str(shipped("data/digits-dm.zarr.zip"))),
            "expected a recording of a density survey",
        ),
    ],
)
def test_invalid_maps_and_recordings_are_refused(call: Callable[[], Any], match: str) -> None:
    with pytest.raises((InvalidInput, DataMissing), match=match):
        call()


INVALID_CALLS: dict[str, Callable[[], Any]] = {
    "formats": lambda: FormatDiagram(
        format_cells(np.array(lab.EXAMPLE_MAP, np.float32), 3, 1, "2, 4")
    ),
    "formats, stride 2": lambda: FormatDiagram(
        format_cells(np.array(lab.EXAMPLE_MAP, np.float32), 3, 2, "2, 4")
    ),
    "formats, stride 3": lambda: FormatDiagram(
        format_cells(np.array(lab.EXAMPLE_MAP, np.float32), 3, 3, "2, 4")
    ),
    "formats of the exercise": lambda: (
        lab.copies([[0, 0, 1, 2, 3, 0], [4, 0, 0, 5, 6, 0], [7, 8, 0, 0, 0, 0]], 2).picture
    ),
    "formats, 1×1": lambda: FormatDiagram(format_cells(np.eye(4, dtype=np.float32), 1, 1, "4, 4")),
    "formats, full": lambda: FormatDiagram(
        format_cells(np.full((4, 5), 10, np.float32), 3, 1, "2, 3")
    ),
    "formats, high": lambda: FormatDiagram(
        format_cells(np.eye(8, 3, dtype=np.float32), (4, 2), 1, "2, 2")
    ),
    "formats, wide": lambda: FormatDiagram(
        format_cells(np.eye(3, 8, dtype=np.float32) * -9, 2, 1, "3, 3")
    ),
    "neighbours": lambda: lab.neighbour_values().set(prediction="both grow").picture,
    "patterns": lambda: lab.patterns("scenes-residual").picture,
    "densities": lambda: lab.densities("squeezenet").picture,
}


@pytest.mark.parametrize("name", INVALID_CALLS)
def test_texts_do_not_overlap_or_leave_the_picture(name: str) -> None:
    check_texts(INVALID_CALLS[name]())


@pytest.mark.parametrize("seed", range(0, 40, 8))
def test_texts_of_random_maps_do_not_overlap(seed: int) -> None:
    x, kernel, stride = small_map(seed)
    i, j = np.argwhere(x != 0)[-1].tolist()
    check_texts(FormatDiagram(format_cells(x, kernel, stride, f"{i + 1}, {j + 1}")))
