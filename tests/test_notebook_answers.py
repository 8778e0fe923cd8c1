"""The answers to the exercises of the labs agree with what the labs compute and replay."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from explore.core.recording import open_recording
from explore.core.resources import shipped

FOLDER = Path(__file__).parents[1] / "notebooks"


def text_of(number: str) -> str:
    (path,) = FOLDER.glob(f"{number}_*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def states(number: str, *sentences: str) -> None:
    """Check that a notebook contains sentences, so that a test and a text change together."""
    text = re.sub(r"[*`]", "", text_of(number))
    for sentence in sentences:
        assert sentence in text, sentence


# ---- 01


def test_areas_of_the_largest_objects() -> None:
    from explore.areas.scene_maps import scene_maps

    scenes = scene_maps("outline", 0.48, 2, count=80)
    labels = scenes.labels.numpy()
    means = {
        name: (scenes.areas[labels == k].mean(), scenes.object_shares[labels == k].mean())
        for k, name in enumerate(scenes.class_names)
    }
    gaps = {name: share - area for name, (area, share) in means.items()}
    assert min(gaps, key=lambda name: abs(gaps[name])) == "triangle"
    assert max(gaps, key=lambda name: gaps[name]) == "ring"
    assert means["triangle"] == pytest.approx((0.31, 0.30), abs=0.006)
    assert means["ring"] == pytest.approx((0.25, 0.53), abs=0.006)
    states("01", "area 31 %, object 30 %", "25 % of 53 %")


def test_a_wrong_class_has_smaller_areas_that_miss_the_object() -> None:
    from explore.areas.scene_maps import scene_maps

    right, wrong = (
        scene_maps("outline", None, 2, comparison, count=80)
        for comparison in ("trained", "wrong class")
    )
    numbers = [100 * value for s in (right, wrong) for value in (s.areas.mean(), s.pointing)]
    assert numbers == pytest.approx([19, 69, 9, 24], abs=0.6)
    states("01", "from 19 % to 9 %. In 24 % of the scenes, against 69 % with the true class")


def test_areas_at_the_end_of_two_distillations() -> None:
    from explore.areas.recordings import find_recording

    ends = [
        100 * float(find_recording(f"areas-fashion-{name}").load()["area"][-1].mean())
        for name in ("datadam", "dm")
    ]
    assert ends == pytest.approx([31, 28], abs=0.6)


# ---- 02


def test_the_loss_of_accuracy_at_a_high_power() -> None:
    survey = open_recording(shipped("data/digits-untrained.zarr.zip")).load()
    accuracy = survey.accuracy.isel(block=0).mean("step")
    assert float(accuracy.sel(power=1)) == pytest.approx(0.88, abs=0.005)
    assert float(accuracy.sel(power=8)) == pytest.approx(0.55, abs=0.005)
    states("02", "From 0.88 to 0.55")


def test_the_classes_with_the_smallest_and_the_largest_attention_distance() -> None:
    from explore.distill.lab import recording_of

    def distances(data: str, method: str) -> dict[str, float]:
        last = recording_of(data, method).attention_distance[-1].mean("block")
        return dict(zip(map(str, last.label.values), map(float, last.values), strict=True))

    fashion = distances("fashion-mnist", "datadam")
    assert sorted(fashion, key=lambda name: fashion[name])[:2] == ["Trouser", "Sneaker"]
    assert fashion["Trouser"] == pytest.approx(0.09, abs=0.005)
    assert fashion["Sneaker"] == pytest.approx(0.17, abs=0.005)
    digits, atom = distances("digits", "datadam"), distances("digits", "atom")
    assert max(digits, key=lambda name: digits[name]) == "9"
    assert (digits["9"], atom["9"]) == pytest.approx((0.23, 0.04), abs=0.005)


def test_the_step_of_equal_attention_distance() -> None:
    from explore.distill.figures.evolution import mean_distance
    from explore.distill.lab import recording_of

    channel, datadam = (recording_of("fashion-mnist", name) for name in ("channel", "datadam"))
    reached = mean_distance(datadam) <= mean_distance(channel)[-1]
    assert int(datadam.step[np.argmax(reached)]) == 57
    states("02", "2: At step 57")


# ---- 03


def test_what_condensation_gains_on_motifs_and_proteins() -> None:
    from explore.graphs import table
    from explore.graphs.lab import study_of

    def scores(data: str, column: str) -> dict[str, float]:
        rows = table(study_of(data)).query("`graphs per class` == 1")
        return dict(zip(rows["trained on"], (100 * rows[column]).round(1), strict=True))

    gains = scores("motifs", "minus the same real graphs")
    gstam = [gains[name] for name in ("GSTAM, features only", "GSTAM, edges only", "GSTAM")]
    assert gstam == [10.4, 0.4, 11.1]
    assert scores("motifs", "±")["GSTAM, edges only"] == 1.1
    proteins = scores("PROTEINS", "balanced")
    del proteins["whole set"]
    assert max(proteins.values()) == proteins["herding"] == proteins["k-center"] == 62.8
    assert proteins["GSTAM"] == 58.9
    states("03", "Features only gains 10.4 points, edges only 0.4", "62.8 %. GSTAM has 58.9 %")


@pytest.mark.slow
def test_what_the_network_says_of_edited_graphs() -> None:
    from explore.data import load_graph_set
    from explore.graphs.edited_graph import Editing, networks_for

    graphs = load_graph_set("motifs", types=3)
    networks = networks_for(graphs, None, 0)
    for number in range(12):
        editing = Editing(graphs, networks)
        editing.explorer.set(graph=number)
        motif = np.flatnonzero(editing.editor.graph.motif)
        edges = np.asarray(editing.editor.graph.edges)[np.ix_(motif, motif)]
        is_house = edges.sum() == 12
        if is_house:
            pairs = [motif[edges.sum(0) == 3]]  # the chord
        else:
            pairs = [motif[[i, j]] for i, j in np.argwhere(~edges) if i < j]  # every new chord
        for pair in pairs:
            editing.editor.toggle_edge(*map(int, pair))
            editing._refresh()
            probability = int(editing.explorer.alt.partition("%")[0].split()[-1])
            assert f"predicts {'ring' if is_house else 'house'}" in editing.explorer.alt
            assert probability >= 99
            editing.editor.undo()


# ---- 05


def test_label_sets_and_pulls_of_the_multilabel_lab() -> None:
    from explore.multilabel.config import OVERLAP_NAMES
    from explore.multilabel.figures.anchor_pulls import anchor_pulls
    from explore.multilabel.lab import recording_of

    run = recording_of("kmcl")
    pulls = {
        name: anchor_pulls(run, correlation="outside", overlap=name, alpha=0.05)["pull"].values[3]
        for name in OVERLAP_NAMES
    }
    assert max(pulls.values()) < 0
    assert (pulls["recall"], pulls["jaccard"]) == pytest.approx((-0.27, -0.79), abs=0.006)
    pull = {
        alpha: anchor_pulls(run, correlation="outside", overlap="jaccard", alpha=alpha)["pull"]
        for alpha in (0.5, 0.67)
    }
    assert [int((values.values[1:] > 0).sum()) for values in pull.values()] == [2, 1]
    states(
        "05", "weakest with recall (−0.27), hardest with Jaccard (−0.79)", "119, 36 and 2 of 150"
    )


def test_the_only_gain_over_bce() -> None:
    from explore.multilabel import table
    from explore.multilabel.catalog import STUDIES
    from explore.multilabel.lab import study_of

    gains = {}
    for data in STUDIES:
        rows = table(study_of(data)).query("loss != 'BCE'")
        sure = rows[rows["minus BCE"] - rows["±"] > 0]
        values = (100 * sure[["minus BCE", "±"]]).round(1).values.tolist()
        gains[data] = dict(zip(sure["loss"], values, strict=True))
    assert gains == {"scenes": {}, "emotions": {}, "yeast": {"ASL": [0.6, 0.3]}}


def test_two_numbers_called_f1() -> None:
    from explore.multilabel import multilabel_report

    labels = torch.tensor([[1, 1], [1, 0], [0, 0], [0, 0]])
    predictions = torch.tensor([[1, 1], [0, 1], [0, 0], [0, 0]]).double()
    assert multilabel_report(predictions, labels)["CF1"] == pytest.approx(0.75)


# ---- 06


def test_the_angle_of_equal_shifts() -> None:
    from explore.mixtures import GaussianMixture, distance, load_mixture

    ten = load_mixture("standard-1d")
    angles = []
    for component in (5, 2):  # numbers 6 and 3 in the picture
        means = ten.means.copy()
        means[component] += 0.3047
        shifted = GaussianMixture(ten.weights, means, ten.covariances)
        angles.append(distance(ten, shifted, "angle"))
    assert angles == pytest.approx([0.521, 0.094], abs=0.0006)
    assert angles[0] / angles[1] == pytest.approx(5.6, abs=0.05)
    states("06", "0.521 against 0.094 rad, 5.6 times")


def test_the_first_finger_of_the_claw_and_the_peaks_of_salmond() -> None:
    from explore.mixtures import load_mixture, reduce
    from explore.mixtures.lab import record_in_memory

    claw, ten = load_mixture("claw"), load_mixture("standard-1d")
    for method in ("runnalls", "oggmr"):
        first = reduce(claw, 1, method, refine="none").path[0]
        assert claw.means[[first.i, first.j]].tolist() == [[0.0], [0.0]]
    runs = {name: record_in_memory(ten, 1, name, refine="none") for name in ("west", "salmond")}
    runs["angle"] = record_in_memory(ten, 1, "oggmr", refine="none")
    six = {name: run.isel(step=list(run["components"]).index(6)) for name, run in runs.items()}
    assert {name: int(frame["peaks"]) for name, frame in six.items()} == {
        "west": 4,
        "salmond": 5,
        "angle": 4,
    }
    divergences = [float(six[name]["kl"]) for name in ("salmond", "angle")]
    assert divergences == pytest.approx([0.0048, 0.0018], abs=0.00006)


# ---- 07


def test_the_map_of_exercise_4_in_cpo() -> None:
    from explore.sparseconv import encode

    x = np.array([[0, 0, 1, 2, 3, 0], [4, 0, 0, 5, 6, 0], [7, 8, 0, 0, 0, 0]], np.float32)
    arrays = encode(x[None, None], kernel_size=2, method="cpo").arrays()
    assert np.asarray(arrays["values"]).tolist() == [4, 7, 8, 1, 2, 5, 3, 6]
    assert np.asarray(arrays["indices"]).tolist() == [2, 4, 5, 1, 1, 3, 1, 3]
    assert np.asarray(arrays["pointers_1"]).tolist() == [[0, 2, 2, 2, 2, 2]]
    assert np.asarray(arrays["pointers_2"]).tolist() == [[0, 1, 2, 4, 6, 6]]
    states("07", "Values 4 7 | 8 1 2 5 3 6, indices 2 4 | 5 1 1 3 1 3", "0 1 2 4 6 6")


def test_bounds_and_words_of_the_exercises() -> None:
    from explore.sparseconv import Geometry, density_bound

    bound = density_bound(Geometry((1, 64, 56, 56), 3, padding=1), "map", index_bytes=2)
    assert bound == pytest.approx(0.62, abs=0.005)
    largest = {height: 16 * (224 * -(-height // 4) - 1) + 15 for height in (72, 73)}
    assert largest[72] < 2**16 <= largest[73]
    words = [(1 - (1 - density) ** 4) / (4 * density) for density in (0.455, 0.458)]
    assert words[0] > 0.5 > words[1]


# ---- 08


def test_bits_of_students_in_the_exercises() -> None:
    from explore.subclass import label_bits
    from explore.subclass.lab import recording_of

    def bits(lesson: str, who: str = "student") -> list[float]:
        recording = recording_of(lesson)
        logits = torch.tensor(recording[f"{who}_logits"][-1].values).float()
        parents = recording["parent"].values
        return [round(label_bits(logits, parents, kind=kind), 2) for kind in ("soft", "mutual")]

    assert bits("skd", "teacher") == [0.21, 2.10]
    assert bits("skd") == [0.34, 1.96]
    assert bits("labels-only") == [0.22, 2.06]
    assert bits("kd") == [0.12, 0.05]
    assert bits("scratch") == [0.01, 0.0]
    states(
        "08",
        "Subclass labels: 0.22, and KD 0.12",
        "Softer: 0.34 soft bits, and the teacher has 0.21",
    )


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(np.full((5, 5), 0.2), (2.32, 0.0)), (np.eye(5), (0.0, 2.32))],
    ids=["uniform", "hard"],
)
def test_bits_of_labels_that_say_nothing_or_all(labels, expected) -> None:
    from explore.subclass import label_bits

    logits = torch.tensor(np.log(np.maximum(labels, 1e-30)))
    bits = [label_bits(logits, [0] * 5, kind=kind) for kind in ("soft", "mutual")]
    assert bits == pytest.approx(expected, abs=0.01)


@pytest.mark.slow
def test_soft_bits_of_wines_rise_without_any_knowledge_of_the_cultivars() -> None:
    from sklearn.datasets import load_wine

    from explore.subclass import label_bits, train

    wines = load_wine()
    x = torch.tensor((wines.data - wines.data.mean(0)) / wines.data.std(0)).float()
    run = train(x, torch.tensor(wines.target), [0, 1, 0], "scratch", labels=20, epochs=200, width=8)
    start = float(run.snapshot()["student_bits"])
    last = run.run().snapshot()
    logits = torch.tensor(last["student_logits"].values).float()
    assert (start, float(last["student_bits"])) == pytest.approx((0.52, 0.69), abs=0.006)
    assert label_bits(logits, [0, 1, 0], kind="mutual") < 0.02
    states("08", "from 0.52 to 0.69", "0.01 bits for the class-label student of the wines")
