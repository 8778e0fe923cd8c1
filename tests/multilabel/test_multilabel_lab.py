"""The multi-label lab: what each cell shows, what its controls do, and how quickly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from explorers import check_controls, check_lab_without, check_labels, check_size, check_targets
from matplotlib.colors import to_rgba
from text_boxes import problems

from explore.multilabel import lab
from explore.widgets.explorer import Explorer

EXPLORERS: dict[str, Callable[[], Explorer]] = {
    "pulls": lab.who_pulls,
    "embedding": lab.see_embedding,
    "similarity": lab.compare_similarity,
    "uncertainty": lab.compare_uncertainty,
    "weight": lab.turn_weight,
    "losses": lab.compare_losses,
}


@pytest.fixture(params=EXPLORERS)
def explorer(request: pytest.FixtureRequest) -> Explorer:
    return EXPLORERS[request.param]()


def test_every_control_has_a_name_and_shows_every_value(explorer: Explorer) -> None:
    if "mode" in explorer.controls:  # It needs a selection of labels.
        explorer.set(labels=explorer.data["label"].values[:2].tolist())
    check_controls(explorer)


def test_every_target_sets_a_control(explorer: Explorer) -> None:
    check_targets(explorer)


def test_the_saved_picture_is_small(explorer: Explorer) -> None:
    check_size(explorer)


def test_no_control_shows_a_long_text(explorer: Explorer) -> None:
    check_labels(explorer)


def test_the_lab_opens_without_torch() -> None:
    calls = (
        "who_pulls",
        "see_embedding",
        "compare_similarity",
        "compare_uncertainty",
        "turn_weight",
        "compare_losses",
    )
    check_lab_without(("torch", "numba", "torch_geometric"), "multilabel", calls)


# ---- the prediction


def test_the_pulls_are_hidden_until_a_guess() -> None:
    explorer = lab.who_pulls()
    assert "pull hidden" in explorer.alt
    assert np.isnan(explorer.data["pull"].values).all()
    hidden = explorer.view.png
    explorer.set(prediction=lab.ANSWERS[0])
    assert explorer.view.png != hidden
    assert np.isfinite(explorer.data["pull"].values).all()


@pytest.mark.parametrize("correlation", lab.CORRELATION_LABELS)
@pytest.mark.parametrize("alpha", [0.05, 0.5])
def test_the_verdict_follows_from_the_pulls(correlation: str, alpha: float) -> None:
    explorer = lab.who_pulls()
    explorer.set(correlation=correlation, alpha=alpha)
    explorer.set(prediction=lab.ANSWERS[0])
    pull, full = explorer.data["pull"].values[[lab.QUESTION_ROW, 1]]
    answer = lab.ANSWERS[2 if pull <= 0 else 0 if pull > 0.8 * full else 1]
    assert f"You predicted: {lab.ANSWERS[0]}. The picture shows: {answer} (" in explorer.view.note


def test_the_question_is_about_an_image_with_one_label_of_five() -> None:
    explorer = lab.who_pulls()
    overlaps = explorer.data["overlap"].values
    np.testing.assert_allclose(overlaps[1:], [1, 2 / 3, 0.4, 0.2, 0], atol=1e-6)


def test_inside_the_logarithm_no_arrow_depends_on_the_measure_of_overlap() -> None:
    explorer = lab.who_pulls()
    explorer.set(prediction=lab.ANSWERS[0])
    pulls: dict[str, list[np.ndarray]] = {"inside": [], "outside": []}
    for correlation, values in pulls.items():
        for overlap in ("jaccard", "dice", "recall"):
            explorer.set(correlation=correlation, overlap=overlap)
            values.append(explorer.data["pull"].values)
    for values in pulls["inside"][1:]:
        np.testing.assert_allclose(values, pulls["inside"][0], atol=1e-5)
    assert abs(pulls["outside"][1] - pulls["outside"][0]).max() > 0.05


# ---- the embedding


def test_names_of_components_never_lie_on_one_another() -> None:
    explorer = lab.see_embedding()
    for step in explorer.controls["step"].values[:14]:  # type: ignore[union-attr]
        explorer.step = step
        assert problems(explorer.picture) == []
        assert all(name.get_visible() for name in explorer.picture._names)


def test_the_colour_bar_has_the_colours_of_the_points() -> None:
    picture = lab.see_embedding().picture
    (image,) = picture._overlap_bar.images
    bar = image.to_rgba(image.get_array())[::-1, 0]
    points = [to_rgba(points.get_color()) for points in picture._points]
    np.testing.assert_allclose(bar, points, atol=0.005)


def test_the_embedding_opens_before_it_is_ordered() -> None:
    assert lab.see_embedding().step == 2


def test_a_click_beside_a_point_makes_it_the_anchor() -> None:
    explorer = lab.see_embedding()
    picture, data = explorer.picture, explorer.data
    position = data["position"].values
    lonely = int(position[:, 0].argmax())
    pixels = picture.axes.transData.transform(position[lonely])  # type: ignore[attr-defined]
    x, y = pixels / [picture.figure.bbox.width, picture.figure.bbox.height]
    explorer.view.pointer = {"kind": "down", "x": float(x) + 0.003, "y": float(1 - y)}
    assert explorer.state["anchor"] == lonely
    assert f"The anchor is sample {lonely} with" in explorer.alt
    explorer.view.pointer = {"kind": "down", "x": 0.99, "y": 0.99}
    assert explorer.state["anchor"] == lonely, "there is no point at this place"


def test_a_pointer_names_a_sample() -> None:
    explorer = lab.see_embedding().set(step=40)
    picture, data = explorer.picture, explorer.data
    lonely = int(data["position"].values[:, 0].argmax())
    pixels = picture.axes.transData.transform(data["position"].values[lonely])
    x, y = pixels / [picture.figure.bbox.width, picture.figure.bbox.height]
    text = picture.value_at(data, float(x), float(1 - y))
    assert text.startswith(f"sample {lonely}: ")
    assert text.endswith(f"{float(data['overlap'][lonely]):.2f}")
    assert picture.value_at(data, 0.99, 0.99) == ""


def test_the_filter_counts_label_sets() -> None:
    explorer = lab.see_embedding()
    present = explorer.data["present"].values
    first, second = explorer.data["label"].values[:2]
    both, sizes = present[:, :2], present.sum(1)
    expected = {
        "any": both.any(1).sum(),
        "all": both.all(1).sum(),
        "exactly": (both.all(1) & (sizes == 2)).sum(),
    }
    for mode, count in expected.items():
        explorer.set(labels=(first, second), mode=mode)
        assert f"{count} of {len(present)} held-out samples have" in explorer.alt
    assert len(set(expected.values())) == 3


def test_the_position_of_a_sample_has_one_scale_in_all_steps() -> None:
    explorer = lab.see_embedding()
    limits = explorer.picture.axes.get_xlim()  # type: ignore[attr-defined]
    picture = explorer.picture
    for step in explorer.controls["step"].values[::5]:  # type: ignore[union-attr]
        explorer.step = step
        assert explorer.picture is picture
        assert explorer.picture.axes.get_xlim() == limits  # type: ignore[attr-defined]


def test_the_order_of_the_losses_is_predicted_before_it_is_shown() -> None:
    explorer = lab.compare_similarity()
    assert "correlation" not in explorer.alt
    explorer.prediction = "KMCL"
    assert explorer.view.note.endswith(
        "You predicted: KMCL. The picture shows: rank correlation ASL 0.59, KMCL 0.57, "
        "ProbMCL-style 0.48."
    )
    single = lab.compare_similarity(lab.recording_of("kmcl"))
    assert "prediction" not in single.controls


# ---- the dial of the weight


def test_the_contrast_takes_over_the_gradient_at_equal_weights() -> None:
    study = lab.weight_study().isel(step=-1)
    share = study["gradient_share"].sel(weight_term="classification").mean("run").values
    assert (np.diff(share) < 0).all(), "a larger weight leaves less to the classification"
    score = study["held_out_map"].mean("run").values
    assert score[-1] < score[study["weight"].values.tolist().index(0.0156)] - 0.05
