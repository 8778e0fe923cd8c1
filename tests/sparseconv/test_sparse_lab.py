"""The explorers of the sparse-convolution lab, and the numbers that its notebook states."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explorers import (
    check_controls,
    check_lab_without,
    check_labels,
    check_size,
    check_targets,
    explorer_names,
)

from explore import build, record
from explore.sparseconv import density_bound, encode, lab
from explore.sparseconv.figures.nonzero_maps import nze
from explore.sparseconv.figures.survey_data import layer_maps, layers_with_maps
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.recorded_maps import FORMAT_NAMES
from explore.widgets.explorer import Explorer

EXPLORERS: dict[str, Callable[[], Explorer]] = {
    "copies": lab.copies,
    "copies of another map": lambda: lab.copies(
        [[0, 0, 1, 2, 3, 0], [4, 0, 0, 5, 6, 0], [7, 8, 0, 0, 0, 0]], kernel_size=2
    ),
    "neighbours": lambda: neighbours(),
    "patterns": lab.patterns,
    "densities": lab.densities,
}


def neighbours(*arguments: Any) -> Explorer:
    """Return the explorer of neighbours after a prediction."""
    return lab.neighbour_values(*arguments).set(prediction="both grow")


@pytest.fixture(params=explorer_names(EXPLORERS, ("copies of another map",)))
def explorer(request: pytest.FixtureRequest) -> Explorer:
    return EXPLORERS[request.param]()


def test_every_control_has_a_name_and_shows_every_value(explorer: Explorer) -> None:
    check_controls(explorer)


def test_every_target_sets_a_control(explorer: Explorer) -> None:
    check_targets(explorer)


def test_the_saved_picture_is_small(explorer: Explorer) -> None:
    check_size(explorer)


def test_no_slider_shows_a_long_number(explorer: Explorer) -> None:
    check_labels(explorer)


def test_the_lab_opens_without_torch() -> None:
    check_lab_without(
        ("torch", "numba"), "sparseconv", ("copies", "neighbour_values", "patterns", "densities")
    )


@pytest.mark.parametrize("name", lab.MAPPED_NETWORKS)
def test_curves_lie_inside_their_chart(name: str) -> None:
    explorer = neighbours(name)
    for layer in explorer.controls["layer"].values:  # type: ignore[union-attr]
        explorer.layer = layer
        for _, _, line in explorer.picture._curves:  # type: ignore[union-attr]
            axes, (x, y) = line.axes, line.get_data()
            assert axes.get_xlim()[0] <= min(x) <= max(x) <= axes.get_xlim()[1]
            assert axes.get_ylim()[0] <= min(y) <= max(y) <= axes.get_ylim()[1]


def test_neighbour_curves_equal_their_table() -> None:
    explorer = neighbours("scenes-residual", 2)
    explorer.set(layer=9, kept=35, channel=7)
    picture, data = explorer.picture, explorer.data
    table = picture.table(data).set_index(["values", "format"])  # type: ignore[union-attr, arg-type]
    for side, name, line in picture._curves:  # type: ignore[union-attr]
        rows = table.loc[(lab.ARRANGEMENTS[side], name.upper())]
        assert list(100 * line.get_data()[0]) == pytest.approx(rows["density, %"].tolist())
        assert list(line.get_data()[1]) == pytest.approx(rows["bytes a value"].tolist())
    maps, geometry = layer_maps(lab.survey("scenes-residual"), 1, 8)
    mask = np.zeros(maps.size, bool)
    mask[
        np.argsort(-maps.ravel().astype(int), kind="stable")[: round(0.35 * np.count_nonzero(maps))]
    ] = True
    mask = mask.reshape(maps.shape)
    set_sizes = np.zeros((len(maps), 40, maps.shape[2]), int)
    for c, i, j in np.argwhere(mask):
        set_sizes[c, (i + geometry.padding[0]) // 4, j] += 1
    counts = np.bincount(set_sizes.ravel(), minlength=5)[1:]
    assert [bar.get_height() for bar in picture._bars[0]] == pytest.approx(counts / counts.sum())  # type: ignore[union-attr]
    levels = picture._maps[0].get_array()  # type: ignore[union-attr]
    assert (levels > 0).mean() == pytest.approx(mask[6].mean(), abs=0.02)
    from matplotlib.colors import to_hex

    colours = [to_hex(picture._maps[0].cmap(k)) for k in range(1, 5)]  # type: ignore[union-attr]
    assert [to_hex(bar.get_facecolor()) for bar in picture._bars[0]] == colours  # type: ignore[union-attr]
    full = f"{counts[2:].sum() / counts.sum():.0%} hold three or four as they are"
    assert full in explorer.alt
    assert "convolution 9" in explorer.alt
    assert "channel 7" in explorer.alt


def test_the_image_slider_starts_at_the_first_image() -> None:
    for explorer in (lab.densities("resnet20"), lab.patterns("scenes-vgg")):
        for image in (1, 3):
            explorer.image = image
            assert int(explorer.data["image_index"]) == image - 1  # type: ignore[index]
            assert f"image {image}" in explorer.alt
    first, second = (neighbours("scenes-vgg", image).alt for image in (1, 2))
    assert first != second


def test_the_table_of_neighbours_equals_the_maps() -> None:
    explorer = neighbours()
    explorer.set(layer=3, kept=50)
    maps, geometry = layer_maps(lab.survey("scenes-vgg"), 0, 2)
    values = np.sort(maps[maps != 0])[::-1][: round(0.5 * np.count_nonzero(maps))]
    largest = np.where(maps > values[-1], maps, 0)
    table = explorer.picture.table(explorer.data)  # type: ignore[union-attr, arg-type]
    assert int(explorer.data["count"]) == len(values)  # type: ignore[index]
    assert np.count_nonzero(largest) <= len(values)
    size = encode(maps[None].astype(np.float32), 3, 1, 1, method="cps").nbytes
    row = table[(table["format"] == "CPS") & (table["values"] == "as they are")].iloc[0]
    assert row["bytes a value"] == pytest.approx(size / np.count_nonzero(maps))
    assert row["density, %"] == pytest.approx(100 * np.count_nonzero(maps) / maps.size)
    assert geometry.kernel == (3, 3)


def test_a_survey_can_be_given_by_its_path(tmp_path: Path) -> None:
    tiny = {"method": "density", "images": 2, "maps": True}
    record(build(tiny), tmp_path / "own.zarr")
    own = str(tmp_path / "own.zarr")
    for explorer in (lab.patterns(own), lab.densities(own, "resnet20"), neighbours(own)):
        check_targets(explorer)
    assert layers_with_maps(lab.survey(own)) == [1, 2, 3, 4, 5, 6]


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
        value
        for value in explorer.controls["value"].values[1:]
        if copies_of(explorer, value) == {1}
    }  # type: ignore[union-attr]
    assert once == {"1, 1", "4, 5"}  # the 1 and the 8: in corners
    assert alt(explorer, value="4, 5", stride=2).count("never") == 1
    assert "im2col never" in explorer.alt  # no 8
    windows = explorer.data["window"].values  # type: ignore[index]
    both = [j for j in range(5) if sum(first <= j <= last for first, last in windows) == 2]
    assert both == [2]
    assert not np.array(lab.EXAMPLE_MAP)[:, 2].any()
    explorer.stride = 3
    elements = dict(zip(FORMAT_NAMES, explorer.data["elements"].values.tolist(), strict=True))  # type: ignore[index]
    assert elements["cscc"] == elements["cpo"]


def copies_of(explorer: Explorer, value: str) -> set[int]:
    explorer.value = value
    return set(explorer.data["copies"].values.tolist())  # type: ignore[index]


def test_shuffling_increases_cps_and_not_cpo() -> None:
    explorer = neighbours()
    assert "CPO: 198,018 bytes as they are, 198,018 shuffled (+0%)" in explorer.alt
    assert "CPS: 151,206 bytes as they are, 160,822 shuffled (+6%)" in explorer.alt
    assert "shuffled (+16%)" in alt(explorer, kept=20)
    per_value = explorer.data["per_value"].values  # type: ignore[index]
    assert per_value[0, :, 0] == pytest.approx(6, abs=0.05)
    assert (
        np.diff(per_value[:, :, 0], axis=0) > 0
    ).all()  # pointers have fewer values to be shared among
    for name in lab.MAPPED_NETWORKS:
        other = neighbours(name)
        for layer in other.controls["layer"].values:  # type: ignore[union-attr]
            other.layer = layer
            size = other.data["size"].values  # type: ignore[index]
            assert size[0, 0] == size[1, 0]
            assert size[0, 1] <= size[1, 1]


def test_the_growth_is_predicted_before_it_is_shown() -> None:
    explorer = lab.neighbour_values()
    assert "198,018" not in explorer.alt
    explorer.prediction = "both grow"
    assert "198,018" in explorer.alt
    assert explorer.view.note.endswith(
        "You predicted: both grow. The picture shows: CPO stays, CPS grows by 6%."
    )


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


def test_without_relu_cpo_is_larger_than_the_map() -> None:
    survey = lab.survey("scenes-smooth")
    assert (survey.density.values == 1).all()
    map_bytes = 4 * survey["shape"].values.prod(1)
    cpo = survey["bytes"].sel(format="cpo").values
    assert cpo / map_bytes == pytest.approx(1.5, abs=0.01)
    assert survey["bytes"].sel(format="im2col").values / cpo == pytest.approx(6, abs=0.05)


def test_with_stride_2_columns_are_read_by_one_and_two_windows_in_turn() -> None:
    survey = lab.survey("scenes-residual")
    _, geometry = layer_maps(survey, 0, 5)
    assert geometry.stride == (2, 2)
    assert geometry.windows[1:-1].tolist() == [*[1, 2] * 31, 1, 1]  # without the padding


def test_border_columns_are_read_by_fewer_windows() -> None:
    _, geometry = layer_maps(lab.survey("scenes-vgg"), 0, 1)
    assert geometry.windows[1:-1].tolist() == [2, *[3] * 62, 2]
    assert (
        nze(lab.survey("scenes-vgg"), 0, 2, 3)["counts"].values[1] > 0
    )  # channel 3, which the notebook names, shows some


def test_the_numbers_of_the_residual_networks() -> None:
    survey = lab.survey("resnet20")
    means, cells = survey.density.values.mean(0), survey["shape"].values.prod(1)
    assert (
        survey.sizes["step"]
        == lab.survey("resnet56").sizes["step"]
        == lab.survey("squeezenet").sizes["step"]
        == 100
    )
    assert round(100 * means[1:].mean()) == 49
    assert round(100 * (means * cells)[1:].sum() / cells[1:].sum()) == 54
    inside, behind = 100 * means[2::2], 100 * means[1::2]
    assert (round(inside.min()), round(inside.max())) == (19, 50)
    assert (round(behind.min()), round(behind.max())) == (40, 84)
    spread = 100 * lab.survey("resnet56").density.values.std(0, ddof=1)[1:]
    assert round(spread.max()) == 7
    assert spread.argmax() == len(spread) - 1
    assert spread[:-1].max() < 4


def test_the_numbers_of_squeezenet() -> None:
    survey = lab.survey("squeezenet")
    kernel_3 = survey.kernel.values[:, 0] == 3
    means = 100 * survey.density.values.mean(0)[kernel_3]
    assert (round(means.min()), round(means.max())) == (67, 93)
    ratio = survey["bytes"].sel(format="cpo").values[:, kernel_3] / (
        4 * survey["shape"].values[kernel_3].prod(1)
    )
    assert (ratio.mean(0) > 1).all()  # on average; single images may come below
    assert ratio.min() < 1
    assert (survey["shape"].values[kernel_3][:, 0] <= 64).all()  # narrow


def test_a_full_map_compresses_six_times_against_im2col() -> None:
    assert encode(
        np.ones((1, 64, 56, 56), np.float32), 3, padding=1
    ).compression_ratio() == pytest.approx(6, abs=0.01)


def test_answers_of_the_exercises() -> None:
    # 2: 16·(column·sets + set) + mask with 224 columns fits in 16 bits up to 72 rows
    def largest(rows: int) -> int:
        return 16 * (224 * -(-rows // 4) - 1) + 15

    assert largest(72) < 2**16 <= largest(73)
    for rows, kind in ((72, np.uint16), (73, np.uint32)):
        x = np.zeros((1, 1, rows, 224), np.float32)
        x[..., -1, -1] = 1
        encoding: Any = encode(x, 1, method="cps", pointers="per-channel")
        assert encoding.words.dtype == kind
    # 4: three rows of CPO
    x = np.array([[0, 0, 1, 2, 3, 0], [4, 0, 0, 5, 6, 0], [7, 8, 0, 0, 0, 0]], np.float32)
    cpo: Any = encode(x, 2)
    assert cpo.values.tolist() == [4, 7, 8, 1, 2, 5, 3, 6]
    assert cpo.indices.tolist() == [2, 4, 5, 1, 1, 3, 1, 3]
    # 5: (1 − (1 − d)⁴) / 4d words a value are less than one half above a density of 0.456
    for density, less in ((0.45, False), (0.46, True)):
        assert ((1 - (1 - density) ** 4) / (4 * density) < 0.5) == less
