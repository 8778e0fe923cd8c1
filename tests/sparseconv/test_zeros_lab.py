"""The sparse-convolution lab: every explorer does what it says; small maps against loops; facts that the notebook states."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from explorers import check_controls, check_lab_without, check_labels, check_size, check_targets
from sparse_oracles import Case, brute_sizes, literal_cpo
from torch import nn

from explore import build, record
from explore.core.resources import shipped
from explore.errors import DataMissing, InvalidInput, UnknownName
from explore.sparseconv import DensityConfig, DensityRun, density_bound, encode, lab
from explore.sparseconv.figures.format_cells import format_cells
from explore.sparseconv.figures.format_diagram import FormatDiagram
from explore.sparseconv.figures.layer_density import LayerDensity, density
from explore.sparseconv.figures.nonzero_maps import NonzeroMaps, nze
from explore.sparseconv.figures.survey_data import layer_maps, layers_with_maps
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.recorded_maps import FORMAT_NAMES
from explore.widgets.explorer import Explorer

EXPLORERS: dict[str, Callable[[], Explorer]] = {
    "copies": lab.copies,
    "copies of another map": lambda: lab.copies(
        [[0, 0, 1, 1, 1, 0], [1, 0, 0, 1, 1, 0], [1, 1, 0, 0, 0, 0]], kernel_size=2
    ),
    "neighbours": lab.neighbour_values,
    "patterns": lab.patterns,
    "densities": lab.densities,
}


@pytest.fixture(params=EXPLORERS)
def explorer(request: pytest.FixtureRequest) -> Explorer:
    return EXPLORERS[request.param]()


def test_every_control_is_named_and_every_value_is_shown(explorer: Explorer) -> None:
    check_controls(explorer, 3)


def test_whatever_can_be_clicked_is_a_control_too(explorer: Explorer) -> None:
    check_targets(explorer)


def test_the_saved_picture_is_small(explorer: Explorer) -> None:
    check_size(explorer)


def test_no_slider_shows_a_long_number(explorer: Explorer) -> None:
    check_labels(explorer)


def test_the_lab_opens_without_torch() -> None:
    check_lab_without(
        ("torch", "numba"), "sparseconv", ("copies", "neighbour_values", "patterns", "densities")
    )


# ---- a small map in five formats, against loops


def small(seed: int) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
    random = np.random.default_rng(seed)
    kernel, stride = (tuple(int(n) for n in random.integers(1, most, 2)) for most in (4, 4))
    size = [int(random.integers(k, k + 4)) for k in kernel]
    x = np.where(random.random(size) < 0.4, random.integers(1, 10, size), 0).astype(np.float32)
    x[tuple(random.integers(size))] = 7
    return x, kernel, stride  # type: ignore[return-value]


def strips(data: Any, name: str) -> list[tuple[str, int, int, int]]:
    """Text, place, row and column of each cell."""
    on = np.flatnonzero(data["cell_strip"].values == name)
    columns = [
        data[f"cell_{key}"].values[on].tolist() for key in ("text", "source", "row", "column")
    ]
    return list(zip(*columns, strict=True))


def text(value: float) -> str:
    return f"{value:g}" if value else "·"


@pytest.mark.parametrize("seed", range(16))
def test_cells_and_copies_are_those_of_loops(seed: int) -> None:
    x, (kh, kw), (sh, sw) = small(seed)
    (high, wide), case = (
        x.shape,
        Case(x[None, None], np.zeros((1, 1, kh, kw), np.float32), np.zeros(1), (sh, sw), (0, 0)),
    )
    sizes = brute_sizes(case)
    plain = format_cells(x, (kh, kw), (sh, sw))
    assert plain["copies"].values.tolist() == [0] * 5
    patches = [(y * sh, s * sw) for y in range(sizes.oh) for s in range(sizes.ow)]
    assert strips(plain, "im2col matrix") == [
        (text(x[y + i, s + j]), (y + i) * wide + s + j if x[y + i, s + j] else -1, row, i * kw + j)
        for row, (y, s) in enumerate(patches)
        for i in range(kh)
        for j in range(kw)
    ]
    windows = [s * sw for s in range(sizes.ow)]
    lowered = [
        (text(x[i, s + j]), i * wide + s + j if x[i, s + j] else -1, row, i * kw + j)
        for row, s in enumerate(windows)
        for i in range(high)
        for j in range(kw)
    ]
    assert strips(plain, "mec matrix") == lowered
    kept = [(shown, place) for shown, place, *_ in lowered if place >= 0]
    assert [cell[:2] for cell in strips(plain, "cscc values")] == kept
    assert [cell[0] for cell in strips(plain, "cscc indices")] == [
        str(c) for _, place, _, c in lowered if place >= 0
    ]
    starts = [
        0,
        *itertools.accumulate(
            sum(place >= 0 for _, place, row, _ in lowered if row == k) for k in range(len(windows))
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
            x.ravel()[place] == float(shown) for shown, place, *_ in strips(plain, f"{name} values")
        )
    masks = [cell[0] for cell in strips(plain, "cps masks")]
    assert len(masks) == len(strips(plain, "cps words"))
    assert sum(mask.count("1") for mask in masks) == len(values)
    assert plain["window"].values.tolist() == [[s, s + kw - 1] for s in windows]
    for i, j in np.argwhere(x != 0).tolist():
        read = len(sizes.readers[j])
        rows = sum(y <= i < y + kh for y in range(0, sh * sizes.oh, sh))
        found = format_cells(x, (kh, kw), (sh, sw), f"{i + 1}, {j + 1}")
        assert found["copies"].values.tolist() == [
            rows * read,
            read,
            read,
            min(1, read),
            min(1, read),
        ]
        assert int(found["value_index"]) == i * wide + j
    made = {name: encode(x, (kh, kw), (sh, sw), method=name) for name in FORMAT_NAMES[:4]}
    made["cps"] = encode(x, (kh, kw), (sh, sw), method="cps", pointers="per-channel")
    assert plain["elements"].values.tolist() == [made[name].elements for name in FORMAT_NAMES]
    assert plain["bytes"].values.tolist() == [made[name].nbytes for name in FORMAT_NAMES]


@pytest.mark.parametrize(
    ("value", "stride"), [("2, 4", 1), ("4, 5", 1), ("2, 4", 2), ("1, 1", 2), ("4, 5", 3)]
)
def test_what_lights_up_is_the_value_wherever_it_stands(value: str, stride: int) -> None:
    x = np.array(lab.EXAMPLE, np.float32)
    data = format_cells(x, 3, stride, value)
    picture = FormatDiagram(data)
    row, column = (int(n) - 1 for n in value.split(", "))
    lit = [path.get_extents() for path in picture._highlights.get_paths()]
    shown = []
    for box in lit:
        centre = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
        inside = [
            t.get_text()
            for t in picture._axes.texts
            if np.allclose(t.get_position(), centre, atol=0.05)
        ]
        assert len(inside) == 1
        shown += inside
    indices = [
        c[0]
        for name in ("cscc", "cpo")
        for c in strips(data, f"{name} indices")
        if c[1] == row * 5 + column
    ]
    copies = data["copies"].values
    assert sorted(shown) == sorted([f"{x[row, column]:g}"] * (1 + int(copies.sum())) + indices)
    assert len(lit) == 1 + copies.sum() + copies[2] + copies[3]
    for k, name in enumerate(FORMAT_NAMES):
        assert f"{int(data['elements'].values[k])} elements" in picture._headings[name].get_text()
    table = picture.table(data).set_index("format")
    assert table["copies"].tolist() == copies.tolist()


def test_another_stride_is_another_picture_even_if_all_cells_are_the_same() -> None:
    x = np.array([[1, 0, 0, 0]], np.float32)
    two, three = format_cells(x, 1, 2), format_cells(x, 1, 3)
    assert two["cell_text"].values.tolist() == three["cell_text"].values.tolist()
    assert not FormatDiagram(two).fits(three)


def test_clicking_a_value_chooses_it() -> None:
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
        (lambda: lab.copies(np.ones(4)), r"one map \[H, W\], got shape \[4\]"),
        (lambda: lab.copies([[1, 2], [3]]), "one map of numbers"),
        (lambda: lab.copies([["a"]]), "one map of numbers"),
        (lambda: lab.copies([[]]), "one map"),
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
def test_what_cannot_be_shown_is_refused(call: Callable[[], Any], match: str) -> None:
    with pytest.raises((InvalidInput, DataMissing), match=match):
        call()


# ---- what the pictures are drawn from


def survey(name: str) -> Any:
    return lab.survey(name)


@pytest.mark.parametrize(
    ("state", "kind", "match"),
    [
        ({"layer": 21}, InvalidInput, "layer must be 0 to 20"),
        ({"layer": -1}, InvalidInput, "layer must be 0 to 20"),
        ({"layer": "3"}, InvalidInput, "got '3'"),
        ({"layer": 2.5}, InvalidInput, "got 2.5"),
        ({"step": -1}, InvalidInput, "step must be 0 or more"),
        ({"step": "one"}, InvalidInput, "step must be"),
        ({"unit": "bits"}, UnknownName, "known: bytes, elements"),
    ],
)
def test_a_state_that_was_not_recorded_is_refused(
    state: dict[str, Any], kind: type[Exception], match: str
) -> None:
    for select in (nze, density):
        with pytest.raises(kind, match=match):
            select(survey("scenes-residual"), **state)


def test_other_recordings_are_refused() -> None:
    with pytest.raises(InvalidInput, match="density survey with maps"):
        nze(survey("resnet20"))
    with pytest.raises(
        InvalidInput,
        match="no maps of convolution 8 are recorded; there are those of 1, 2, 3, 4, 5, 6, 7, 9, ",
    ):
        nze(survey("scenes-residual"), layer=8)
    for select in (nze, density):
        with pytest.raises(InvalidInput, match="give one recording, got 2"):
            select([survey("scenes-vgg")] * 2)
    for channel in (0, -2, 1.5, "2"):
        with pytest.raises(InvalidInput, match="channel must be 1 or more"):
            nze(survey("scenes-vgg"), channel=channel)  # type: ignore[arg-type]


def test_the_sparsest_is_chosen_where_none_is() -> None:
    for name in ("resnet56", "squeezenet", "scenes-residual"):
        found = survey(name)
        wide = np.flatnonzero(found.kernel.values.max(1) > 1)
        means = found.density.values.mean(0)
        assert int(density(found)["layer_index"]) == min(wide, key=lambda k: means[k])


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A network with long names, a grouped layer that is the sparsest, unread columns, and maps that are not square."""
    model = nn.Sequential()
    inner = model
    for name in ("backbone_of_the_network", "encoder_with_attention", "stages_in_their_order"):
        inner.add_module(name, nn.Sequential())
        inner = inner[0]  # type: ignore[assignment]
    inner.add_module("first_convolution", nn.Conv2d(1, 4, 3, stride=(1, 2)))
    inner.add_module("act", nn.ReLU())
    inner.add_module("threshold", nn.Threshold(0.6, 0.0))
    inner.add_module("depthwise", nn.Conv2d(4, 4, 3, groups=4, padding=1))
    inner.add_module("last", nn.Conv2d(4, 4, (1, 7)))
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    images = torch.randn(4, 1, 9, 20, generator=generator)
    run = DensityRun(
        DensityConfig(images=3, maps=True), (images, torch.tensor([0, 1, 1, 0])), model.eval()
    )
    return record(run, tmp_path_factory.mktemp("odd") / "odd.zarr").load()


