"""Every picture of the registry: an update equals a new picture pixel for pixel, and every format can be written."""

from __future__ import annotations

import io
import itertools
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray
from PIL import Image

from explore.core.recording import open_recording
from explore.core.registry import figures, resolve
from explore.core.resources import shipped
from explore.errors import InvalidInput, UnknownName
from explore.mixtures import load_mixture
from explore.plotting.export import palette_png, save, save_figure, select_evenly, write_html
from explore.plotting.picture import Picture


def accuracies(values: Any) -> xarray.Dataset:
    return xarray.Dataset(
        {"accuracy": (("set", "network"), np.asarray(values, np.float32))},
        {"set": ("set", np.array([f"set {row}" for row in range(len(values))], object))},
        attrs={"data": "digits", "images": 400},
    )


def evolved(**state: Any) -> xarray.Dataset:
    select = resolve(figures()["evolution"].select)
    return select(
        [open_recording(shipped(f"data/digits-{name}.zarr.zip")) for name in ("datadam", "dm")],
        **state,
    )


def surveyed(**state: Any) -> xarray.Dataset:
    return resolve(figures()["untrained"].select)(
        open_recording(shipped("data/digits-untrained.zarr.zip")), **state
    )


def reduced(mixture: str, **state: Any) -> xarray.Dataset:
    recordings = [
        open_recording(shipped(f"data/{mixture}-{name}.zarr.zip")) for name in ("runnalls", "oggmr")
    ]
    return resolve(figures()["reduction"].select)(recordings, **state)


def decided(*pairs: tuple[int, int] | None) -> xarray.Dataset:
    from explore.mixtures.figures.decision import decision
    from explore.mixtures.pair_costs import merged_pair

    mixture = load_mixture("standard-1d")
    after = [None if pair is None else merged_pair(mixture, *pair) for pair in pairs]
    numbers = [
        None if pair is None else {"angle": 0.1 * pair[0], "ise": 0.2, "kl": 0.3, "peaks": pair[1]}
        for pair in pairs
    ]
    return decision(
        mixture,
        mixture,
        list(pairs),
        after,
        numbers,
        {"angle": 0.0, "ise": 0.0, "kl": 0.0, "peaks": 5.0},
    )


def handled(name: str, chosen: int, shift: float, width: float, weight: float) -> xarray.Dataset:
    from explore.mixtures.figures.editor import DISTANCE_LABELS, editor_data

    mixture = load_mixture(name)
    n, d = mixture.means.shape
    shifts, widths, weights = np.zeros((n, d)), np.ones(n), np.ones(n)
    shifts[chosen], widths[chosen], weights[chosen] = shift, width, weight
    distances = dict.fromkeys(DISTANCE_LABELS, shift + width)
    return editor_data(mixture, shifts, widths, weights, chosen, distances)


def blinded(chosen: float) -> xarray.Dataset:
    from explore.mixtures.figures.dropped_component import dropped_component

    angle, kl, reverse = np.array([4.0, 0.1, 0.004]), np.array([1.0, 400.0, 4e4]), np.full(3, 0.36)
    return dropped_component(
        np.array([1.0, 10.0, 100.0]), angle, kl, reverse, 0.3, 0.3, 3.0, chosen
    )


def detoured(share: float) -> xarray.Dataset:
    from explore.mixtures.figures.triangle_inequality import DISTANCE_LABELS, triangle_inequality

    legs = (dict.fromkeys(DISTANCE_LABELS, length) for length in (share, 1 - share, 1.1))
    return triangle_inequality(*legs, share)


def softened(**state: Any) -> xarray.Dataset:
    return resolve(figures()["softened"].select)(
        open_recording(shipped("data/students-skd.zarr.zip")), **state
    )


def labelled(**state: Any) -> xarray.Dataset:
    return resolve(figures()["label_bits"].select)(
        open_recording(shipped("data/students-skd.zarr.zip")), **state
    )


def trained(*lessons: str, **state: Any) -> xarray.Dataset:
    recordings = [open_recording(shipped(f"data/students-{lesson}.zarr.zip")) for lesson in lessons]
    return resolve(figures()["logits"].select)(recordings, **state)


def studied(**state: Any) -> xarray.Dataset:
    return resolve(figures()["students"].select)(
        open_recording(shipped("data/digits-students.zarr.zip")), **state
    )


def patterned(network: str, **state: Any) -> xarray.Dataset:
    return resolve(figures()["nze"].select)(
        open_recording(shipped(f"data/density-{network}.zarr.zip")).load(), **state
    )


