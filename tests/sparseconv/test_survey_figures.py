"""The pictures of density surveys: they draw the recorded numbers, and every text fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from picture_checks import check_texts
from torch import nn

from explore import record
from explore.errors import InvalidInput, UnknownName
from explore.sparseconv import DensityConfig, DensityRun, lab
from explore.sparseconv.figures.layer_charts import layer_groups
from explore.sparseconv.figures.layer_density import LayerDensity, density
from explore.sparseconv.figures.nonzero_maps import NonzeroMaps, nze
from explore.sparseconv.figures.survey_data import layer_maps
from explore.sparseconv.formats.recorded_maps import FORMAT_NAMES


@pytest.mark.parametrize(
    ("state", "kind", "match"),
    [
        ({"layer": 21}, InvalidInput, "layer must be 0 to 20"),
        ({"layer": -1}, InvalidInput, "layer must be 0 to 20"),
        ({"layer": "3"}, InvalidInput, "got '3'"),
        ({"layer": 2.5}, InvalidInput, "got 2.5"),
        ({"step": -1}, InvalidInput, "step must be a whole number of at least 0"),
        ({"step": "one"}, InvalidInput, "step must be"),
        ({"unit": "bits"}, UnknownName, "known: bytes, elements"),
    ],
)
def test_an_invalid_state_is_refused(
    state: dict[str, Any], kind: type[Exception], match: str
) -> None:
    for select in (nze, density):
        with pytest.raises(kind, match=match):
            select(lab.survey("scenes-residual"), **state)


def test_recordings_of_another_kind_are_refused() -> None:
    with pytest.raises(InvalidInput, match="density survey with maps"):
        nze(lab.survey("resnet20"))
    with pytest.raises(
        InvalidInput,
        match="no maps of convolution 8 are recorded; there are those of 1, 2, 3, 4, 5, 6, 7, 9, ",
    ):
        nze(lab.survey("scenes-residual"), layer=8)
    for select in (nze, density):
        with pytest.raises(InvalidInput, match="shows one recording, got 2"):
            select([lab.survey("scenes-vgg")] * 2)
    for channel in (0, -2, 1.5, "2"):
        with pytest.raises(InvalidInput, match="channel must be 1 or more"):
            nze(lab.survey("scenes-vgg"), channel=channel)  # type: ignore[arg-type]


def test_the_sparsest_layer_is_the_default() -> None:
    for name in ("resnet56", "squeezenet", "scenes-residual"):
        survey = lab.survey(name)
        layers = np.flatnonzero(survey.kernel.values.max(1) > 1)
        means = survey.density.values.mean(0)
        assert int(density(survey)["layer_index"]) == min(layers, key=lambda k: means[k])


@pytest.fixture(scope="module")
def odd_survey(tmp_path_factory: pytest.TempPathFactory) -> Any:
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


def test_a_layer_without_sizes_does_not_affect_the_others(odd_survey: Any) -> None:
    assert odd_survey.density.values.mean(0).argmin() == 1
    data = nze(odd_survey)
    assert int(data["layer_index"]) in (0, 2)  # the sparsest of which maps are kept
    for state in ({"layer": 1}, {"layer": 3, "channel": 4}):
        picture_data = nze(odd_survey, **state)
        picture = NonzeroMaps(picture_data)
        assert "nan" not in picture.describe(picture_data)
        assert picture.table(picture_data)["stride"].tolist() == ["1×2", "1", "1"]
    grouped = density(odd_survey, layer=2)
    assert "grouped, dilated or unevenly padded" in LayerDensity(grouped).describe(grouped)
    assert "nan" not in LayerDensity(grouped).describe(grouped)


def test_the_share_of_a_channel_includes_unread_values(odd_survey: Any) -> None:
    data = nze(odd_survey, layer=1)
    maps, geometry = layer_maps(odd_survey, 0, 0)
    assert geometry.windows[-1] == 0
    assert float(data["share"]) == np.count_nonzero(maps) / maps.size == 1
    assert data["counts"].values.sum() == 9 * 19


def test_the_rest_of_the_square_is_grey_for_a_map_that_is_not_square(odd_survey: Any) -> None:
    data = nze(odd_survey, layer=3, channel=2)
    (maps, geometry), high = layer_maps(odd_survey, 0, 2), data["codes"].shape[0]
    lower = int(np.ceil(geometry.padded[0] / geometry.padded[1] * high)) + 1
    assert (data["codes"].values[lower:] == 1).all()
    assert (data["sheet"].values[-1] == 2).all()
    assert (data["codes"].values[: lower - 2] == 0).mean() == pytest.approx(
        (maps[1] == 0).mean(), abs=0.06
    )


def test_a_channel_above_the_last_selects_the_last() -> None:
    survey = lab.survey("scenes-vgg")
    for name, state in (("last", {"channel": 16}), ("beyond", {"channel": 60})):
        data = nze(survey, 0, 2, **state)
        assert int(data["channel"]) == 15, name


@pytest.mark.parametrize(("layer", "channel"), [(2, 3), (6, 64), (1, 1)])
def test_the_picture_shows_the_recorded_maps(layer: int, channel: int) -> None:
    survey = lab.survey("scenes-residual")
    data, (maps, geometry) = nze(survey, 1, layer, channel), layer_maps(survey, 1, layer - 1)
    channel_map = maps[min(channel, len(maps)) - 1]
    starts = [s * geometry.stride[1] for s in range(geometry.output[1])]
    times = [sum(start <= j + 1 < start + 3 for start in starts) for j in range(64)]
    by_hand = [
        sum(
            int((channel_map[:, j] != 0).sum())
            for j in range(channel_map.shape[1])
            if times[j] == n
        )
        for n in range(1, 6)
    ]
    if channel_map.shape[1] == 64:
        assert data["counts"].values.tolist() == by_hand
    assert float(survey.density.values[1, layer - 1]) == pytest.approx(
        np.count_nonzero(maps) / maps.size
    )
    left, top, right, bottom = data["tile"].values
    inside = data["sheet"].values[int(np.ceil(top)) : int(bottom), int(np.ceil(left)) : int(right)]
    assert (inside == 1).mean() == pytest.approx((channel_map != 0).mean(), abs=0.05)
    assert not (inside == 2).any()  # no gap
    assert (data["picture"].values == survey["picture"].isel(step=1).values).all()


@pytest.mark.parametrize("unit", ["bytes", "elements"])
@pytest.mark.parametrize("name", lab.SURVEYED_NETWORKS)
def test_sentences_about_every_layer_fit(name: str, unit: str) -> None:
    survey = lab.survey(name)
    picture = LayerDensity(density(survey, unit=unit))
    renderer = picture._canvas.get_renderer()
    for layer in range(1, survey.sizes["layer"] + 1):
        picture.update(density(survey, survey.sizes["step"] - 1, layer, unit))
        for words in (picture._heading, picture._sentences):
            box = words.get_window_extent(renderer)
            assert 0 <= box.x0 < box.x1 <= picture.figure.bbox.width, words.get_text()


def test_long_names_fit(odd_survey: Any) -> None:
    for layer in (1, 2, 3):
        data = density(odd_survey, layer=layer)
        check_texts(LayerDensity(data))
        assert (
            str(data["layer"].values[layer - 1]) in LayerDensity(data).table(data)["layer"].tolist()
        )
    check_texts(NonzeroMaps(nze(odd_survey, layer=3)))


@pytest.mark.parametrize("name", lab.SURVEYED_NETWORKS)
def test_ratios_lie_inside_their_chart(name: str) -> None:
    for unit in ("bytes", "elements"):
        data = density(lab.survey(name), unit=unit)
        picture = LayerDensity(data)
        low, high = picture._charts.ratio_axes.get_ylim()
        for lines in picture._charts._lines.values():
            for _, line in lines:
                assert (low <= line.get_ydata()).all()
                assert (line.get_ydata() <= high).all()


def by_layer(groups: Any) -> np.ndarray:
    """Return the y values of the artists of all groups, in the order of the layers."""
    places = np.concatenate([artist.get_xdata() for _, artist in groups])
    return np.concatenate([artist.get_ydata() for _, artist in groups])[np.argsort(places)]


def test_lines_connect_layers_at_the_same_place_of_a_block() -> None:
    charts = LayerDensity(density(lab.survey("resnet20")))._charts
    assert list(charts.groups) == ["conv1", "conv2", "others"]
    filled, opened, others = (line for _, line in charts._lines["cpo"])
    assert filled.get_xdata().tolist() == list(range(1, 19, 2))
    assert opened.get_xdata().tolist() == list(range(2, 19, 2))
    assert (others.get_xdata().tolist(), others.get_linestyle()) == ([0], "None")
    assert len({line.get_fillstyle() for line in (filled, opened, others)}) == 3
    rows = [text.get_text() for text in charts.ratio_axes.get_legend().get_texts()]
    assert rows == ["…conv1", "…conv2", "others"]
    squeezenet = LayerDensity(density(lab.survey("squeezenet")))._charts
    rows = [text.get_text() for text in squeezenet.ratio_axes.get_legend().get_texts()]
    assert rows[-1] == "kernel 1×1"
    assert list(LayerDensity(density(lab.survey("scenes-vgg")))._charts.groups) == ["all"]
    assert layer_groups(["1.a", "1.b", "1.c", "1.d", "1.e"]) == {"all": [0, 1, 2, 3, 4]}


def test_a_pointer_reads_the_numbers_of_a_layer() -> None:
    data = density(lab.survey("resnet20"), 42, 9)
    picture = LayerDensity(data)
    places = [
        picture.box(axes, 8, low, 8, low)[:2]
        for axes, low in ((picture._charts.density_axes, 0.5), (picture._charts.ratio_axes, 5))
    ]
    share = float(data["density"].values[8])
    assert picture.value_at(data, *places[0]) == (
        f"convolution 9 (layer2.0.conv2)\ndensity {share:.1%}"
    )
    words = picture.value_at(data, *places[1])
    sizes = dict(zip(FORMAT_NAMES, data["size"].values[8].tolist(), strict=True))
    assert f"CPO {sizes['im2col'] / sizes['cpo']:.3g}×" in words
    assert "map itself" in words
    assert picture.value_at(data, 0.5, 0.01) == ""


def test_a_network_has_the_name_of_the_menu() -> None:
    data = density(lab.survey("resnet20"))
    assert "ResNet-20 on CIFAR-10 (JPEG), image 1 of 100" in LayerDensity(data).describe(data)


@pytest.mark.parametrize("unit", ["bytes", "elements"])
def test_charts_show_the_recorded_numbers(unit: str) -> None:
    survey = lab.survey("resnet20")
    picture = LayerDensity(density(survey, 0, 5, unit))
    data = density(survey, 42, 9, unit)
    picture.update(data)
    charts, sizes = picture._charts, survey[unit].isel(step=42)
    assert by_layer(charts._densities) == pytest.approx(survey.density.values[42])
    dots = charts.density_axes.lines[0].get_ydata().reshape(100, 19)
    assert dots == pytest.approx(survey.density.values)
    for name in ("mec", "cscc", "cpo", "cps"):
        assert by_layer(charts._lines[name]) == pytest.approx(
            sizes.sel(format="im2col").values / sizes.sel(format=name).values
        )
    cells = survey["shape"].values.prod(1) * (4 if unit == "bytes" else 1)
    assert by_layer(charts._lines["map"]) == pytest.approx(
        sizes.sel(format="im2col").values / cells
    )
    assert [mark.get_x() for mark in charts._marks] == [7.5, 7.5]
    words = LayerDensity(data).describe(data)
    cpo = float(sizes.sel(format="cpo")[8])
    assert f"CPO {float(sizes.sel(format='im2col')[8]) / cpo:.3g}×" in words
    assert f"CPO {cpo / cells[8]:.2f} and CPS" in words
    assert f"leaves {float(survey['work'].values[42, 8]):.0%} of the multiply-adds" in words
    assert f"image 43 of 100: {survey.density.values[42].min():.0%} to 100%" in words


def test_the_table_shows_the_recorded_numbers() -> None:
    survey = lab.survey("squeezenet")
    data = density(survey, 7, 3, "elements")
    table = LayerDensity(data).table(data)
    assert table["density"].values == pytest.approx(survey.density.values[7])
    assert table["mean density"].values == pytest.approx(survey.density.values.mean(0))
    assert table["standard deviation"].values == pytest.approx(survey.density.values.std(0, ddof=1))
    assert table["multiply-adds left"].values == pytest.approx(survey["work"].values[7])
    for k, name in enumerate(FORMAT_NAMES):
        assert table[f"{name}, elements"].values == pytest.approx(survey.elements.values[7, :, k])
    assert table["map"].tolist()[3] == "16×54×54"
    assert "image 8 of 100" in LayerDensity(data).describe(data)