def test_a_layer_without_sizes_does_not_hide_the_others(odd: Any) -> None:
    assert odd.density.values.mean(0).argmin() == 1
    data = nze(odd)
    assert int(data["layer_index"]) in (0, 2)  # the sparsest of which maps are kept
    for state in ({"layer": 1}, {"layer": 3, "channel": 4}):
        shown = nze(odd, **state)
        picture = NonzeroMaps(shown)
        assert "nan" not in picture.describe(shown)
        assert picture.table(shown)["stride"].tolist() == ["1×2", "1", "1"]
    grouped = density(odd, layer=2)
    assert "grouped, dilated or unevenly padded" in LayerDensity(grouped).describe(grouped)
    assert "nan" not in LayerDensity(grouped).describe(grouped)


def test_the_share_of_a_channel_counts_what_no_window_reads(odd: Any) -> None:
    data = nze(odd, layer=1)
    maps, geometry = layer_maps(odd, 0, 0)
    assert geometry.windows[-1] == 0
    assert float(data["share"]) == np.count_nonzero(maps) / maps.size == 1
    assert data["counts"].values.sum() == 9 * 19


def test_beside_a_map_that_is_not_square_there_is_no_empty_map(odd: Any) -> None:
    data = nze(odd, layer=3, channel=2)
    (maps, geometry), high = layer_maps(odd, 0, 2), data["codes"].shape[0]
    lower = int(np.ceil(geometry.padded[0] / geometry.padded[1] * high)) + 1
    assert (data["codes"].values[lower:] == 1).all()
    assert (data["sheet"].values[-1] == 2).all()
    assert (data["codes"].values[: lower - 2] == 0).mean() == pytest.approx(
        (maps[1] == 0).mean(), abs=0.06
    )