def dense(network: str, **state: Any) -> xarray.Dataset:
    return resolve(figures()["density"].select)(
        open_recording(shipped(f"data/density-{network}.zarr.zip")).load(), **state
    )


def written(stride: int, value: str = "") -> xarray.Dataset:
    from explore.sparseconv.figures.format_cells import format_cells

    x = np.array([[1, 0, 0, 4, 0], [0, 2, 0, 5, 0], [3, 0, 0, 6, 7], [0, 0, 0, 0, 8]], np.float32)
    return format_cells(x, 3, stride, value)


def beside(**state: Any) -> xarray.Dataset:
    from explore.sparseconv.lab import neighbour_values

    explorer = neighbour_values()
    explorer.set(**state)
    assert explorer.data is not None
    return explorer.data


def timed(layer: str) -> xarray.Dataset:
    from explore.sparseconv.lab import times

    explorer = times()
    explorer.layer = layer  # type: ignore[attr-defined]
    assert explorer.data is not None
    return explorer.data


def compared(factor: float) -> xarray.Dataset:
    from explore.sparseconv.figures.speedup_by_density import speedup_by_density

    layers = {"56² 64→64 3×3": 1.0, "28² 64→64 3×3": 1.2, "8² 3→4 1×7": 0.8, "9² 3→4 3×3 /2": 0.5}
    rows = [
        {
            "layer": layer,
            "density": d,
            "seconds": {"torch": 2.0, "torch, channels last": 1.0, "bitmap": d / speed / factor},
        }
        for layer, speed in layers.items()
        for d in (0.1, 0.3, 0.5)
    ]
    return speedup_by_density(rows, {"machine": "an abacus", "threads": int(2 * factor)})


CASES: dict[str, tuple[str, Callable[[], list[xarray.Dataset]]]] = {
    "evolution": (
        figures()["evolution"].picture,
        lambda: [
            evolved(step=0),
            evolved(step=50, label="7"),
            evolved(step=3, label="2", by="distance"),
        ],
    ),
    "untrained": (
        figures()["untrained"].picture,
        lambda: [
            surveyed(),
            surveyed(network=3, power=8.0, label="9"),
            surveyed(network=1, power=2.0),
        ],
    ),
    "reduction": (
        figures()["reduction"].picture,
        lambda: [
            reduced("standard-1d", step=0),
            reduced("standard-1d", step=5),
            reduced("standard-1d"),
        ],
    ),
    "reduction of digits": (
        figures()["reduction"].picture,
        lambda: [reduced("mixture-of-digits", step=step, measure="kl") for step in (20, 55, 59)],
    ),
    "decision": (
        "explore.mixtures.figures.decision:Decision",
        lambda: [
            decided(None, None, None),
            decided((0, 3), (2, 4), (0, 1)),
            decided((1, 9), (2, 4), (0, 1)),
        ],
    ),
    "bent": (
        "explore.mixtures.figures.editor:MixtureEditor",
        lambda: [
            handled("standard-1d", *s) for s in ((0, 0, 1, 1), (3, 0.5, 2, 1), (5, -0.2, 1, 0))
        ],
    ),
    "bent in 2-D": (
        "explore.mixtures.figures.editor:MixtureEditor",
        lambda: [handled("bivariate", *s) for s in ((0, 0, 1, 1), (1, 0.5, 2, 1), (2, -0.2, 1, 3))],
    ),
    "blindness": (
        "explore.mixtures.figures.dropped_component:DroppedComponent",
        lambda: [blinded(1.0), blinded(10.0), blinded(100.0)],
    ),
    "detours": (
        "explore.mixtures.figures.triangle_inequality:TriangleInequality",
        lambda: [detoured(0.5), detoured(0.2), detoured(0.9)],
    ),
    "softened": (
        figures()["softened"].picture,
        lambda: [
            softened(),
            softened(temperature=8.0, image=7),
            softened(temperature=0.25, image=1, who="student"),
        ],
    ),
    "label_bits": (
        figures()["label_bits"].picture,
        lambda: [labelled(), labelled(temperature=0.25), labelled(temperature=64.0)],
    ),
    "times": (
        "explore.sparseconv.figures.time_by_density:TimeByDensity",
        lambda: [timed("7² 512→512 3×3"), timed("56² 64→64 3×3"), timed("28² 128→256 3×3 /2")],
    ),
    "speeds": (
        "explore.sparseconv.figures.speedup_by_density:SpeedupByDensity",
        lambda: [compared(1.0), compared(3.0), compared(0.7)],
    ),
    "logits": (
        figures()["logits"].picture,
        lambda: [
            trained("skd", "scratch", step=step, subclass=s)
            for step, s in ((0, "all"), (100, "3"), (6, "all"), (610, "9"))
        ],
    ),
    "logits of students without a teacher": (
        figures()["logits"].picture,
        lambda: [trained("scratch", step=0), trained("scratch", step=20), trained("scratch")],
    ),
    "students": (
        figures()["students"].picture,
        lambda: [
            studied(),
            studied(width=2),
            studied(width=64, labels=800, teacher_images=-1),
            studied(temperature=16.0),
        ],
    ),
    "scores": (
        "explore.subclass.figures.study:Scores",
        lambda: [studied(), studied(width=2), studied(labels=200)],
    ),
    "nze": (
        figures()["nze"].picture,
        lambda: [
            patterned("scenes-residual", step=step, layer=layer, channel=channel, unit=unit)
            for step, layer, channel, unit in (
                (0, 2, 1, "bytes"),
                (3, 6, 5, "bytes"),
                (1, 20, 64, "bytes"),
            )
        ],
    ),
    "density": (
        figures()["density"].picture,
        lambda: [
            dense("squeezenet", step=2),
            dense("squeezenet", step=70, layer=25),
            dense("squeezenet", layer=2),
        ],
    ),
    "formats": (
        "explore.sparseconv.figures.format_diagram:FormatDiagram",
        lambda: [written(1), written(1, "2, 4"), written(1, "4, 5"), written(1, "3, 1")],
    ),
    "neighbours": (
        "explore.sparseconv.figures.shuffling_cost:ShufflingCost",
        lambda: [beside(), beside(kept=0.7, channel=3), beside(layer=6, kept=0.05, channel=64)],
    ),
    "accuracies": (
        "explore.distill.figures.untrained:Accuracies",
        lambda: [
            accuracies([[0.5, 0.7], [np.nan, np.nan]]),
            accuracies([[0.1, 0.2], [0.9, np.nan]]),
            accuracies([[1, 1], [0, 0]]),
        ],
    ),
}


