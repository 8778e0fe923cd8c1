"""Evaluation: a loop by hand as oracle, sets from files, protocols that cannot be compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from explore import build, record
from explore.core.runs import stream_seed
from explore.data import ZCA, DistilledSet, ImageSet, load
from explore.distill import EvaluationProtocol, compare_results, evaluate
from explore.errors import InvalidInput, UnknownName
from explore.models import ConvNet, Fit, accuracy

pytestmark = pytest.mark.usefixtures("_one_thread")
QUICK = EvaluationProtocol(epochs=6, networks=2, width=8)
SMALL: dict[str, Any] = {"size": 8, "margin": 0}


@pytest.fixture(scope="module")
def test_images() -> ImageSet:
    return load("digits", "test", **SMALL)


def few(n: int = 40, **more: Any) -> DistilledSet:
    train = load("digits", **SMALL)
    return DistilledSet(
        train.batch(range(n)), train.labels[:n], train.class_names, train.mean, train.std, **more
    )


def run_evaluation(*arguments: Any, **options: Any) -> Any:
    return evaluate(*arguments, **options).run()


def test_an_accuracy_is_that_of_a_training_run_at_its_end(test_images: ImageSet) -> None:
    run, small = run_evaluation(few(), test_images, QUICK), few()
    for number in range(2):
        seed = stream_seed(0, "evaluation", number)
        network = ConvNet(1, 10, 8, width=8, seed=seed)
        Fit(network, small.images, small.labels, epochs=6, seed=seed).run()
        assert float(run.result()["accuracy"][0, number]) == pytest.approx(
            accuracy(network, test_images.batch(), test_images.labels)
        )


def test_a_set_from_its_file_scores_as_from_memory_seed_by_seed(
    test_images: ImageSet, tmp_path: Path
) -> None:
    run: Any = build(
        {
            "method": "dm",
            "data": {"name": "digits", "options": SMALL},
            "preset": "lesson",
            "steps": 2,
            "width": 8,
        }
    )
    run.advance()
    distilled = DistilledSet.of(run)
    first = run_evaluation(distilled, test_images, QUICK)
    second = run_evaluation(
        DistilledSet.load(distilled.save(tmp_path / "a.safetensors")), test_images, QUICK
    )
    assert np.array_equal(first.result()["accuracy"], second.result()["accuracy"])


def test_plain_torch_code_trains_the_exported_set_to_the_same_accuracy(
    test_images: ImageSet, tmp_path: Path
) -> None:
    small = few()
    small.to_torch(tmp_path)
    x, y = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("images", "labels"))
    protocol = EvaluationProtocol(epochs=5, networks=1, width=8)
    seed = stream_seed(0, "evaluation", 0)
    network = ConvNet(1, 10, 8, width=8, seed=seed)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    for epoch in range(5):
        optimizer.param_groups[0]["lr"] = 0.01 if epoch < 3 else 0.001
        order = torch.randperm(
            len(x), generator=torch.Generator().manual_seed(stream_seed(seed, "batches", epoch))
        )
        optimizer.zero_grad()
        cross_entropy(network(x[order]), y[order]).backward()
        optimizer.step()
    expected = accuracy(network, test_images.batch(), test_images.labels)
    assert float(
        run_evaluation(small, test_images, protocol).result()["accuracy"][0, 0]
    ) == pytest.approx(expected, abs=0.0026)


def test_soft_labels_are_used_as_they_are_or_as_their_largest(test_images: ImageSet) -> None:
    hard = few()
    soft = replace(hard, labels=torch.nn.functional.one_hot(hard.labels, 10) * 0.4 + 0.06)
    sharp = replace(hard, labels=torch.nn.functional.one_hot(hard.labels, 10).float())
    accuracies = {
        name: run_evaluation(s, test_images, QUICK).result()["accuracy"].values
        for name, s in (("hard", hard), ("soft", soft), ("sharp", sharp))
    }
    assert np.array_equal(accuracies["sharp"], accuracies["hard"])
    assert not np.array_equal(accuracies["soft"], accuracies["hard"])
    largest = (
        run_evaluation(soft, test_images, replace(QUICK, soft_labels=False))
        .result()["accuracy"]
        .values
    )
    assert np.array_equal(largest, accuracies["hard"])


def test_the_learned_rate_is_used_if_the_protocol_says_so(test_images: ImageSet) -> None:
    small = few(learning_rate=0.05)
    usual, learned = (
        run_evaluation(small, test_images, replace(QUICK, learned_rate=flag))
        for flag in (False, True)
    )
    assert np.array_equal(
        usual.result()["accuracy"], run_evaluation(few(), test_images, QUICK).result()["accuracy"]
    )
    by_hand = run_evaluation(few(), test_images, replace(QUICK, learning_rate=0.05))
    assert np.array_equal(learned.result()["accuracy"], by_hand.result()["accuracy"])
    assert "rate 0.05 (learned)" in learned.line()


def test_test_images_are_whitened_as_the_distilled_ones() -> None:
    train, test = load("digits"), load("digits", "val")
    zca, protocol = (
        ZCA().fit(train.batch()),
        EvaluationProtocol(epochs=30, networks=1, width=8, learning_rate=0.05),
    )
    white = DistilledSet(
        zca(train.batch(range(200))),
        train.labels[:200],
        train.class_names,
        train.mean,
        train.std,
        zca,
    )
    right, wrong = (
        float(run_evaluation(s, test, protocol).result()["accuracy"].mean())
        for s in (white, replace(white, zca=None))
    )
    assert right > 0.5
    assert right > wrong + 0.2


def test_augmentation_changes_training_and_its_draws_are_repeated(test_images: ImageSet) -> None:
    protocol = replace(QUICK, augment="dsa", flip=False)
    first, second = (
        run_evaluation(few(), test_images, protocol).result()["accuracy"].values for _ in range(2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(
        first, run_evaluation(few(), test_images, QUICK).result()["accuracy"].values
    )


def test_other_architectures_make_the_cross_architecture_table(test_images: ImageSet) -> None:
    protocol = EvaluationProtocol(
        epochs=1, networks=1, width=8, architectures=("convnet", "alexnet", "vgg11", "resnet18")
    )
    result = run_evaluation(few(), test_images, protocol).result()
    assert result["architecture"].values.tolist() == ["convnet", "alexnet", "vgg11", "resnet18"]
    assert np.isfinite(result["accuracy"]).all()
    own = run_evaluation(
        few(),
        test_images,
        QUICK,
        factories={"mine": lambda classes, seed: ConvNet(1, classes, 8, width=8, seed=seed)},
    )
    assert np.array_equal(
        own.result()["accuracy"], run_evaluation(few(), test_images, QUICK).result()["accuracy"]
    )


def test_a_recorded_evaluation_resumes(test_images: ImageSet, tmp_path: Path) -> None:
    expected = (
        run_evaluation(few(), test_images, replace(QUICK, networks=4)).result()["accuracy"].values
    )
    first = evaluate(few(), test_images, replace(QUICK, networks=4))
    record(first, tmp_path / "run.zarr", stop=lambda: first.step >= 2)
    recording = record(
        evaluate(few(), test_images, replace(QUICK, networks=4)), tmp_path / "run.zarr"
    )
    assert np.array_equal(recording["accuracy"].isel(step=-1), expected)


def test_a_line_contains_the_protocol(test_images: ImageSet) -> None:
    run = run_evaluation(few(), test_images, QUICK)
    for words in (
        "2 networks (convnet, 8 wide, instance norm)",
        "400 test images of digits",
        "40 images with hard labels",
        "6 epochs",
    ):
        assert words in run.line()


# ---- protocols that differ


def test_unlike_protocols_do_not_go_into_one_table(test_images: ImageSet) -> None:
    first, second = (
        run_evaluation(few(), test_images, replace(QUICK, epochs=epochs)).result()
        for epochs in (1, 2)
    )
    with pytest.raises(InvalidInput, match="a and b were not evaluated alike: epochs 1 and 2"):
        compare_results({"a": first, "b": second})
    rows = compare_results({"a": first, "b": second}, unlike=True)
    assert rows["n"].tolist() == [2, 2]
    other = run_evaluation(few(), load("digits", "val", **SMALL), replace(QUICK, epochs=1)).result()
    with pytest.raises(InvalidInput, match="other test images"):
        compare_results({"a": first, "b": other})


def test_differences_are_paired_by_network(test_images: ImageSet) -> None:
    from scipy.stats import ttest_rel

    protocol = replace(QUICK, networks=4)
    first, second = (run_evaluation(few(n), test_images, protocol).result() for n in (40, 80))
    row = compare_results({"few": first, "more": second}).iloc[1]
    a, b = (r["accuracy"].values.ravel().astype(float) for r in (second, first))
    interval = ttest_rel(a, b).confidence_interval(0.95)
    assert row["minus few"] == pytest.approx((a - b).mean(), abs=1e-6)
    assert row["±"] == pytest.approx((interval.high - interval.low) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"images": torch.zeros(40, 1, 16, 16)},
            r"distilled images are \[1, 16, 16\], test images \[1, 8, 8\]",
        ),
        (
            {"class_names": tuple(map(str, range(11)))},
            "the distilled set has 11 classes, the test set 10",
        ),
        ({"mean": (0.5,)}, "normalised by mean"),
    ],
)
def test_a_set_from_other_data_is_refused(
    changed: dict[str, Any], words: str, test_images: ImageSet
) -> None:
    with pytest.raises(InvalidInput, match=words):
        evaluate(replace(few(), **changed), test_images)


def test_classes_in_another_order_are_refused(test_images: ImageSet) -> None:
    with pytest.raises(InvalidInput, match="have another order"):
        evaluate(replace(few(), class_names=test_images.class_names[::-1]), test_images)


def test_an_unfinished_coreset_is_no_set() -> None:
    run = build({"method": "random", "data": {"name": "digits", "options": SMALL}})
    run.advance()
    with pytest.raises(
        InvalidInput, match="images of 1 of 10 classes are chosen; advance the run to its end first"
    ):
        DistilledSet.of(run)


def test_the_distilled_images_are_no_test_images(test_images: ImageSet) -> None:
    distilled = replace(few(), provenance={"config": {"data": {"sha256": test_images.sha256}}})
    with pytest.raises(InvalidInput, match="distilled from these test images"):
        evaluate(distilled, test_images)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"networks": 2.5}, "networks must be"),
        ({"learning_rate": 0.0}, "learning_rate must be a number above 0"),
        ({"architectures": "convnet"}, "architectures must be a list"),
        ({"augment": "spin"}, "unknown augmentation 'spin'"),
    ],
)
def test_bad_protocols_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        EvaluationProtocol(**wrong)


def test_an_unknown_architecture_is_refused(test_images: ImageSet) -> None:
    with pytest.raises(UnknownName, match="unknown architecture 'vit'"):
        evaluate(few(), test_images, EvaluationProtocol(architectures=("vit",)))