def test_a_channel_beyond_the_last_shows_the_last() -> None:
    found = survey("scenes-vgg")
    for name, state in (("last", {"channel": 16}), ("beyond", {"channel": 60})):
        data = nze(found, 0, 2, **state)
        assert int(data["channel"]) == 15, name


@pytest.mark.parametrize(("layer", "channel"), [(2, 3), (6, 64), (1, 1)])
def test_patterns_show_the_recorded_maps(layer: int, channel: int) -> None:
    found = survey("scenes-residual")
    data, (maps, geometry) = nze(found, 1, layer, channel), layer_maps(found, 1, layer - 1)
    one = maps[min(channel, len(maps)) - 1]
    starts = [s * geometry.stride[1] for s in range(geometry.output[1])]
    times = [sum(start <= j + 1 < start + 3 for start in starts) for j in range(64)]
    by_hand = [
        sum(int((one[:, j] != 0).sum()) for j in range(one.shape[1]) if times[j] == n)
        for n in range(1, 6)
    ]
    if one.shape[1] == 64:
        assert data["counts"].values.tolist() == by_hand
    assert float(found.density.values[1, layer - 1]) == pytest.approx(
        np.count_nonzero(maps) / maps.size
    )
    left, top, right, bottom = data["tile"].values
    inside = data["sheet"].values[int(np.ceil(top)) : int(bottom), int(np.ceil(left)) : int(right)]
    assert (inside == 1).mean() == pytest.approx((one != 0).mean(), abs=0.05)
    assert not (inside == 2).any()  # no gap
    assert (data["picture"].values == found["picture"].isel(step=1).values).all()