def test_every_figure_of_the_registry_has_a_case() -> None:
    assert set(figures()) <= set(CASES)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[type[Picture], list[xarray.Dataset]]:
    kind, data = CASES[request.param]
    return resolve(kind), data()


def test_an_update_equals_a_new_picture_pixel_for_pixel(
    case: tuple[type[Picture], list[xarray.Dataset]],
) -> None:
    kind, states = case
    picture = kind(states[0])
    picture.png()
    for data in [*states[1:], states[0]]:
        assert picture.fits(data)
        picture.update(data)
        assert picture.png() == kind(data).png()


def test_different_states_look_different_and_are_described_differently(
    case: tuple[type[Picture], list[xarray.Dataset]],
) -> None:
    kind, states = case
    pictures = [kind(data) for data in states]
    assert len({picture.png() for picture in pictures}) == len(states)
    texts = [picture.describe(data) for picture, data in zip(pictures, states, strict=True)]
    assert len(set(texts)) == len(states)
    assert all(20 < len(text) < 600 and "nan" not in text for text in texts)


def test_png_before_and_after_a_file_are_equal(
    case: tuple[type[Picture], list[xarray.Dataset]], tmp_path: Path
) -> None:
    kind, states = case
    picture = kind(states[0])
    before = picture.png()
    save(picture, states[0], tmp_path / "a.pdf")
    assert picture.png() == before


def test_every_format_is_written_and_twice_the_same(
    case: tuple[type[Picture], list[xarray.Dataset]], tmp_path: Path
) -> None:
    kind, states = case
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "csv": b""}
    for suffix, start in starts.items():
        contents = {
            save(kind(states[1]), states[1], tmp_path / f"{n}.{suffix}").read_bytes()
            for n in range(2)
        }
        assert len(contents) == 1
        assert contents.pop().startswith(start)


def test_numbers_in_the_table_are_the_plotted_ones() -> None:
    data = evolved(step=20)
    table = resolve(figures()["evolution"].picture)(data).table(data)
    first = table[table.method == "DataDAM"]
    recording = open_recording(shipped("data/digits-datadam.zarr.zip"))
    assert first.step.tolist() == recording.step.values.tolist()
    assert np.allclose(
        first["mean attention distance"], recording.attention_distance.mean(("label", "block"))
    )
    assert (table.shown.sum(), data["now"].values.tolist()) == (2, [data["now"].values[0]] * 2)


def test_targets_lie_on_the_picture_and_say_what_they_do(
    case: tuple[type[Picture], list[xarray.Dataset]],
) -> None:
    kind, states = case
    for target in kind(states[0]).targets(states[0]):
        assert -0.001 <= target.left < target.right <= 1.001
        assert -0.001 <= target.top < target.bottom <= 1.001
        assert target.label
        assert target.state


