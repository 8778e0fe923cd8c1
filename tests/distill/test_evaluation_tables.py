"""Tables of evaluations: pairs and intervals against scipy, rows by hand, refused comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from hypothesis import given, settings, strategies as st
from scipy.stats import ttest_rel

from explore import build, record
from explore.core.recording import pack
from explore.core.statistics import mean_and_std, paired_difference
from explore.core.tables import build_table
from explore.data import DistilledSet
from explore.distill import EvaluationProtocol, compare_results
from explore.distill.evaluation.config import EvaluateConfig
from explore.distill.evaluation.table import table
from explore.errors import InvalidInput

DRAW = np.random.default_rng(0)


def scores(
    accuracy: Any,
    method: str = "dm",
    seed: int = 0,
    *,
    data: Mapping[str, Any] | None = None,
    tested: Mapping[str, Any] | None = None,
    kinds: Sequence[str] = ("convnet",),
    step: int | None = 10,
    distilled_changes: Mapping[str, Any] | None = None,
    seconds: float | None = None,
    sha256: str = "",
    options: Mapping[str, Any] | None = None,
    **protocol: Any,
) -> xarray.Dataset:
    """Return an invented recording of an evaluation; ``options`` are those of the distillation."""
    values = np.atleast_2d(np.asarray(accuracy, np.float32))
    data = data or {
        "name": "digits",
        "options": {"split": "train"},
        "shape": [9, 1, 8, 8],
        "sha256": "train",
    }
    tested = tested or {
        "name": data["name"],
        "options": {"split": "test"},
        "shape": [4, 1, 8, 8],
        "sha256": f"t {data['name']}",
    }
    config = {
        "method": method,
        "images_per_class": 1,
        "seed": seed,
        "data": dict(data),
        **(options or {}),
    }
    distilled = {
        "config": config,
        "step": step,
        "shape": [10, 1, 8, 8],
        "sha256": sha256 or repr([config, step]),
    }
    distilled |= distilled_changes or {}
    protocol_options = {"networks": values.shape[1], "architectures": tuple(kinds), **protocol}
    attributes: dict[str, Any] = {
        "config": EvaluateConfig(distilled=distilled, **protocol_options).identity(tested),
        "name": "evaluate",
    }
    attributes |= {"steps": values.size, "threads": 1, "device": "a machine"}
    attributes |= {} if seconds is None else {"seconds": seconds}
    frames = np.stack([np.full_like(values, np.nan), values])
    coordinates = {
        "step": [0, int(np.isfinite(values).sum())],
        "architecture": np.array(kinds, object),
    }
    return xarray.Dataset(
        {"accuracy": (("step", "architecture", "network"), frames)}, coordinates, attributes
    )


def distillation(
    method: str = "dm", seed: int = 0, seconds: float = 5.0, steps: int = 10, **options: Any
) -> xarray.Dataset:
    """Return an invented recording of a distillation."""
    config = scores([0.5], method, seed, options=options).attrs["config"]["distilled"]["config"]
    attributes = {"name": method, "config": config, "seconds": seconds, "steps": steps}
    return xarray.Dataset({"loss": ("step", [1.0, 0.5])}, {"step": [0, steps]}, attributes)


def half_width(interval: Any) -> float:
    return float(interval.high - interval.low) / 2


# ---- statistics


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8))
def test_paired_differences_equal_those_of_scipy(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    mean, half = paired_difference(a, b)
    assert mean == pytest.approx((a - b).mean(), abs=1e-12)
    if (a - b).std() > 1e-9:  # scipy warns of none, as its t would be infinite
        assert half == pytest.approx(
            half_width(ttest_rel(a, b).confidence_interval(0.95)), rel=1e-9
        )
    swapped = paired_difference(b, a)
    assert swapped[0] == pytest.approx(-mean, abs=1e-12)
    assert swapped[1] == pytest.approx(half)


def test_pairs_of_which_one_is_missing_are_left_out() -> None:
    nan = float("nan")
    assert paired_difference([0.5, nan, 0.7, 0.9], [0.4, 0.1, nan, 0.6]) == pytest.approx(
        paired_difference([0.5, 0.9], [0.4, 0.6])
    )
    assert np.isnan(paired_difference([nan], [0.4])).all()
    assert paired_difference([0.5], [0.25])[0] == 0.25
    assert np.isnan(paired_difference([0.5], [0.25])[1])
    assert mean_and_std([0.25, nan, 0.75]) == pytest.approx((0.5, np.std([0.25, 0.75], ddof=1)))


# ---- one row a name


def test_several_sets_are_compared_by_their_means_paired_by_seed() -> None:
    a, b = DRAW.uniform(0.2, 0.9, (2, 4, 3)).astype(np.float32)
    own = [scores(a[seed], seed=seed) for seed in range(4)]
    baseline = [scores(b[seed], "random", seed=seed) for seed in (3, 1, 0, 2)]
    rows = compare_results({"random": baseline, "dm": own}).set_index("set")
    expected = ttest_rel(a.mean(1, dtype=float), b.mean(1, dtype=float))
    assert rows.loc["dm", "minus random"] == pytest.approx(
        float((a.mean(1, dtype=float) - b.mean(1, dtype=float)).mean())
    )
    assert rows.loc["dm", "±"] == pytest.approx(half_width(expected.confidence_interval(0.95)))
    assert np.isnan(rows.loc["random", "minus random"])
    assert rows.loc["dm", ["sets", "n"]].tolist() == [4, 12]
    assert rows.loc["dm", "accuracy"] == pytest.approx(a.mean(dtype=float))
    assert rows.loc["dm", "std"] == pytest.approx(a.std(ddof=1, dtype=float))


def test_one_set_only_is_compared_over_its_networks() -> None:
    a, b = DRAW.uniform(0.2, 0.9, (2, 5)).astype(np.float32)
    row = compare_results({"random": scores(b, "random"), "dm": scores(a)}).iloc[1]
    assert row["minus random"] == pytest.approx(float((a.astype(float) - b).mean()))
    assert row["±"] == pytest.approx(
        half_width(ttest_rel(a.astype(float), b.astype(float)).confidence_interval(0.95))
    )


def test_sets_without_a_partner_count_in_the_mean_but_not_in_the_difference() -> None:
    own = [scores([value, value], seed=seed) for seed, value in enumerate((0.5, 0.6, 0.9))]
    baseline = [
        scores([value, value], "random", seed=seed) for seed, value in enumerate((0.4, 0.3))
    ]
    row = compare_results({"random": baseline, "dm": own}).iloc[1]
    assert row["accuracy"] == pytest.approx(2 / 3)
    assert row["sets"] == 3
    assert row["minus random"] == pytest.approx(0.2)
    unpaired = compare_results({"random": scores([0.1, 0.2], "random", seed=7), "dm": own})
    assert unpaired["minus random"].isna().all()


def test_against_may_be_any_name() -> None:
    results = {"a": scores([0.5, 0.7]), "b": scores([0.4, 0.4]), "c": scores([0.9, 0.9])}
    rows = compare_results(results, against="b").set_index("set")
    assert rows["minus b"].tolist() == pytest.approx([0.2, np.nan, 0.5], nan_ok=True)
    with pytest.raises(InvalidInput, match="there is no 'd' to compare with; there are a, b, c"):
        compare_results(results, against="d")


def test_network_k_is_paired_with_network_k_where_there_are_fewer_of_one() -> None:
    rows = compare_results({"random": scores([0.4, 0.2, 0.9], "random"), "dm": scores([0.5, 0.7])})
    assert rows["n"].tolist() == [3, 2]
    assert rows["minus random"][1] == pytest.approx((0.1 + 0.5) / 2)
    assert rows["±"][1] == pytest.approx(paired_difference([0.5, 0.7], [0.4, 0.2])[1], rel=1e-5)


def test_architectures_are_paired_by_name() -> None:
    a = scores([[0.5, 0.7], [0.1, 0.2]], kinds=("convnet", "vgg11"))
    b = scores([[0.1, 0.1], [0.4, 0.4]], "random", kinds=("vgg11", "convnet"))
    row = compare_results({"random": b, "dm": a}).iloc[1]
    assert row["minus random"] == pytest.approx((0.1 + 0.3 + 0.0 + 0.1) / 4, abs=1e-6)
    assert row["±"] == pytest.approx(
        paired_difference([0.5, 0.7, 0.1, 0.2], [0.4, 0.4, 0.1, 0.1])[1], rel=1e-5
    )
    four = scores([0.5, 0.7, 0.1, 0.2], kinds=("alexnet",))
    assert compare_results({"random": b, "dm": four})["minus random"].isna().all()


def test_networks_that_are_not_trained_yet_are_left_out() -> None:
    nan = float("nan")
    comparison = compare_results(
        {"random": scores([0.4, 0.2, 0.9], "random"), "dm": scores([0.5, 0.7, nan])}
    )
    assert comparison["minus random"][1] == pytest.approx(0.3, abs=1e-6)
    assert comparison["n"].tolist() == [3, 2]
    baseline = [scores([0.4, 0.8], "random"), scores([0.2, 0.2], "random", seed=1)]
    sets = compare_results(
        {"random": baseline, "dm": [scores([0.5, nan]), scores([0.5, 0.5], seed=1)]}
    )
    assert sets["minus random"][1] == pytest.approx((0.1 + 0.3) / 2, abs=1e-6)


def test_an_evaluation_that_has_not_begun_is_no_number_and_no_warning() -> None:
    nan = float("nan")
    rows = compare_results({"random": scores([0.4, 0.2], "random"), "dm": scores([nan, nan])})
    assert rows["n"].tolist() == [2, 0]
    assert np.isnan(rows["accuracy"][1])
    begun = [scores([0.5, 0.7]), scores([nan, nan], seed=1), scores([0.5, 0.5], seed=2)]
    baseline = [scores([0.4, 0.2], "random", seed=seed) for seed in range(3)]
    rows = compare_results({"random": baseline, "dm": begun})
    assert rows["minus random"][1] == pytest.approx(0.25, abs=1e-6)
    assert rows["±"][1] == pytest.approx(paired_difference([0.6, 0.5], [0.3, 0.3])[1], rel=1e-5)


def test_results_and_recordings_give_the_same_rows() -> None:
    recording = scores([0.5, 0.7])
    first = compare_results({"a": recording, "b": scores([0.1, 0.2])})
    from_frames = compare_results(
        {"a": recording.isel(step=-1), "b": [scores([0.1, 0.2]).isel(step=-1)]}
    )
    assert first.equals(from_frames)


@pytest.mark.parametrize("nothing", [{}, {"a": []}])
def test_no_results_are_refused(nothing: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="there are no results"):
        compare_results(nothing)


def test_different_protocols_of_one_name_are_reported_by_number() -> None:
    with pytest.raises(
        InvalidInput,
        match=r"a \(set 0\) and a \(set 1\) were not evaluated alike: epochs 300 and 2",
    ):
        compare_results({"a": [scores([0.5]), scores([0.5], seed=1, epochs=2)]})


# ---- the protocol


def test_only_number_and_kind_of_networks_may_differ() -> None:
    usual = EvaluationProtocol()
    other: dict[str, Any] = {
        "epochs": 2,
        "learning_rate": 0.5,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "batch": 4,
        "augment": "crop",
    }
    other |= {"learned_rate": True, "soft_labels": False, "flip": False, "width": 4, "norm": "none"}
    for name, value in other.items():
        difference = usual.unlike(EvaluationProtocol(**{name: value}))
        assert difference == f"{name} {getattr(usual, name)} and {value}"
    assert usual.unlike(EvaluationProtocol(networks=2, seed=3, architectures=["vgg11"])) == ""


# ---- the table


def digits_table(**more: Any) -> Any:
    accuracies = {"random": (0.3, 0.4), "dm": (0.6, 0.7), "herding": (0.5, 0.4)}
    recordings = [
        scores([value, value + 0.1], name, seed)
        for name, values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    return table(recordings, **more)


def test_rows_are_methods_over_their_seeds_baselines_first() -> None:
    frame = digits_table()
    assert frame["method"].tolist() == ["random", "herding", "dm"]
    assert frame["data"].tolist() == ["digits"] * 3
    assert frame["images_per_class"].tolist() == [1, 1, 1]
    assert frame["accuracy"].tolist() == pytest.approx([0.4, 0.5, 0.7], abs=1e-6)
    assert frame[["sets", "n"]].values.tolist() == [[2, 4]] * 3
    assert frame["minus random"].tolist() == pytest.approx(
        [np.nan, 0.1, 0.3], nan_ok=True, abs=1e-6
    )
    assert frame["±"][2] == pytest.approx(
        paired_difference([0.65, 0.75], [0.35, 0.45])[1], abs=1e-6
    )
    assert frame["±"][1] == pytest.approx(
        paired_difference([0.55, 0.45], [0.35, 0.45])[1], rel=1e-5
    )
    assert list(frame.columns) == [
        "data", "images_per_class", "method", "accuracy", "std", "sets", "n", "minus random", "±", "distil s", "score s",
    ]  # fmt: skip


def test_another_baseline_may_be_given_and_must_exist() -> None:
    frame = digits_table(against="herding")
    assert frame["minus herding"].tolist() == pytest.approx(
        [-0.1, np.nan, 0.2], nan_ok=True, abs=1e-6
    )
    with pytest.raises(
        InvalidInput,
        match="there is no 'kcenter' to compare with for data digits, images per class 1; there is random, herding, dm",
    ):
        digits_table(against="kcenter")


def test_without_random_there_is_no_difference() -> None:
    frame = table([scores([0.5, 0.6]), scores([0.4, 0.6], "datadam")])
    assert not [c for c in frame.columns if c.startswith("minus") or c == "±"]
    assert frame["accuracy"].tolist() == pytest.approx([0.55, 0.5])


def test_options_that_set_rows_of_one_method_apart_are_shown() -> None:
    pairs = [(rate, seed) for rate in (1.0, 3.0) for seed in (0, 1)]
    frame = table(
        [
            scores([rate / 10, 0.2], seed=seed, options={"learning_rate": rate, "width": 8})
            for rate, seed in pairs
        ]
    )
    assert frame["learning_rate"].tolist() == [1.0, 3.0]
    assert frame["sets"].tolist() == [2, 2]
    assert "width" not in frame
    assert "seed" not in frame
    further = table([scores([0.5]), scores([0.7], step=20)])
    assert further["step"].tolist() == [10, 20]


def test_each_data_set_and_size_has_its_own_baseline() -> None:
    mnist = {"name": "mnist", "options": {"split": "train"}, "shape": [9, 1, 8, 8], "sha256": "m"}
    ten = {"images_per_class": 10}
    frame = table(
        [
            scores([0.3, 0.3], "random"),
            scores([0.5, 0.5]),
            scores([0.8, 0.8], "random", options=ten),
            scores([0.9, 0.9], options=ten),
        ]
        + [scores([0.2, 0.2], "random", data=mnist), scores([0.9, 0.9], data=mnist)]
    )
    differences = frame.set_index(["data", "images_per_class", "method"])["minus random"]
    assert differences["digits", 1, "dm"] == pytest.approx(0.2, abs=1e-6)
    assert differences["digits", 10, "dm"] == pytest.approx(0.1, abs=1e-6)
    assert differences["mnist", 1, "dm"] == pytest.approx(0.7, abs=1e-6)


def test_one_data_set_without_the_baseline_has_no_difference_of_its_own() -> None:
    mnist = {"name": "mnist", "options": {}, "shape": [9, 1, 8, 8], "sha256": "m"}
    frame = table(
        [scores([0.9], data=mnist), scores([0.3, 0.3], "random"), scores([0.5, 0.5])]
    ).set_index(["data", "method"])
    assert frame.loc[("digits", "dm"), "minus random"] == pytest.approx(0.2, abs=1e-6)
    assert np.isnan(frame.loc[("mnist", "dm"), "minus random"])


def test_sets_of_one_name_but_other_options_are_other_data() -> None:
    def scene(clutter: float) -> dict[str, Any]:
        return {
            "name": "scenes",
            "options": {"split": "train", "clutter": clutter},
            "shape": [9],
            "sha256": f"train {clutter}",
        }

    def test_data(clutter: float) -> dict[str, Any]:
        return {
            "name": "scenes",
            "options": {"split": "test", "clutter": clutter},
            "shape": [9],
            "sha256": f"test {clutter}",
        }

    accuracies = {("random", 0.0): 0.5, ("dm", 0.0): 0.9, ("random", 1.0): 0.2, ("dm", 1.0): 0.3}
    recordings = [
        scores([value, value], method, data=scene(clutter), tested=test_data(clutter))
        for (method, clutter), value in accuracies.items()
    ]
    with pytest.raises(InvalidInput, match="other test images"):
        table(recordings)
    frame = table(recordings, unlike=True)
    assert frame["accuracy"].tolist() == pytest.approx([0.5, 0.9, 0.2, 0.3])
    assert frame["minus random"].tolist() == pytest.approx(
        [np.nan, 0.4, np.nan, 0.1], nan_ok=True, abs=1e-6
    )


def test_several_architectures_are_rows_each_with_its_rival() -> None:
    kinds = ("convnet", "vgg11")
    frame = table(
        [
            scores([[0.3, 0.5], [0.1, 0.1]], "random", kinds=kinds),
            scores([[0.5, 0.7], [0.4, 0.4]], kinds=kinds),
        ]
    )
    differences = frame.set_index(["architecture", "method"])
    assert differences.loc[("convnet", "dm"), "minus random"] == pytest.approx(0.2, abs=1e-6)
    assert differences.loc[("vgg11", "dm"), "minus random"] == pytest.approx(0.3, abs=1e-6)
    assert differences["accuracy"].tolist() == pytest.approx([0.4, 0.6, 0.1, 0.4])
    assert differences["n"].tolist() == [2, 2, 2, 2]


def test_the_architecture_is_shown_wherever_there_are_several() -> None:
    frame = table([scores([0.3], "random", kinds=("vgg11",)), scores([0.5])])
    assert frame.set_index("method")["architecture"].to_dict() == {
        "random": "vgg11",
        "dm": "convnet",
    }


def test_sets_of_unknown_origin_are_distinguished_by_their_hash() -> None:
    unknown: dict[str, Any] = {"distilled_changes": {"config": None, "step": None}}
    frame = table(
        [
            scores([0.3], sha256="aa", **unknown),
            scores([0.5], sha256="bb", **unknown),
            scores([0.7]),
        ]
    )
    assert frame["method"].tolist() == ["a set of unknown origin", "a set of unknown origin", "dm"]
    assert frame["sha256"].tolist() == ["aa", "bb", ""]
    assert frame["sets"].tolist() == [1, 1, 1]
    assert frame["accuracy"].tolist() == pytest.approx([0.3, 0.5, 0.7])


def test_the_same_evaluation_passed_twice_counts_once() -> None:
    first, second = scores([0.3, 0.5]), scores([0.5, 0.9], seed=1)
    assert table([first, second, first.copy()]).equals(table([first, second]))


def test_two_evaluations_of_one_set_are_one_set_with_more_networks() -> None:
    second = scores([0.5, 0.7])
    second.attrs["config"]["seed"] = 1
    frame = table([scores([0.3, 0.5]), second])
    assert "over 1 distilled set ×" in frame.attrs["notes"][0]
    row = frame.iloc[0]
    assert row[["sets", "n"]].tolist() == [1, 4]
    assert row["accuracy"] == pytest.approx(0.5)


def test_sets_whose_seeds_are_not_known_are_paired_in_their_order() -> None:
    unknown: dict[str, Any] = {"distilled_changes": {"config": None, "step": None}}
    own, baseline = (
        [scores([v, v], sha256=f"{v}", **unknown) for v in side]
        for side in ((0.5, 0.9), (0.4, 0.6))
    )
    row = compare_results({"baseline": baseline, "own": own}).iloc[1]
    assert row["minus baseline"] == pytest.approx(0.2, abs=1e-6)
    assert row["±"] == pytest.approx(paired_difference([0.5, 0.9], [0.4, 0.6])[1], rel=1e-5)


def test_equal_sets_of_a_deterministic_method_count_once_per_seed() -> None:
    means = [
        scores([value, value], "class-mean", seed=seed, sha256="same")
        for seed, value in enumerate((0.5, 0.6))
    ]
    baseline = [scores([0.3, 0.3], "random", seed=seed) for seed in (0, 1)]
    row = table([*means, *baseline]).set_index("method").loc["class-mean"]
    assert row["sets"] == 2
    assert row["minus random"] == pytest.approx(0.25, abs=1e-6)


def test_unlike_protocols_are_refused_with_readable_names() -> None:
    with pytest.raises(InvalidInput, match="epochs 300 and 2") as caught:
        table([scores([0.5]), scores([0.5], "random", epochs=2)])
    assert "{" not in str(caught.value)
    with pytest.raises(InvalidInput, match="epochs 300 and 2") as caught:
        table([scores([0.5]), scores([0.5], seed=1, epochs=2)])
    assert "{" not in str(caught.value)
    with pytest.raises(InvalidInput, match="epochs") as caught:
        table([scores([0.5], options={"width": 8}), scores([0.5], options={"width": 16}, epochs=2)])
    assert "{" not in str(caught.value)
    frame = table([scores([0.5]), scores([0.25], "random", epochs=2)], unlike=True)
    assert frame["accuracy"].tolist() == [0.25, 0.5]


def test_unlike_protocols_are_refused_across_architectures_and_data_too() -> None:
    with pytest.raises(InvalidInput, match="epochs 300 and 2"):
        table([scores([0.5]), scores([0.5], kinds=("vgg11",), epochs=2)])
    with pytest.raises(InvalidInput, match="epochs 300 and 2"):
        table([scores([0.5]), scores([0.5], options={"images_per_class": 10}, epochs=2)])


def test_other_test_images_are_refused() -> None:
    other = {"name": "digits", "options": {"split": "val"}, "shape": [4, 1, 8, 8], "sha256": "val"}
    with pytest.raises(InvalidInput, match="other test images"):
        table([scores([0.5]), scores([0.5], "random", tested=other)])


def test_a_set_scored_on_other_data_says_so() -> None:
    usps = {"name": "usps", "options": {"split": "test"}, "shape": [4, 1, 8, 8], "sha256": "usps"}
    frame = table([scores([0.5]), scores([0.4], tested=usps)])
    assert frame["data"].tolist() == ["digits", "digits, scored on usps"]


def test_without_an_evaluation_the_message_names_the_command() -> None:
    with pytest.raises(
        InvalidInput,
        match="none of the 1 recordings is an evaluation; record one with: explore run evaluate --distilled FILE",
    ):
        table([distillation()])


def test_seconds_are_those_of_the_recordings() -> None:
    frame = table(
        [scores([0.5, 0.5], seed=seed, seconds=3.0) for seed in (0, 1)]
        + [
            scores([0.3], "random", seconds=1.0),
            distillation(seconds=4.0),
            distillation(seed=1, seconds=8.0),
        ]
        + [distillation(seed=2, seconds=100.0)]
    ).set_index("method")
    assert frame.loc["dm", "distil s"] == 6.0
    assert frame.loc["dm", "score s"] == 1.5
    assert frame.loc["random", "score s"] == 1.0
    assert np.isnan(frame.loc["random", "distil s"])


def test_seconds_are_those_of_a_distillation_of_as_many_steps() -> None:
    frame = table(
        [scores([0.5], step=10), distillation(seconds=4.0), distillation(seconds=400.0, steps=1000)]
    )
    assert frame["distil s"].tolist() == [4.0]


def test_seconds_of_one_network_are_of_those_that_were_trained() -> None:
    nan = float("nan")
    assert table([scores([0.5, 0.5, nan, nan], seconds=3.0)])["score s"].tolist() == [1.5]


def test_notes_describe_protocol_and_machine() -> None:
    notes = " ".join(digits_table().attrs["notes"])
    phrases = (
        "2 distilled sets × 2 networks",
        "convnet, 32 wide",
        "300 epochs",
        "rate 0.01",
        "over sets",
    )
    for words in (*phrases, "1 thread(s) of a machine"):
        assert words in notes
    assert "over networks" in " ".join(table([scores([0.5, 0.6])]).attrs["notes"])


# ---- from end to end


@pytest.mark.usefixtures("_one_thread")
def test_the_table_of_recordings_contains_their_numbers(tmp_path: Path) -> None:
    digits = {"name": "digits", "options": {"size": 8, "margin": 0}}
    differences: dict[tuple[str, int], np.ndarray] = {}
    paths = []
    for method in ("random", "class-mean"):
        for seed in (0, 1):
            run: Any = build({"method": method, "data": digits, "seed": seed})
            paths.append(tmp_path / f"{method}-{seed}.zarr")
            record(run, paths[-1])
            scored = build(
                {
                    "method": "evaluate",
                    "distilled": DistilledSet.of(run),
                    "epochs": 3,
                    "networks": 2,
                    "width": 4,
                }
            )
            paths.append(tmp_path / f"{method}-{seed}-scored.zarr")
            differences[method, seed] = (
                record(scored, paths[-1])["accuracy"].values[-1, 0].astype(float)
            )
    frame = build_table(paths).set_index("method")
    means = {
        method: np.array([differences[method, seed].mean() for seed in (0, 1)])
        for method in ("random", "class-mean")
    }
    assert frame.loc["random", "accuracy"] == pytest.approx(means["random"].mean())
    assert frame.loc["class-mean", "minus random"] == pytest.approx(
        (means["class-mean"] - means["random"]).mean()
    )
    expected = ttest_rel(means["class-mean"], means["random"]).confidence_interval(0.95)
    assert frame.loc["class-mean", "±"] == pytest.approx(half_width(expected))
    assert (frame[["distil s", "score s"]] > 0).all(axis=None)
    packed = pack(paths[1], tmp_path / "random-0-scored.zarr.zip")
    assert build_table([*paths, packed]).set_index("method").equals(frame)