def texts(picture: Any) -> list[tuple[str, Any]]:
    """Every text that is drawn, with its box in pixels."""
    from matplotlib.text import Text

    picture.png()
    axes = [axis for axes in picture.figure.axes for axis in (axes.xaxis, axes.yaxis)]
    ticks = [tick for axis in axes for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())]
    labels = {id(label) for tick in ticks for label in (tick.label1, tick.label2)}
    labels -= {
        id(tick.label1) for axis in axes if axis.axes.axison for tick in axis._update_ticks()
    }  # those that are drawn
    found = [
        t
        for t in picture.figure.findobj(Text)
        if t.get_visible() and t.get_text().strip() and id(t) not in labels
    ]
    renderer = picture._canvas.get_renderer()
    return [(t.get_text(), t.get_window_extent(renderer)) for t in found]


def check_texts(picture: Any) -> None:
    wide, high = picture.figure.bbox.width, picture.figure.bbox.height
    found = texts(picture)
    for words, box in found:
        inside = min(box.x0, box.y0) >= -1 and box.x1 <= wide + 1 and box.y1 <= high + 1
        assert inside, f"{words!r} runs out of the picture"
    for (one, a), (other, b) in itertools.combinations(found, 2):
        apart = a.x1 - 2 <= b.x0 or b.x1 - 2 <= a.x0 or a.y1 - 2 <= b.y0 or b.y1 - 2 <= a.y0
        assert apart, f"{one!r} lies on {other!r}"