def test_a_target_is_where_its_tile_is_drawn() -> None:
    """The box of class 3 holds exactly the pixels that change when only image 3 changes."""
    data = evolved(step=50, label="0")
    picture = resolve(figures()["evolution"].picture)(data)
    changed = data.copy(deep=True)
    changed["image"][0, 3] = 255 - changed["image"][0, 3]
    one, two = (np.asarray(pixels(p)) for p in (data, changed))
    rows, columns = np.nonzero((one != two).any(2))
    target = next(t for t in picture.targets(data) if t.label == "class 3")
    height, width = one.shape[:2]
    assert abs(columns.min() / width - target.left) < 0.005
    assert abs((columns.max() + 1) / width - target.right) < 0.005
    assert abs(rows.min() / height - target.top) < 0.01
    assert abs((rows.max() + 1) / height - target.bottom) < 0.01


def pixels(data: xarray.Dataset) -> Any:
    return Image.open(io.BytesIO(resolve(figures()["evolution"].picture)(data).png()))


def test_colour_limits_do_not_move_with_the_step() -> None:
    picture = resolve(figures()["evolution"].picture)(evolved(step=0))
    limits = [artist.get_clim() for row in picture._images for name, artist in row.items()]
    picture.update(evolved(step=200))
    assert [artist.get_clim() for row in picture._images for name, artist in row.items()] == limits


def test_all_text_is_at_least_nine_points(case: tuple[type[Picture], list[xarray.Dataset]]) -> None:
    from matplotlib.text import Text

    kind, states = case
    assert (
        min(text.get_fontsize() for text in kind(states[0]).figure.findobj(Text) if text.get_text())
        >= 9
    )


def test_the_readers_own_settings_are_not_touched(
    case: tuple[type[Picture], list[xarray.Dataset]],
) -> None:
    kind, states = case
    before = dict(mpl.rcParams)
    kind(states[0]).png()
    assert dict(mpl.rcParams) == before


def test_palette_png_keeps_size_and_is_small(
    case: tuple[type[Picture], list[xarray.Dataset]],
) -> None:
    kind, states = case
    picture = kind(states[0])
    small, whole = palette_png(picture), picture.png()
    assert len(small) < min(120_000, len(whole))
    one, two = (
        np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int) for png in (small, whole)
    )
    off = abs(one - two)
    assert np.quantile(off, 0.999) <= 16
    assert off.max() <= 48


def test_equal_distance_takes_the_first_frame_that_is_as_close() -> None:
    data = evolved(step=50, by="distance")
    curve = data["curve"].values[1]
    at = int(np.flatnonzero(data["curve_step"].values[1] == data["now"].values[1])[0])
    assert curve[at] <= data["distance"].values[0]
    assert (curve[:at] > data["distance"].values[0]).all()


def test_a_step_between_frames_shows_the_frame_before() -> None:
    steps = open_recording(shipped("data/digits-datadam.zarr.zip")).step.values
    gap = next(int(a) for a, b in itertools.pairwise(steps) if b - a > 1)
    assert evolved(step=gap + 1)["now"].values.tolist() == [gap, gap]


@pytest.mark.parametrize(
    ("select", "state", "match"),
    [
        (evolved, {"label": "nobody"}, "label must be one of 0, 1"),
        (evolved, {"by": "time"}, "by must be"),
        (surveyed, {"power": 5.0}, "recorded are"),
    ],
)
def test_a_state_that_was_not_recorded_is_refused(
    select: Any, state: dict[str, Any], match: str
) -> None:
    with pytest.raises(InvalidInput, match=match):
        select(**state)


def test_recordings_of_another_kind_or_other_data_are_refused() -> None:
    survey, run = (
        open_recording(shipped(f"data/digits-{name}.zarr.zip")) for name in ("untrained", "dm")
    )
    with pytest.raises(InvalidInput, match="attention-matching run"):
        resolve(figures()["evolution"].select)(survey)
    with pytest.raises(InvalidInput, match="untrained"):
        resolve(figures()["untrained"].select)(run)
    fashion = open_recording(shipped("data/fashion-dm.zarr.zip"))
    with pytest.raises(InvalidInput, match="same data"):
        resolve(figures()["evolution"].select)([run, fashion])


def test_unknown_formats_and_states_are_named(tmp_path: Path) -> None:
    data = surveyed()
    with pytest.raises(UnknownName, match="known: csv, html, pdf, png, svg"):
        save(resolve(figures()["untrained"].picture)(data), data, tmp_path / "a.jpg")
    with pytest.raises(InvalidInput, match="has no state 'foo'; it has step, label, by"):
        save_figure(
            "evolution",
            [open_recording(shipped("data/digits-dm.zarr.zip"))],
            {"foo": 1},
            tmp_path / "a.png",
        )


