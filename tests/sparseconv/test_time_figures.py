"""Pictures of time and speedup over density, the points where curves meet, and the lab of times."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray
from explorers import check_controls, check_size, reveal

from explore.core.resources import shipped
from explore.errors import InvalidInput
from explore.sparseconv import lab
from explore.sparseconv.bench.timing import measure_layer
from explore.sparseconv.figures.speedup_by_density import SpeedupByDensity, speedup_by_density
from explore.sparseconv.figures.time_by_density import (
    TimeByDensity,
    break_even,
    describe_winner,
    time_by_density,
)

ABOUT = {"machine": "an abacus", "threads": 2}


def rows(sparse: list[float], dense: list[float]) -> list[dict[str, Any]]:
    """Return times of one layer at the densities 0.2, 0.4, …"""
    return [
        {
            "layer": "one",
            "density": 0.2 * (k + 1),
            "seconds": {
                "torch": b + 1,
                "torch, channels last": b,
                "bitmap": a,
                "cpo": 2 * a,
                "cps": 9.0,
                "im2col": b,
            },
        }
        for k, (a, b) in enumerate(zip(sparse, dense, strict=True))
    ]


def test_methods_are_compared_with_the_faster_dense_layout() -> None:
    data = time_by_density(rows([1, 2, 4, 6], [3, 3, 3, 3]), ABOUT)
    assert data["seconds"].sel(method_name="dense").values.tolist() == [3, 3, 3, 3]
    assert float(data["break_even"].sel(method_name="bitmap")) == pytest.approx(0.5), (
        "between 2 at .4 and 4 at .6"
    )
    assert float(data["break_even"].sel(method_name="cpo")) == pytest.approx(0.3)
    assert float(data["break_even"].sel(method_name="cps")) == 0
    picture = TimeByDensity(data)
    text = picture.describe(data)
    assert "bitmap is faster than dense below 50%" in text
    assert "CPS is never faster than dense here" in text
    assert "an abacus, 2 threads" in text
    assert picture.table(data).shape == (4, 6)


@pytest.mark.parametrize(
    ("densities", "sparse", "dense", "expected"),
    [
        ([0.1, 0.5, 1.0], [1, 2, 3], [4, 4, 4], 1.0),
        ([0.1, 0.5], [1, 2], [4, 4], np.nan),
        ([0.1, 0.5], [5, 2], [4, 4], 0.0),
        ([0.1, 0.5, 1.0], [1, 5, 1], [4, 4, 4], 0.4),
        ([0.5], [1], [4], np.nan),
    ],
)
def test_curves_meet_where_the_first_slower_one_begins(densities, sparse, dense, expected) -> None:
    assert break_even(np.array(densities), sparse, dense) == pytest.approx(expected, nan_ok=True)


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(InvalidInput, match="times of layer 'two'; there are those of one"):
        time_by_density(rows([1], [2]), ABOUT, "two")
    with pytest.raises(InvalidInput, match="none"):
        time_by_density([], ABOUT)
    with pytest.raises(InvalidInput, match="no layer 'two'"):
        measure_layer("two", 1)


# ---- the picture of a benchmark


def test_ratios_use_the_faster_layout_and_means_are_geometric() -> None:
    two = [{**row, "layer": "8² 1→1 1×7"} for row in rows([1, 1], [2, 4])]
    data = speedup_by_density(
        [{**row, "layer": "8² 1→1 3×3"} for row in rows([1, 4], [3, 2])] + two, ABOUT
    )
    assert data["ratio"].values.tolist() == [[3, 0.5], [2, 4]]
    assert data["kind"].values.tolist() == ["3×3, stride 1", "other kernels and strides"]
    third = speedup_by_density(
        [
            {**row, "layer": name}
            for name in ("a 3×3", "b 3×3")
            for row in rows([1], [2 if name == "a 3×3" else 8])
        ],
        ABOUT,
    )
    text = SpeedupByDensity(third).describe(third)
    assert "3×3, stride 1: 4.00 at 20%" in text, "of 2 and 8"
    assert "At 20%: 2.0 to 8.0, faster in 2 of 2." in text
    picture = SpeedupByDensity(data)
    assert "faster in 1 of 2" in picture.describe(data)
    assert picture.table(data).shape == (2, 3)
    with pytest.raises(InvalidInput, match="no times of 'mec'"):
        speedup_by_density(rows([1], [2]), ABOUT, "mec")


def test_the_lab_shows_the_shipped_times() -> None:
    explorer = reveal(lab.times().explorer)
    content = json.loads(shipped("data/sparse-times.json").read_text(encoding="utf-8"))
    assert f"times that ship, measured on {content['about']['machine']}" in explorer.alt
    check_controls(explorer)
    check_size(explorer)
    row = next(r for r in content["rows"] if r["layer"] == explorer.layer and r["density"] == 0.1)
    assert (
        float(explorer.data["seconds"].sel(method_name="bitmap", density=0.1))
        == row["seconds"]["bitmap"]
    )


def own_times(noise: float) -> xarray.Dataset:
    """Return times with a spread over rounds; the dense time varies by a factor of ``noise``."""
    own = rows([0.0715, 0.286, 0.858, 1.43], [1, 1, 1, 1])
    for row in own:
        row["seconds"]["cpo"] = 4.7 * 5 * row["density"] / 4
        low, high = noise**-0.5, noise**0.5
        row["range"] = {name: [t * low, t * high] for name, t in row["seconds"].items()}
    return time_by_density(own, ABOUT, "one", "measured here, just now,")


def test_the_winner_is_predicted_before_the_times_are_shown() -> None:
    explorer = lab.times().explorer
    assert "milliseconds" not in explorer.alt
    explorer.prediction = "at 50% and at 5%"
    assert "Dense: 1.05 milliseconds" in explorer.alt
    assert explorer.view.note.endswith("The picture shows: CPO at 5%, CPS at 5%.")
    explorer.times = "measured here"
    assert explorer.view.note.endswith("The picture shows: not measured here yet.")
    slow = time_by_density(rows([1, 2], [0.1, 0.2]), ABOUT)
    assert describe_winner(slow) == "CPO at neither of both, CPS at neither of both"
    fast = time_by_density(rows([0.1, 0.1], [3, 3]), ABOUT)
    assert describe_winner(fast) == "CPO at 50% and 5%, CPS at neither of both"


def measured(live: Any) -> np.ndarray:
    live.job.start(inline=True)
    assert live.job.error is None
    return live.explorer.data["seconds"].values


def test_the_lab_measures_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explore.core.benchmark.PAUSE", 0)
    monkeypatch.setattr("explore.sparseconv.bench.timing.LAB_ROUNDS", 2)
    monkeypatch.setattr(lab, "MEASURE_SECONDS", 0.05)
    live = lab.times()
    explorer = reveal(live.explorer)
    explorer.layer = "7² 512→512 3×3"
    before = explorer.data["seconds"].values.copy()
    explorer.times = "measured here"
    assert "not measured here yet" in explorer.alt
    after = measured(live)
    assert "14 of 14 measurements" in live.job.text
    assert after.shape == before.shape
    assert not np.array_equal(after, before)
    assert "measured here, just now, on " in explorer.alt
    ranges = explorer.data["range"].values
    assert (ranges[..., 0] <= after).all()
    assert (after <= ranges[..., 1]).all()
    assert (ranges[..., 0] < ranges[..., 1]).any()
    explorer.layer = "14² 256→256 3×3"
    assert "not measured here yet" in explorer.alt
    explorer.layer = "7² 512→512 3×3"
    assert np.array_equal(explorer.data["seconds"].values, after), "the lab keeps its measurements"
    explorer.times = "shipped"
    assert np.array_equal(explorer.data["seconds"].values, before)
    assert "times that ship" in explorer.alt


def test_a_measurement_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explore.core.benchmark.PAUSE", 0)
    rows, _ = measure_layer("7² 512→512 3×3", 0.05, stop=lambda: True)
    assert rows == []
    done: list[int] = []
    rows, _ = measure_layer(
        "7² 512→512 3×3", 0.05, lambda n, _, text: done.append(n), lambda: len(done) > 2
    )
    assert done == [0, 1, 2]
    assert [row["density"] for row in rows] == [1.0, 0.8]


def test_a_busy_machine_is_said_in_words() -> None:
    calm, busy = own_times(1.21), own_times(2.0)
    picture = TimeByDensity(calm)
    assert float(busy["busy"]) == pytest.approx(2.0)
    for data, says in ((calm, False), (busy, True)):
        picture.update(data)
        text = picture.describe(data)
        assert (
            "Do not trust these times: the dense time varies by a factor of 2.0" in text
        ) == says
        assert ("faster than dense below" in text) != says, "what follows from wrong times is wrong"
        assert picture._break_even.get_visible() != says
    assert "measured here, just now, on an abacus" in text


def test_the_spread_over_the_rounds_is_drawn() -> None:
    data = own_times(1.21)
    picture = TimeByDensity(data)
    bars = picture._ranges["bitmap"].get_segments()
    assert [bar[:, 0].tolist() for bar in bars] == [
        pytest.approx([d, d]) for d in (0.2, 0.4, 0.6, 0.8)
    ]
    assert [bar[:, 1].tolist() for bar in bars] == [
        pytest.approx([t / 1.1, t * 1.1]) for t in (0.0715, 0.286, 0.858, 1.43)
    ]
    table = picture.table(data)
    assert table["bitmap (this package), slowest round, ms"].tolist() == pytest.approx(
        [1e3 * 1.1 * t for t in (0.0715, 0.286, 0.858, 1.43)]
    )
    above = picture._above["cpo"].get_xdata().tolist()
    assert above == pytest.approx([0.8]), "4.7 times the dense time is above the chart"
