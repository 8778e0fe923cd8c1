"""What people pass to the formulas of distillation: the right number, or one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from explore.distill import (
    EvaluationProtocol,
    ExpertTrajectories,
    attention_matching_loss,
    augment,
    common_pattern_dropout,
    compare,
    compare_results,
    draw_augmentation,
    enhance_gradient,
    starting_points,
)
from explore.distill.augment import Draw
from explore.distill.evaluation.table import table
from explore.distill.matching_loss import unit_rows
from explore.distill.trajectories.gradient import FlatNetwork, Student, trajectory_gradient
from explore.distill.trajectories.loss import gradient_multiplier
from explore.errors import InvalidInput, UnknownName
from explore.models import ConvNet

RANDOM = torch.Generator().manual_seed(0)
REAL = [torch.rand(4, 3, 5, 5, generator=RANDOM), torch.rand(4, 6, generator=RANDOM)]
OWN = [torch.rand(2, 3, 5, 5, generator=RANDOM), torch.rand(2, 6, generator=RANDOM)]


# ---- the loss of attention matching


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e-4, 1e4, 1e10, 1e30])
@pytest.mark.parametrize("power", [0.5, 1, 2, 4, 9.0])
def test_the_scale_of_maps_changes_nothing(scale: float, power: float) -> None:
    options: dict[str, Any] = {"spatial": power, "channel": power, "mmd": 0}
    scaled = [[taps[0] * scale, taps[1]] for taps in (REAL, OWN)]
    loss = attention_matching_loss(*scaled, **options)
    assert loss.item() == pytest.approx(attention_matching_loss(REAL, OWN, **options).item(), 1e-4)


@pytest.mark.parametrize("scale", [2.0**-100, 1e-12, 1.0, 1e18, 1e30])
def test_unit_rows_have_norm_1_at_any_scale(scale: float) -> None:
    rows = unit_rows(REAL[1] * scale)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(rows, unit_rows(REAL[1]))


def test_rows_of_zeros_stay_zero_and_nan_stays_nan() -> None:
    rows = unit_rows(torch.tensor([[0.0, 0.0], [1.0, torch.nan], [3.0, 4.0]]))
    assert rows[0].tolist() == [0, 0]
    assert rows[1].isnan().all()
    torch.testing.assert_close(rows[2], torch.tensor([0.6, 0.8]))


def test_arrays_lists_and_other_floats_have_the_same_loss() -> None:
    expected = attention_matching_loss(REAL, OWN).item()
    forms = [
        [tap.numpy() for tap in REAL],
        [tap.tolist() for tap in REAL],
        tuple(tap.double() for tap in REAL),
        [REAL[0].double(), REAL[1]],
    ]
    for taps in forms:
        assert attention_matching_loss(taps, OWN).item() == pytest.approx(expected, 1e-5)
    halves = attention_matching_loss([tap.half() for tap in REAL], [tap.half() for tap in OWN])
    assert (halves.dtype, halves.item()) == (torch.float32, pytest.approx(expected, 0.02))


def test_large_halves_do_not_overflow() -> None:
    taps = [[(20 * tap).half() for tap in taps] for taps in (REAL, OWN)]
    assert torch.isfinite(attention_matching_loss(*taps))


@pytest.mark.parametrize("index", [0, 1])
def test_a_loss_of_nan_is_nan(index: int) -> None:
    taps = [tap.clone() for tap in REAL]
    taps[index][1] = torch.nan
    assert attention_matching_loss(taps, OWN).isnan()


@pytest.mark.parametrize(
    ("real", "options", "words"),
    [
        (REAL[0], {}, r"real_taps must be a list of maps and then the embedding, got one Tensor"),
        (REAL[0].numpy(), {}, "got one ndarray"),
        (3, {}, "real_taps must be a list, got 3"),
        ("ab", {}, "real_taps must be a list, got 'ab'"),
        ([REAL[0].byte(), REAL[1]], {}, r"real_taps\[0\] must be floats .*got torch.uint8"),
        ([REAL[0], None], {}, r"real_taps\[1\] must be an array of numbers"),
        ([REAL[0], REAL[1] + 0j], {}, r"real_taps\[1\] must be real numbers"),
        ([REAL[0], REAL[0], REAL[1]], {}, "taps must match"),
        ([REAL[0][:, :2], REAL[1]], {}, "taps must match"),
        ([], {}, "taps must match"),
        (REAL, {"spatial": "4"}, "spatial power must be a number above 0, got '4'"),
        (REAL, {"channel": float("nan")}, "channel power must be a number above 0, got nan"),
        (REAL, {"mmd": -1}, "mmd must be a number of at least 0, got -1"),
        ([REAL[0], REAL[1] * 1e30], {"mmd": 1}, "the loss is too large for torch.float32"),
    ],
)
def test_taps_that_cannot_be_matched_are_named(real: Any, options: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        attention_matching_loss(real, OWN, **options)


# ---- the losses of trajectory matching

STUDENT, TARGET, START = (torch.rand(8, generator=RANDOM) for _ in range(3))


@pytest.mark.parametrize("scale", [1e-36, 1e-25, 1e-10, 1.0, 1e15, 1e30])
@pytest.mark.parametrize("ratio", [0.0, 0.3])
def test_the_relative_distance_has_no_scale(scale: float, ratio: float) -> None:
    expected = common_pattern_dropout(STUDENT, TARGET, START, ratio).item()
    scaled = [vector * scale for vector in (STUDENT, TARGET, START)]
    assert common_pattern_dropout(*scaled, ratio).item() == pytest.approx(expected, 1e-4)


def test_vectors_come_in_every_form_and_keep_their_gradient() -> None:
    expected = common_pattern_dropout(STUDENT, TARGET, START).item()
    leaf = STUDENT.clone().requires_grad_()
    for student in (STUDENT.numpy(), STUDENT.tolist(), STUDENT.double(), leaf):
        result = common_pattern_dropout(student, TARGET, START, np.float32(0))
        assert result.item() == pytest.approx(expected, 1e-6)
    assert torch.autograd.grad(result, leaf)[0].any()


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_distance_of_nan_is_nan(position: int) -> None:
    vectors = [vector.clone() for vector in (STUDENT, TARGET, START)]
    vectors[position][3] = torch.nan
    assert common_pattern_dropout(*vectors).isnan()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((STUDENT.long(), TARGET, START), "student must be floats"),
        ((STUDENT, TARGET[None], START), r"must be vectors \[P\]"),
        ((STUDENT[:0], TARGET[:0], START[:0]), r"must be vectors \[P\]"),
        ((STUDENT, "target", START), "target must be an array of numbers"),
        ((STUDENT * 1e30, TARGET * 1e-3, START * 1e-3), "it has diverged"),
        ((STUDENT, TARGET, START, True), "drop_ratio must be a number"),
    ],
)
def test_vectors_that_cannot_be_compared_are_named(arguments: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        common_pattern_dropout(*arguments)


MAPS = torch.rand(2, 4, 4, generator=RANDOM)
GRADIENT = torch.rand(2, 3, 4, 4, generator=RANDOM)


def test_maps_and_gradients_come_in_every_form() -> None:
    expected = enhance_gradient(GRADIENT, MAPS)
    for grad, maps in ((GRADIENT.numpy(), MAPS.tolist()), (GRADIENT.tolist(), MAPS.numpy())):
        torch.testing.assert_close(enhance_gradient(grad, maps).float(), expected)
    assert enhance_gradient(GRADIENT.half(), MAPS).dtype == torch.float16
    level = gradient_multiplier(MAPS, np.int64(1), np.array(0.5))
    assert torch.equal(level, gradient_multiplier(MAPS, 1, 0.5))


@pytest.mark.parametrize(
    ("grad", "maps", "options", "words"),
    [
        (GRADIENT, MAPS.masked_fill(MAPS > 0.9, torch.nan), {}, "maps hold NaN or Inf"),
        (GRADIENT.byte(), MAPS, {}, "grad must be floats"),
        (GRADIENT, MAPS[0], {}, r"maps must be floats \[N, H, W\]"),
        (GRADIENT, MAPS, {"beta": "1"}, "beta must be a number"),
        (GRADIENT, MAPS, {"beta": 1e300}, "beta must be a number"),
        (GRADIENT, MAPS, {"threshold": np.zeros(2)}, "threshold must be a number"),
        (GRADIENT * 3e38, MAPS, {"beta": 9.0, "threshold": 0.0}, "too large for torch.float32"),
    ],
)
def test_maps_that_cannot_be_used_are_named(
    grad: Any, maps: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        enhance_gradient(grad, maps, **options)


def test_a_student_is_checked() -> None:
    network = FlatNetwork(ConvNet(1, 2, 8, width=2))
    start, rate = torch.zeros(network.size), torch.tensor(0.1)
    images, labels = torch.zeros(2, 1, 8, 8), torch.tensor([0, 1])

    def gradient(**changes: Any) -> Any:
        student = Student(images, labels, rate, [torch.tensor([0, 1])])._replace(**changes)
        return trajectory_gradient(network, start, student, lambda end: end.square().sum())

    expected = gradient().images
    assert torch.equal(
        gradient(images=images.numpy(), labels=[0, 1], batches=[[0, 1]]).images, expected
    )
    for changes, words in (
        ({"batches": [[0, 2]]}, r"rows 0..1 of the images, got 0 to 2"),
        ({"batches": []}, "one or more steps, got no batches"),
        ({"batches": 3}, "batches must be a list"),
        ({"labels": torch.tensor([True, False])}, "labels must be integers"),
        ({"labels": torch.tensor([0])}, "labels must be integers"),
        ({"rate": torch.ones(2)}, "rate must be floats"),
        ({"images": images.byte()}, "images must be floats"),
    ):
        with pytest.raises(InvalidInput, match=words):
            gradient(**changes)
    with pytest.raises(InvalidInput, match="network must be a network"):
        FlatNetwork(lambda x: x)  # type: ignore[arg-type]


# ---- files of experts


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 10**9}, "experts of another architecture: they have"),
        ({"depth": 10**9}, "depth must be a whole number of at least 1 and at most 30"),
        ({"width": "8"}, "width must be a whole number"),
        ({"data": {"shape": [4, 1, 10**7, 10**7]}}, "experts of another architecture"),
        (
            {"data": {"shape": [4]}},
            r"must hold the shape \[N, C, H, W\] of their images, got \[4\]",
        ),
        ({"data": "digits"}, r"must hold the shape"),
    ],
)
def test_a_file_of_experts_cannot_ask_for_much_memory(changes: dict[str, Any], words: str) -> None:
    config: dict[str, Any] = {"width": 2, "depth": 2, "norm": "instance", "epochs": 1, "zca": False}
    config |= {"data": {"shape": [4, 1, 8, 8]}}
    size = sum(p.numel() for p in ConvNet(1, 3, 8, width=2, depth=2).parameters())
    parameters = torch.rand(1, 2, size)
    experts = ExpertTrajectories(parameters.numpy(), ["a", "b", "c"], {"config": config})
    assert torch.equal(experts.parameters, parameters)
    with pytest.raises(InvalidInput, match=words):
        ExpertTrajectories(parameters, ["a", "b", "c"], {"config": {**config, **changes}})


# ---- augmentation


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("operation", ["color", "crop", "cutout", "flip", "scale", "rotate"])
def test_images_keep_their_type(kind: torch.dtype, operation: str) -> None:
    images = torch.rand(2, 1, 8, 8, generator=RANDOM)
    draw = Draw(operation, np.array([[0.3, 0.6, 0.2]]))
    result = augment(images.to(kind), draw)
    assert result.dtype == kind
    expected = augment(images.to(kind).double(), draw)
    torch.testing.assert_close(result.double(), expected, rtol=0.01, atol=0.02)
    assert torch.equal(augment(images.numpy(), draw), augment(images, draw))


@pytest.mark.parametrize(
    ("images", "draw", "words"),
    [
        (torch.zeros(2, 8, 8), None, r"images must be floats \[N, C, H, W\]"),
        (torch.zeros(2, 1, 8, 8).byte(), None, "images must be floats"),
        (torch.zeros(2, 1, 8, 8), "flip", "draw must be that of draw_augmentation, got 'flip'"),
        (torch.zeros(2, 1, 8, 8), Draw("spin", np.zeros((1, 3))), "unknown augmentation 'spin'"),
        (torch.zeros(2, 1, 8, 8), Draw("flip", np.zeros((3, 3))), r"\[1, 3\] or \[2, 3\]"),
        (torch.zeros(2, 1, 8, 8), Draw("flip", np.full((1, 3), 7.0)), "from 0 to 1; got .* 7 to 7"),
        (torch.zeros(2, 1, 8, 8), Draw("flip", np.full((1, 3), np.nan)), "must be finite"),
    ],
)
def test_images_that_cannot_be_changed_are_named(images: Any, draw: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        augment(images, draw)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("flip", 0), "operations must be a list"),
        ((["spin"], 0), "unknown name in operations 'spin'"),
        ((["flip"], -1), "seed must be a whole number"),
        ((["flip"], 0, 1.5), "images must be a whole number"),
        ((["flip"], 0, 2**62), "images must be a whole number"),
    ],
)
def test_draws_of_something_else_are_refused(arguments: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        draw_augmentation(*arguments)


# ---- tables


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        (compare_results, ([],), "results must be a mapping"),
        (compare_results, ({"a": 3},), r"results\['a'\] must be a list"),
        (compare_results, ({"a": [3]},), r"results\['a'\] must be the result or the recording"),
        (table, (3,), "recordings must be a list"),
        (table, ([3],), "recordings must be a list of recordings, got 3 in it"),
        (table, ([],), "none of the 0 recordings is an evaluation"),
        (compare, ({}, None), "sets must be a mapping, name → distilled set"),
        (compare, ({"a": []}, None), r"sets\['a'\] is empty"),
        (compare, ({"a": 3}, None), "distilled must be"),
        (starting_points, ("digits", 0), "per_class must be a whole number of at least 1"),
        (starting_points, ("digits", 10**400), "per_class must be a whole number"),
        (starting_points, ("digits", 1, -1), "seed must be a whole number"),
        (EvaluationProtocol.of, (3,), "config must be that of an evaluation, got 3"),
        (EvaluationProtocol().unlike, ({},), "other must be an EvaluationProtocol, got {}"),
    ],
)
def test_tables_of_something_else_are_refused(function: Any, arguments: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        function(*arguments)


@pytest.mark.parametrize("names", [{"convnet"}, {"convnet": 1}, [1.5], [["a"]]])
def test_architectures_are_a_list_of_names(names: Any) -> None:
    with pytest.raises(InvalidInput, match="architectures must be a list"):
        EvaluationProtocol(architectures=names)


def test_architectures_may_be_an_array() -> None:
    protocol = EvaluationProtocol(architectures=np.array(["vgg11", "convnet"]))
    assert protocol.architectures == ("vgg11", "convnet")


def test_unknown_operations_are_refused_by_their_name() -> None:
    with pytest.raises(UnknownName, match="unknown augmentation 'spin'"):
        EvaluationProtocol(augment="crop_spin")