@pytest.mark.parametrize(
    ("name", "file", "label", "positions"),
    [
        ("softened", "students-skd", "temperature", 17),
        ("label_bits", "students-skd", "temperature", 17),
    ]
    + [("students", "digits-students", "width", 6)],
)
def test_a_page_goes_over_what_the_slider_moves(
    name: str, file: str, label: str, positions: int, tmp_path: Path
) -> None:
    page = save_figure(
        name, [open_recording(shipped(f"data/{file}.zarr.zip"))], {}, tmp_path / "page.html"
    ).read_text()
    assert f'max="{positions - 1}"' in page
    assert label in page


def test_the_offline_page_holds_every_frame_and_loads_nothing(tmp_path: Path) -> None:
    recording = open_recording(shipped("data/digits-dm.zarr.zip"))
    page = save_figure("evolution", [recording], {"label": "4"}, tmp_path / "page.html").read_text()
    assert page.count("Class 4 of digits. DM at step") == recording.sizes["step"]
    assert not re.search(r"(src|href)=.(https?:)?//|import |fetch\(", page)
    assert len(page) < 5_000_000


def test_a_page_of_too_many_positions_is_refused(tmp_path: Path) -> None:
    data = surveyed()
    with pytest.raises(InvalidInput, match="1 to 60 positions, got 61"):
        write_html(
            tmp_path / "page.html",
            resolve(figures()["untrained"].picture)(data),
            "x",
            range(61),
            lambda _: data,
        )


def test_a_page_survives_markup_in_names(tmp_path: Path) -> None:
    data = accuracies([[0.5, 0.6]]).assign_coords(set=["</script><b>"])
    page = write_html(
        tmp_path / "page.html",
        resolve("explore.distill.figures.untrained:Accuracies")(data),
        "<s>",
        [1],
        lambda _: data,
    ).read_text()
    assert page.count("</script>") == 1
    assert "<s>" not in page


def test_thinning_keeps_both_ends() -> None:
    assert select_evenly(list(range(1000)), 60)[::59] == [0, 999]
    assert select_evenly([1, 2], 60) == [1, 2]


def test_figures_are_drawn_without_torch() -> None:
    code = (
        "import sys; from explore import open_recording; from explore.core.resources import shipped;"
        "from explore.distill.figures.evolution import Evolution, evolution;"
        "d = evolution(open_recording(shipped('data/digits-dm.zarr.zip'))); Evolution(d).png(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_moves_is_in_files_too(case: tuple[type[Picture], list[xarray.Dataset]]) -> None:
    """Without its moving artists a file is another file, each of them counted: matplotlib leaves animated ones out."""
    kind, states = case
    picture = kind(states[1])

    def written() -> bytes:
        buffer = io.BytesIO()
        picture.write(buffer, "png", 60)
        return buffer.getvalue()

    whole = written()
    for _, artist in picture._moving:
        if getattr(artist, "get_text", lambda: "x")() == "":
            continue
        artist.set_visible(False)
        assert written() != whole, artist
        artist.set_visible(True)
    assert all(artist.get_animated() for _, artist in picture._moving)


def test_the_readers_settings_survive_two_threads_that_draw() -> None:
    data = surveyed()
    kind = resolve(figures()["untrained"].picture)
    before = dict(mpl.rcParams)

    def draw() -> None:
        for _ in range(8):
            kind(data).png()

    threads = [threading.Thread(target=draw) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert dict(mpl.rcParams) == before


def test_recordings_of_unlike_data_are_not_compared() -> None:
    one, two = (
        open_recording(shipped(f"data/digits-{name}.zarr.zip")) for name in ("datadam", "dm")
    )
    other = two.assign_attrs(
        config={**two.attrs["config"], "data": {**two.attrs["config"]["data"], "sha256": "0"}}
    )
    with pytest.raises(InvalidInput, match="same data"):
        resolve(figures()["evolution"].select)([one, other])


def test_only_blocks_that_both_recordings_hold_are_shown() -> None:
    one, two = (
        open_recording(shipped(f"data/digits-{name}.zarr.zip")).load() for name in ("datadam", "dm")
    )
    shallow = two.drop_vars(["attention_2", "real_attention_2"])
    for pair in ([one, shallow], [shallow, one]):
        data = resolve(figures()["evolution"].select)(pair)
        assert "attention_2" not in data
        resolve(figures()["evolution"].picture)(data).png()
