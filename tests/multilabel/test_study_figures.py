"""Test the data and texts of pictures of studies and uncertainties, by hand and against SciPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from matplotlib.text import Text
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from study_frames import study_frame, training_frame, weight_frame

from explore import record
from explore.core.registry import build, method
from explore.core.statistics import rank_correlation
from explore.errors import InvalidInput, UnknownName
from explore.multilabel.figures.contrast_weight import (
    ContrastWeight,
    contrast_weight,
    weight_position,
)
from explore.multilabel.figures.losses import TrainingLosses, training_losses
from explore.multilabel.figures.uncertainty import (
    UncertaintyByCount,
    auroc,
    auroc_within,
    uncertainty_by_count,
)
from explore.plotting.figure_files import save_figure
from explore.plotting.picture import Picture

NAN = float("nan")


def texts_of(picture: Picture) -> list[str]:
    return [text.get_text() for text in picture.figure.findobj(Text) if text.get_text()]


def as_recording(*frames: xarray.Dataset) -> xarray.Dataset:
    """Return a recording with the steps 0, 10, 20 and so on."""
    steps = [10 * k for k in range(len(frames))]
    return xarray.concat(frames, "step", combine_attrs="override").assign_coords(step=steps)


# ---- losses


def small_study(**options: Any) -> xarray.Dataset:
    scores = {
        "bce": [[0.82, 0.9], [0.71, 0.7], [0.6, 0.8]],
        "kmcl": [[0.9, 0.94], [0.6, 0.9], [0.9, 0.7]],
    }
    return study_frame(scores, {"bce": (0.003, 0.1), "kmcl": (0.001, 10.0)}, **options)


def test_rows_of_losses_have_means_differences_and_settings() -> None:
    data = training_losses(small_study())
    picture = TrainingLosses(data)
    rows = picture.table(data)
    assert rows["loss"].tolist() == ["BCE", "KMCL"]
    assert rows["mean mAP, %"].tolist() == pytest.approx([86, 92])
    assert rows["minus BCE, points"].tolist() == pytest.approx([0, 6], abs=1e-5)
    half = rows["± half of the 95% interval, points"]
    assert half[1] == pytest.approx(12.706204736 * 2, rel=1e-5)
    assert picture.describe(data) == (
        "scenes, mAP on test samples over 2 seeds; in brackets points more than BCE with 95% "
        "interval: BCE 86.0%, KMCL 92.0% (+6.0 ± 25.4)."
    )
    texts = texts_of(picture)
    assert {"0.003", "–", "0.001", "× 10", "scenes: mAP of 2 losses on test samples"} <= set(texts)
    assert texts.index("–") < texts.index("0.001"), "BCE has no weight"


def test_axes_of_losses_are_the_same_for_all_measures() -> None:
    study = small_study(split="val")
    states = [training_losses(study, measure) for measure in ("mAP", "CF1", "OF1")]
    for data in states:
        # Scores from 0.6 to 0.94; CF1 has the widest interval, 0.045 ± 12.7 * 0.155.
        assert (data.attrs["low"], data.attrs["high"], data.attrs["widest"]) == (0.6, 0.95, 1.0)
    picture = TrainingLosses(states[0])
    assert all(picture.fits(data) for data in states)
    picture.update(states[2])
    assert "points of OF1" in texts_of(picture)
    assert picture.describe(states[2]).startswith("scenes, OF1 on validation samples over 2 seeds")
    single = training_losses(small_study().isel(run=[0]))
    assert single.attrs["widest"] == pytest.approx(0.3), "the difference of OF1, without interval"


def test_a_picture_of_losses_shows_every_seed_and_interval() -> None:
    data = training_losses(small_study())
    picture = TrainingLosses(data)
    picture.show(data)
    x, y = picture._dots.get_data()
    assert x.tolist() == pytest.approx([0.82, 0.9, 0.9, 0.94])
    assert np.round(y).tolist() == [0, 0, 1, 1]
    middles = [segment.mean(0).tolist() for segment in picture._intervals.get_segments()]
    np.testing.assert_allclose(middles, [[0, 0], [6, 1]], atol=1e-4)


def test_an_unfinished_study_of_losses_is_drawn() -> None:
    scores = {"asl": [[0.8, NAN]] * 3, "kmcl": [[NAN, NAN]] * 3}
    study = study_frame(scores, {"asl": (0.01, 0.1), "kmcl": (NAN, NAN)})
    data = training_losses(study)
    picture = TrainingLosses(data)
    assert "over 1 seed;" in picture.describe(data)
    assert picture.describe(data).endswith("ASL 80.0%, KMCL not trained.")
    assert "minus ASL, 95% interval" in texts_of(picture), "BCE was not studied"
    empty = training_losses(study.assign(score=study["score"] * NAN))
    assert (empty.attrs["low"], empty.attrs["high"], empty.attrs["widest"]) == (0, 1, 0.02)
    assert "nan" not in TrainingLosses(empty).describe(empty)


def test_equal_scores_have_axes_with_a_width() -> None:
    study = study_frame({"bce": [[1.0]] * 3}, {"bce": (0.01, 0.1)})
    data = training_losses(study)
    assert (data.attrs["low"], data.attrs["high"]) == (0.95, 1.0)
    TrainingLosses(data)


def test_other_recordings_and_measures_are_refused_by_losses() -> None:
    with pytest.raises(InvalidInput, match="expected a recording of a study of multi-label losses"):
        training_losses(weight_frame([0.0], [[0.5]], [[0.5]], [[[1.0]], [[0.0]], [[0.0]]]))
    with pytest.raises(UnknownName, match="unknown measure 'accuracy'; known: CF1, OF1, mAP"):
        training_losses(small_study(), "accuracy")


# ---- weights of the contrast


def small_weights(batch: int = 64) -> xarray.Dataset:
    """Return a study whose weights are not in ascending order."""
    return weight_frame(
        [1.0, 0.0, 0.02],
        [[0.5, 0.6], [0.8, 0.9], [0.7, NAN]],
        [[0.0, 0.02], [0.3, 0.3], [0.2, NAN]],
        [
            [[0.1, 0.1], [1, 1], [0.6, NAN]],
            [[0.2, 0.2], [0, 0], [0.1, NAN]],
            [[0.7, 0.7], [0, 0], [0.3, NAN]],
        ],
        batch,
    )


def test_weights_are_sorted_and_averaged() -> None:
    data = contrast_weight(small_weights())
    rows = ContrastWeight(data).table(data)
    assert rows["weight"].tolist() == [0, 0.02, 1]
    assert rows["mAP, %"].tolist() == pytest.approx([85, 70, 55])
    deviations = 100 * data["held_out_map"].std("run", ddof=1).values
    assert rows["mAP, %: ± standard deviation over seeds"].tolist() == pytest.approx(
        deviations, rel=1e-4, nan_ok=True
    )
    assert rows["spread"].tolist() == pytest.approx([0.3, 0.2, 0.01])
    shares = {"classification": [100, 60, 10], "reconstruction": [0, 10, 20]}
    for name, values in (shares | {"contrast": [0, 30, 70]}).items():
        assert rows[f"{name}: mean share of the gradient, %"].tolist() == pytest.approx(values)


def test_the_shares_are_stacked_to_one() -> None:
    data = contrast_weight(small_weights())
    picture = ContrastWeight(data)
    edges = [
        [path.get_extents().intervaly.tolist() for path in bars.get_paths()]
        for bars in picture._bars
    ]
    expected = [
        [[0, 1], [0, 0.6], [0, 0.1]],
        [[1, 1], [0.6, 0.7], [0.1, 0.3]],
        [[1, 1], [0.7, 1], [0.3, 1]],
    ]
    np.testing.assert_allclose(edges, expected, atol=1e-6)


@pytest.mark.parametrize(("batch", "default"), [(64, 0.02), (2, 1.0), (10_000, 0.02)])
def test_the_weight_closest_to_one_over_the_batch_is_marked(batch: int, default: float) -> None:
    data = contrast_weight(small_weights(batch))
    assert float(data["marked_weight"]) == default
    assert float(data["default_weight"]) == 1 / batch
    assert f"1/B = {1 / batch:.3g} is" in ContrastWeight(data).describe(data)


def test_the_marked_weight_has_a_frame_and_its_numbers_in_the_heading() -> None:
    data = contrast_weight(small_weights(), 1)
    picture = ContrastWeight(data)
    text = "scenes, weight 1: mAP 55.0%, spread 0.01, classification has 10% of the gradient"
    assert text in texts_of(picture)
    assert [frame.get_x() + frame.get_width() / 2 for frame in picture._frames] == [2, 2, 2]
    assert picture.describe(data) == (
        "scenes, KMCL with weight 1: mAP 55.0%, spread 0.01, classification has 10% of the "
        "gradient. 2 seeds; 1/B = 0.0156 is the default of KMCL. Weight 0.02 to 1: share of "
        "classification 60% to 10%, mAP 70.0% to 55.0%, spread 0.20 to 0.01."
    )
    states = [target.state["weight"] for target in picture.targets(data)]
    assert states == [0, 0.02, 1] * 3


def test_positions_of_weights_are_logarithmic_and_linear_next_to_zero() -> None:
    weights = np.array([0.0, 0.01, 1.0])
    positions = [weight_position(weights, value) for value in (0, 0.0025, 0.01, 0.1, 1, 1.5)]
    np.testing.assert_allclose(positions, [0, 0.25, 1, 1.5, 2, NAN])
    assert np.isnan(weight_position(np.array([0.1, 1.0]), 0.01))


def test_lines_stand_where_the_weight_is_one_over_the_batch_and_one() -> None:
    picture = ContrastWeight(contrast_weight(small_weights()))
    lines = {
        text.get_text(): text.get_position()[0]
        for text in picture._axes[0].texts
        if text.get_text() in ("1/B", "1")
    }
    assert lines == {"1/B": pytest.approx(1 / 64 / 0.02), "1": 2}
    beyond = weight_frame([0.1, 0.5], [[0.5]] * 2, [[0.5]] * 2, [[[1.0]] * 2] * 3)
    assert not {"1/B", "1"} & set(texts_of(ContrastWeight(contrast_weight(beyond))))


def test_the_axes_of_weights_hold_every_dot() -> None:
    data = contrast_weight(small_weights())  # mAP from 0.5 to 0.9, spread up to 0.3
    assert [data.attrs[name] for name in ("low", "high", "widest")] == [0.5, 0.9, 0.3]
    precision, spread, shares = ContrastWeight(data)._axes
    np.testing.assert_allclose(precision.get_ylim(), [0.484, 0.916])
    np.testing.assert_allclose(spread.get_ylim(), [-0.012, 0.312])
    assert shares.get_ylim() == (0, 1)


def test_an_unfinished_study_of_weights_is_drawn() -> None:
    study = small_weights()
    for name, weights in {"held_out_map": [1.0], "prediction_spread": [1.0]}.items():
        study[name] = study[name].where(~study["weight"].isin(weights))
    study["gradient_share"] = study["gradient_share"].where(study["weight"] != 1.0)
    data = contrast_weight(study, 1.0)
    text = ContrastWeight(data).describe(data)
    assert "KMCL with weight 1: not trained yet. 2 seeds" in text
    assert "At the weight 0.02 classification has 60% of the gradient" in text
    empty = contrast_weight(study.map(lambda values: values * NAN, keep_attrs=True))
    text = ContrastWeight(empty).describe(empty)
    assert "0 seeds" in text
    assert "nan" not in text


def test_a_study_of_the_weight_zero_alone_is_drawn() -> None:
    data = contrast_weight(small_weights().isel(weight=[1]))
    assert float(data["marked_weight"]) == 0
    assert "weight 0: mAP 85.0%" in ContrastWeight(data).describe(data)


def test_other_recordings_and_weights_are_refused_by_the_picture_of_weights() -> None:
    with pytest.raises(InvalidInput, match="expected a recording of a study of the contrast's"):
        contrast_weight(small_study())
    with pytest.raises(UnknownName, match=r"unknown weight 0.5; known: 0, 0.02, 1"):
        contrast_weight(small_weights(), 0.5)


# ---- uncertainty

PRESENT = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]]
PROBABILITY = [
    [0.9, 0.1, 0.2],  # exact
    [0.6, 0.9, 0.2],  # one label too many, but the most probable one is right
    [0.1, 0.2, 0.5],  # exact: the threshold itself is enough
    [0.9, 0.4, 0.1],  # one label is missing, but the two most probable ones are right
    [0.7, 0.2, 0.7],  # exact
    [0.9, 0.8, 0.7],  # one label too many, and the most probable one is wrong
]
EPISTEMIC = [0.1, 0.4, 0.2, 0.5, 0.6, 0.8]


def small_training(**options: Any) -> xarray.Dataset:
    return training_frame(PROBABILITY, PRESENT, EPISTEMIC, **options)


def test_samples_are_exact_if_all_labels_are_right() -> None:
    data = uncertainty_by_count(small_training())
    rows = UncertaintyByCount(data).table(data)
    assert rows["number of labels"].tolist() == [1, 1, 1, 2, 2, 2]
    assert rows["predicted exactly"].tolist() == ["yes", "no", "yes", "no", "yes", "no"]
    assert rows["epistemic: sum of variances"].tolist() == pytest.approx(EPISTEMIC)
    by_rank = uncertainty_by_count(small_training(), threshold=None)
    assert by_rank["exact"].values.tolist() == [True, True, True, True, True, False]
    higher = uncertainty_by_count(small_training(), threshold=0.65)
    assert higher["exact"].values.tolist() == [True, True, False, False, True, False]


def test_labels_that_are_not_known_count_neither_way() -> None:
    mask = np.ones((6, 3), bool)
    mask[1, 0] = False  # the label that is too many
    mask[3, 1] = False  # the label that is missing
    mask[5, :2] = False
    for threshold in (0.5, None):
        data = uncertainty_by_count(small_training(mask=mask), threshold=threshold)
        assert data["exact"].values.all()
        assert data["labels"].values.tolist() == [1, 1, 1, 1, 2, 1]


def test_the_picture_has_the_auroc_of_each_number_of_labels() -> None:
    data = uncertainty_by_count(small_training())
    picture = UncertaintyByCount(data)
    # One label: 0.4 is above 0.1 and 0.2. Two labels: of 0.5 and 0.8, one is above 0.6.
    texts = [[text.get_text() for text in column] for column in picture._texts]
    assert texts == [["1", "2 / 3", "1.00"], ["2", "1 / 3", "0.50"]]
    # 3 of the 4 pairs within equal numbers; of all 9 pairs, 0.4 and 0.5 are above two of three.
    correlation = spearmanr(EPISTEMIC, [1, 1, 1, 2, 2, 2]).statistic
    assert picture.describe(data) == (
        "scenes: epistemic uncertainty and mistakes, at equal numbers of labels. 3 of 6 "
        "held-out samples are exact: all labels are right at the threshold 0.5. AUROC for mistakes: 0.75 "
        "within equal numbers of labels, 0.78 pooled; Spearman correlation with the number of "
        f"labels {correlation:.2f}. By number of labels: 1 label 1.00, 2 labels 0.50."
    )
    medians = [segment[0, 1] for segment in picture._medians.get_segments()]
    assert medians == pytest.approx([0.15, 0.6, 0.4, 0.65]), "exact 1, exact 2, then the others"


def test_all_samples_are_pooled_on_demand() -> None:
    data = uncertainty_by_count(small_training(), by_count=False)
    picture = UncertaintyByCount(uncertainty_by_count(small_training()))
    assert picture.fits(data)
    picture.update(data)
    assert [text.get_text() for text in picture._texts[0]] == ["all", "3 / 6", "0.78"]
    assert [text.get_text() for text in picture._texts[1]] == ["", "", ""]
    assert "all samples pooled" in picture.describe(data)
    assert [len(dots.get_xdata()) for dots in picture._dots] == [3, 3]


def test_a_group_without_samples_has_no_auroc() -> None:
    present = [[0, 0, 0], [1, 0, 0], [1, 1, 1]]
    data = uncertainty_by_count(training_frame(np.float32(present), present, [0.1, 0.2, 0.3]))
    picture = UncertaintyByCount(data)
    texts = [[text.get_text() for text in column] for column in picture._texts]
    assert texts == [["0", "1 / 1", "–"], ["1", "1 / 1", "–"], ["3", "1 / 1", "–"]]
    assert "AUROC for mistakes: – within equal numbers of labels, – pooled" in picture.describe(
        data
    )


def test_the_axis_covers_all_steps_of_a_recording() -> None:
    first = training_frame(PROBABILITY, PRESENT, [2.0, NAN, 0, 0, 0, 0.5], precision=NAN)
    recording = as_recording(first, small_training())
    start, end = (uncertainty_by_count(recording, step=step) for step in (9, None))
    assert (int(start["step"]), int(end["step"])) == (0, 10)
    assert (start.attrs["low"], start.attrs["high"]) == (end.attrs["low"], end.attrs["high"])
    assert (end.attrs["low"], end.attrs["high"]) == (0, 2)
    picture = UncertaintyByCount(end)
    assert picture.fits(start)
    assert "the classifier is not trained yet" in picture.describe(start)
    assert "the classifier is not trained yet" not in picture.describe(end)
    assert not picture.fits(uncertainty_by_count(recording, "entropy"))


def test_recordings_without_uncertainties_are_refused() -> None:
    with pytest.raises(InvalidInput, match="expected a recording of a multi-label training"):
        uncertainty_by_count(small_study())
    kernels = small_training().drop_vars("uncertainty").assign_attrs(name="kmcl")
    with pytest.raises(InvalidInput, match=r"explore run probmcl\); this one, of 'kmcl'"):
        uncertainty_by_count(kernels)
    with pytest.raises(UnknownName, match="unknown measure 'variance'"):
        uncertainty_by_count(small_training(), "variance")
    with pytest.raises(InvalidInput, match="threshold"):
        uncertainty_by_count(small_training(), threshold=1.5)
    with pytest.raises(InvalidInput, match="by_count must be true or false"):
        uncertainty_by_count(small_training(), by_count="no")  # type: ignore[arg-type]


# ---- statistics


@pytest.mark.parametrize("seed", range(5))
def test_statistics_with_ties_are_those_of_scipy_and_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 8, 60), rng.random(60) < 0.4
    groups = rng.integers(0, 3, 60)
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert rank_correlation(scores, groups) == pytest.approx(spearmanr(scores, groups).statistic)
    pairs = [labels[groups == g].sum() * (~labels[groups == g]).sum() for g in range(3)]
    areas = [roc_auc_score(labels[groups == g], scores[groups == g]) for g in range(3)]
    expected = np.average(areas, weights=pairs)
    assert auroc_within(scores, labels, groups) == pytest.approx(expected)
    assert auroc(-scores, labels) == pytest.approx(1 - auroc(scores, labels))


def test_statistics_leave_out_nan_and_are_nan_without_pairs() -> None:
    assert auroc([0.1, NAN, 0.3], [False, True, True]) == 1
    assert np.isnan(auroc([0.1, 0.2], [True, True]))
    assert np.isnan(auroc_within([0.1, 0.2], [True, False], [1, 2]))
    assert rank_correlation([1, 2, 3, NAN], [3, 2, 1, 9]) == -1
    assert np.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))
    assert np.isnan(rank_correlation([NAN], [1]))


# ---- recordings


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize(
    ("figure", "name", "positions"),
    [
        ("training_losses", "multilabel-study", 3),
        ("contrast_weight", "contrast-weights", 2),
        ("label_uncertainty", "probmcl", 5),
    ],
)
def test_recorded_runs_have_pictures_at_every_position(
    figure: str, name: str, positions: int, tmp_path: Path
) -> None:
    run = build({**method(name).tiny, "method": name})
    recording = record(run, tmp_path / "run.zarr", every=1).load()
    assert figure in method(name).figures
    page = save_figure(figure, [recording], {}, tmp_path / "page.html").read_text(encoding="utf-8")
    assert f'max="{positions - 1}"' in page
    assert "nan" not in save_figure(figure, [recording], {}, tmp_path / "a.svg").read_text()
    save_figure(figure, [recording.isel(step=[0])], {}, tmp_path / "start.png")