MADE: dict[str, Callable[[], Any]] = {
    "formats": lambda: FormatDiagram(format_cells(np.array(lab.EXAMPLE, np.float32), 3, 1, "2, 4")),
    "formats, stride 2": lambda: FormatDiagram(
        format_cells(np.array(lab.EXAMPLE, np.float32), 3, 2, "2, 4")
    ),
    "formats, stride 3": lambda: FormatDiagram(
        format_cells(np.array(lab.EXAMPLE, np.float32), 3, 3, "2, 4")
    ),
    "formats of the exercise": lambda: (
        lab.copies([[0, 0, 1, 1, 1, 0], [1, 0, 0, 1, 1, 0], [1, 1, 0, 0, 0, 0]], 2).picture
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
    "neighbours": lambda: lab.neighbour_values().picture,
    "patterns": lambda: lab.patterns("scenes-residual").picture,
    "densities": lambda: lab.densities("squeezenet").picture,
}


@pytest.mark.parametrize("name", MADE)
def test_no_text_lies_on_another_or_runs_out(name: str) -> None:
    check_texts(MADE[name]())


@pytest.mark.parametrize("seed", range(0, 40, 8))
def test_no_text_of_any_small_map_lies_on_another(seed: int) -> None:
    x, kernel, stride = small(seed)
    i, j = np.argwhere(x != 0)[-1].tolist()
    check_texts(FormatDiagram(format_cells(x, kernel, stride, f"{i + 1}, {j + 1}")))


@pytest.mark.parametrize("unit", ["bytes", "elements"])
@pytest.mark.parametrize("name", lab.SURVEYS)
def test_the_words_about_every_layer_fit(name: str, unit: str) -> None:
    found = survey(name)
    picture = LayerDensity(density(found, unit=unit))
    renderer = picture._canvas.get_renderer()
    for layer in range(1, found.sizes["layer"] + 1):
        picture.update(density(found, found.sizes["step"] - 1, layer, unit))
        for words in (picture._heading, picture._sentences):
            box = words.get_window_extent(renderer)
            assert 0 <= box.x0 < box.x1 <= picture.figure.bbox.width, words.get_text()


def test_long_names_fit(odd: Any) -> None:
    for layer in (1, 2, 3):
        data = density(odd, layer=layer)
        check_texts(LayerDensity(data))
        assert (
            str(data["layer"].values[layer - 1]) in LayerDensity(data).table(data)["layer"].tolist()
        )
    check_texts(NonzeroMaps(nze(odd, layer=3)))


@pytest.mark.parametrize("name", lab.PATTERNS)
def test_no_point_lies_outside_of_its_chart(name: str) -> None:
    explorer = lab.neighbour_values(name)
    for layer in explorer.controls["layer"].values:  # type: ignore[union-attr]
        explorer.layer = layer
        for _, _, line in explorer.picture._curves:  # type: ignore[union-attr]
            axes, (x, y) = line.axes, line.get_data()
            assert axes.get_xlim()[0] <= min(x) <= max(x) <= axes.get_xlim()[1]
            assert axes.get_ylim()[0] <= min(y) <= max(y) <= axes.get_ylim()[1]


@pytest.mark.parametrize("name", lab.SURVEYS)
def test_no_ratio_lies_outside_of_its_chart(name: str) -> None:
    for unit in ("bytes", "elements"):
        data = density(survey(name), unit=unit)
        picture = LayerDensity(data)
        low, high = picture._charts.ratio_axes.get_ylim()
        for line in picture._charts._lines.values():
            assert (low <= line.get_ydata()).all()
            assert (line.get_ydata() <= high).all()


@pytest.mark.parametrize("unit", ["bytes", "elements"])
def test_charts_draw_the_recorded_numbers(unit: str) -> None:
    found = survey("resnet20")
    picture = LayerDensity(density(found, 0, 5, unit))
    data = density(found, 42, 9, unit)
    picture.update(data)
    charts, sizes = picture._charts, found[unit].isel(step=42)
    assert charts._densities.get_ydata() == pytest.approx(found.density.values[42])
    dots = charts.density_axes.lines[0].get_ydata().reshape(100, 19)
    assert dots == pytest.approx(found.density.values)
    for name in ("mec", "cscc", "cpo", "cps"):
        assert charts._lines[name].get_ydata() == pytest.approx(
            sizes.sel(format="im2col").values / sizes.sel(format=name).values
        )
    cells = found["shape"].values.prod(1) * (4 if unit == "bytes" else 1)
    assert charts._lines["map"].get_ydata() == pytest.approx(
        sizes.sel(format="im2col").values / cells
    )
    assert [mark.get_x() for mark in charts._marks] == [7.5, 7.5]
    words = LayerDensity(data).describe(data)
    cpo = float(sizes.sel(format="cpo")[8])
    assert f"CPO {float(sizes.sel(format='im2col')[8]) / cpo:.3g}×" in words
    assert f"CPO {cpo / cells[8]:.2f} and CPS" in words
    assert f"leaves {float(found['work'].values[42, 8]):.0%} of the multiply-adds" in words
    assert f"image 43 of 100: {found.density.values[42].min():.0%} to 100%" in words


def test_neighbours_draw_what_their_table_says() -> None:
    explorer = lab.neighbour_values("scenes-residual", 2)
    explorer.set(layer=9, kept=0.35, channel=7)
    picture, data = explorer.picture, explorer.data
    table = picture.table(data).set_index(["values", "format"])  # type: ignore[union-attr, arg-type]
    for side, name, line in picture._curves:  # type: ignore[union-attr]
        rows = table.loc[(lab.ARRANGEMENTS[side], name.upper())]
        assert list(line.get_data()[0]) == pytest.approx(rows["density"].tolist())
        assert list(line.get_data()[1]) == pytest.approx(rows["bytes a value"].tolist())
    maps, geometry = layer_maps(survey("scenes-residual"), 1, 8)
    kept = np.zeros(maps.size, bool)
    kept[
        np.argsort(-maps.ravel().astype(int), kind="stable")[: round(0.35 * np.count_nonzero(maps))]
    ] = True
    kept = kept.reshape(maps.shape)
    held = np.zeros((len(maps), 40, maps.shape[2]), int)
    for c, i, j in np.argwhere(kept):
        held[c, (i + geometry.padding[0]) // 4, j] += 1
    counts = np.bincount(held.ravel(), minlength=5)[1:]
    assert [bar.get_height() for bar in picture._bars[0]] == pytest.approx(counts / counts.sum())  # type: ignore[union-attr]
    shown = picture._maps[0].get_array()  # type: ignore[union-attr]
    assert (shown > 0).mean() == pytest.approx(kept[6].mean(), abs=0.02)
    from matplotlib.colors import to_hex

    colours = [to_hex(picture._maps[0].cmap(k)) for k in range(1, 5)]  # type: ignore[union-attr]
    assert [to_hex(bar.get_facecolor()) for bar in picture._bars[0]] == colours  # type: ignore[union-attr]
    full = f"{counts[2:].sum() / counts.sum():.0%} hold three or four as they are"
    assert full in explorer.alt
    assert "convolution 9" in explorer.alt
    assert "channel 7" in explorer.alt


def test_the_slider_of_images_begins_at_the_first() -> None:
    for explorer in (lab.densities("resnet20"), lab.patterns("scenes-vgg")):
        for image in (1, 3):
            explorer.image = image
            assert int(explorer.data["image_index"]) == image - 1  # type: ignore[index]
            assert f"image {image}" in explorer.alt
    one, two = (lab.neighbour_values("scenes-vgg", image).alt for image in (1, 2))
    assert one != two


def test_numbers_in_the_table_are_the_recorded_ones() -> None:
    found = survey("squeezenet")
    data = density(found, 7, 3, "elements")
    table = LayerDensity(data).table(data)
    assert table["density"].values == pytest.approx(found.density.values[7])
    assert table["mean density"].values == pytest.approx(found.density.values.mean(0))
    assert table["standard deviation"].values == pytest.approx(found.density.values.std(0, ddof=1))
    assert table["multiply-adds left"].values == pytest.approx(found["work"].values[7])
    for k, name in enumerate(FORMAT_NAMES):
        assert table[f"{name}, elements"].values == pytest.approx(found.elements.values[7, :, k])
    assert table["map"].tolist()[3] == "16×54×54"
    assert "image 8 of 100" in LayerDensity(data).describe(data)


def test_neighbours_are_counted_in_the_maps() -> None:
    explorer = lab.neighbour_values()
    explorer.set(layer=3, kept=0.5)
    maps, geometry = layer_maps(survey("scenes-vgg"), 0, 2)
    values = np.sort(maps[maps != 0])[::-1][: round(0.5 * np.count_nonzero(maps))]
    kept = np.where(maps > values[-1], maps, 0)
    table = explorer.picture.table(explorer.data)  # type: ignore[union-attr, arg-type]
    assert int(explorer.data["count"]) == len(values)  # type: ignore[index]
    assert np.count_nonzero(kept) <= len(values)
    size = encode(maps[None].astype(np.float32), 3, 1, 1, method="cps").nbytes
    row = table[(table["format"] == "CPS") & (table["values"] == "as they are")].iloc[0]
    assert row["bytes a value"] == pytest.approx(size / np.count_nonzero(maps))
    assert row["density"] == pytest.approx(np.count_nonzero(maps) / maps.size)
    assert geometry.kernel == (3, 3)


def test_paths_of_ones_own_surveys_can_be_shown(tmp_path: Path) -> None:
    tiny = {"method": "density", "images": 2, "maps": True}
    record(build(tiny), tmp_path / "own.zarr")
    own = str(tmp_path / "own.zarr")
    for made in (lab.patterns(own), lab.densities(own, "resnet20"), lab.neighbour_values(own)):
        check_targets(made)
    assert layers_with_maps(survey(own)) == [1, 2, 3, 4, 5, 6]


# ---- what the notebook says


def alt(explorer: Explorer, **state: Any) -> str:
    explorer.set(**state)
    return explorer.alt


def test_the_worked_example() -> None:
    explorer = lab.copies()
    assert "im2col 54, MEC 36, CSCC 28, CPO 28, CPS 14" in explorer.alt
    assert "im2col 4 times, MEC twice, CSCC twice, CPO once, CPS once" in alt(
        explorer, value="2, 4"
    )
    once = {
        value for value in explorer.controls["value"].values[1:] if set_of(explorer, value) == {1}
    }  # type: ignore[union-attr]
    assert once == {"1, 1", "4, 5"}  # the 1 and the 8: in corners
    assert alt(explorer, value="4, 5", stride=2).count("never") == 1
    assert "im2col never" in explorer.alt  # no 8
    windows = explorer.data["window"].values  # type: ignore[index]
    both = [j for j in range(5) if sum(first <= j <= last for first, last in windows) == 2]
    assert both == [2]
    assert not np.array(lab.EXAMPLE)[:, 2].any()
    explorer.stride = 3
    elements = dict(zip(FORMAT_NAMES, explorer.data["elements"].values.tolist(), strict=True))  # type: ignore[index]
    assert elements["cscc"] == elements["cpo"]


def set_of(explorer: Explorer, value: str) -> set[int]:
    explorer.value = value
    return set(explorer.data["copies"].values.tolist())  # type: ignore[index]


def test_shuffling_costs_cps_and_not_cpo() -> None:
    explorer = lab.neighbour_values()
    assert "CPO: 198,018 bytes as they are, 198,018 shuffled (+0%)" in explorer.alt
    assert "CPS: 151,206 bytes as they are, 160,822 shuffled (+6%)" in explorer.alt
    assert "shuffled (+16%)" in alt(explorer, kept=0.2)
    per_value = explorer.data["per_value"].values  # type: ignore[index]
    assert per_value[0, :, 0] == pytest.approx(6, abs=0.05)
    assert (
        np.diff(per_value[:, :, 0], axis=0) > 0
    ).all()  # pointers have fewer values to be shared among
    for name in lab.PATTERNS:
        other = lab.neighbour_values(name)
        for layer in other.controls["layer"].values:  # type: ignore[union-attr]
            other.layer = layer
            size = other.data["size"].values  # type: ignore[index]
            assert size[0, 0] == size[1, 0]
            assert size[0, 1] <= size[1, 1]


def test_cpo_is_smaller_than_the_map_below_two_thirds() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1, 64, 56, 56)).astype(np.float32)
    geometry = Geometry(values.shape, 3, padding=1)
    assert geometry.im2col_elements / values.size == 9
    for density_, smaller in ((0.66, True), (0.67, False)):
        x = np.where(rng.random(values.shape) < density_, values, 0).astype(np.float32)
        assert (encode(x, 3, padding=1).compression_ratio("map") > 1) == smaller
    x = np.where(rng.random(values.shape) < 0.1, values, 0).astype(np.float32)
    assert encode(x, 3, padding=1).compression_ratio("map") == pytest.approx(6.6, abs=0.06)
    share = values.size / np.prod((64, 58, 58))  # the bound counts the padding's cells too
    assert density_bound(geometry, "map", index_bytes=2, pointer_bytes=2) / share == pytest.approx(
        2 / 3, abs=0.001
    )
    assert density_bound(geometry, "map") / share == pytest.approx(1 / 2, abs=0.001)


def test_nothing_is_won_without_relu() -> None:
    found = survey("scenes-smooth")
    assert (found.density.values == 1).all()
    whole = 4 * found["shape"].values.prod(1)
    cpo = found["bytes"].sel(format="cpo").values
    assert cpo / whole == pytest.approx(1.5, abs=0.01)
    assert found["bytes"].sel(format="im2col").values / cpo == pytest.approx(6, abs=0.05)


def test_columns_of_the_strided_convolution_are_read_by_one_and_by_two_windows_in_turn() -> None:
    found = survey("scenes-residual")
    _, geometry = layer_maps(found, 0, 5)
    assert geometry.stride == (2, 2)
    assert geometry.windows[1:-1].tolist() == [*[1, 2] * 31, 1, 1]  # without the padding


def test_border_columns_are_read_by_fewer_windows() -> None:
    _, geometry = layer_maps(survey("scenes-vgg"), 0, 1)
    assert geometry.windows[1:-1].tolist() == [2, *[3] * 62, 2]
    assert (
        nze(survey("scenes-vgg"), 0, 2, 3)["counts"].values[1] > 0
    )  # channel 3, which the notebook names, shows some


def test_the_numbers_of_the_residual_networks() -> None:
    found = survey("resnet20")
    means, cells = found.density.values.mean(0), found["shape"].values.prod(1)
    assert (
        found.sizes["step"]
        == survey("resnet56").sizes["step"]
        == survey("squeezenet").sizes["step"]
        == 100
    )
    assert round(100 * means[1:].mean()) == 49
    assert round(100 * (means * cells)[1:].sum() / cells[1:].sum()) == 54
    inside, behind = 100 * means[2::2], 100 * means[1::2]
    assert (round(inside.min()), round(inside.max())) == (19, 50)
    assert (round(behind.min()), round(behind.max())) == (40, 84)
    spread = 100 * survey("resnet56").density.values.std(0, ddof=1)[1:]
    assert round(spread.max()) == 7
    assert spread.argmax() == len(spread) - 1
    assert spread[:-1].max() < 4


def test_the_numbers_of_squeezenet() -> None:
    found = survey("squeezenet")
    wide = found.kernel.values[:, 0] == 3
    means = 100 * found.density.values.mean(0)[wide]
    assert (round(means.min()), round(means.max())) == (67, 93)
    ratio = found["bytes"].sel(format="cpo").values[:, wide] / (
        4 * found["shape"].values[wide].prod(1)
    )
    assert (ratio.mean(0) > 1).all()  # on average; single images may come below
    assert ratio.min() < 1
    assert (found["shape"].values[wide][:, 0] <= 64).all()  # narrow


def test_a_full_map_compresses_six_times_against_im2col() -> None:
    assert encode(
        np.ones((1, 64, 56, 56), np.float32), 3, padding=1
    ).compression_ratio() == pytest.approx(6, abs=0.01)


def test_the_exercises_have_their_answers() -> None:
    # 2: 16·(column·sets + set) + mask with 224 columns fits in 16 bits up to 72 rows
    def largest(rows: int) -> int:
        return 16 * (224 * -(-rows // 4) - 1) + 15

    assert largest(72) < 2**16 <= largest(73)
    for rows, kind in ((72, np.uint16), (73, np.uint32)):
        x = np.zeros((1, 1, rows, 224), np.float32)
        x[..., -1, -1] = 1
        made: Any = encode(x, 1, method="cps", pointers="per-channel")
        assert made.words.dtype == kind
    # 4: three rows of CPO
    x = np.array([[0, 0, 1, 1, 1, 0], [1, 0, 0, 1, 1, 0], [1, 1, 0, 0, 0, 0]], np.float32)
    cpo: Any = encode(x, 2)
    assert cpo.indices.tolist() == [2, 4, 5, 1, 1, 3, 1, 3]
    # 5: (1 − (1 − d)⁴) / 4d words a value are less than one half above a density of 0.456
    for chosen, less in ((0.45, False), (0.46, True)):
        assert ((1 - (1 - chosen) ** 4) / (4 * chosen) < 0.5) == less
