"""The gradient of trajectory matching: the adjoint equals the unrolled graph, and both equal finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from explore.distill.trajectories.gradient import (
    FlatNetwork,
    Student,
    TrajectoryGradient,
    flatten_parameters,
    trajectory_gradient,
)
from explore.distill.trajectories.loss import common_pattern_dropout
from explore.errors import InvalidInput, UnknownName
from explore.models import ConvNet

CLASSES, IMAGES = 3, 6


def smooth_network() -> nn.Module:
    """A float64 network with smooth activations, so that finite differences are exact."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 3), nn.GroupNorm(3, 3), nn.Softplus(), nn.AvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(12, CLASSES)).double()


def problem(steps: int, seed: int = 0) -> tuple[FlatNetwork, torch.Tensor, torch.Tensor, Student]:
    """A network, an expert's start and target, and a student."""
    generator = torch.Generator().manual_seed(seed)
    network = smooth_network()
    start = flatten_parameters(network)
    target = start + 0.05 * torch.randn(start.shape, generator=generator, dtype=start.dtype)
    images = torch.randn(IMAGES, 1, 6, 6, generator=generator, dtype=torch.float64)
    logits = torch.randn(IMAGES, CLASSES, generator=generator, dtype=torch.float64)
    batches = [torch.randperm(IMAGES, generator=generator)[:4] for _ in range(steps)]
    rate = torch.tensor(0.3, dtype=torch.float64)
    return FlatNetwork(network), start, target, Student(images, logits, rate, batches)


def gradient(steps: int, kind: str, drop_ratio: float = 0.0) -> TrajectoryGradient:
    network, start, target, student = problem(steps)

    def loss(end: torch.Tensor) -> torch.Tensor:
        return common_pattern_dropout(end, target, start, drop_ratio)

    return trajectory_gradient(network, start, student, loss, kind)


@pytest.mark.parametrize("drop_ratio", [0.0, 0.25])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_adjoint_is_the_gradient_of_the_unrolled_graph(steps: int, drop_ratio: float) -> None:
    adjoint, unroll = (gradient(steps, kind, drop_ratio) for kind in ("adjoint", "unroll"))
    for ours, reference in zip(adjoint, unroll, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-12)


def test_the_adjoint_is_the_limit_of_finite_differences() -> None:
    network, start, target, student = problem(3)

    def value(images: torch.Tensor, logits: torch.Tensor, rate: torch.Tensor) -> float:
        changed = student._replace(images=images, labels=logits, rate=rate)

        def loss(end: torch.Tensor) -> torch.Tensor:
            return common_pattern_dropout(end, target, start)

        return float(trajectory_gradient(network, start, changed, loss, "unroll").loss)

    found = gradient(3, "adjoint")
    step = 1e-5
    for position, name in enumerate(("images", "labels", "rate")):
        tensor = student[position]
        index = tuple(min(1, size - 1) for size in tensor.shape)
        change = torch.zeros_like(tensor)
        change[index] = step
        arguments = list(student[:3])
        arguments[position] = tensor + change
        above = value(*arguments)
        arguments[position] = tensor - change
        below = value(*arguments)
        expected = (above - below) / (2 * step)
        assert float(getattr(found, name)[index]) == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_tesla_is_exact_for_one_step_and_not_for_more() -> None:
    for ours, reference in zip(gradient(1, "tesla"), gradient(1, "unroll"), strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-12)
    approximate, exact = gradient(7, "tesla"), gradient(7, "unroll")
    torch.testing.assert_close(approximate.end, exact.end)
    assert not torch.allclose(approximate.images, exact.images, rtol=1e-3)


def test_float32_networks_of_the_line_agree_to_a_part_in_a_hundred_thousand() -> None:
    generator = torch.Generator().manual_seed(1)
    network = ConvNet(1, CLASSES, 8, width=8, depth=2)
    start = flatten_parameters(network)
    target = start + 0.01 * torch.randn(start.shape, generator=generator)
    student = Student(
        torch.randn(IMAGES, 1, 8, 8, generator=generator),
        torch.randn(IMAGES, CLASSES, generator=generator),
        torch.tensor(0.02),
        [torch.arange(IMAGES)] * 5,
    )

    def loss(end: torch.Tensor) -> torch.Tensor:
        return common_pattern_dropout(end, target, start)

    flat = FlatNetwork(network)
    adjoint, unroll = (
        trajectory_gradient(flat, start, student, loss, kind) for kind in ("adjoint", "unroll")
    )
    for name in ("images", "labels", "rate"):
        ours, reference = getattr(adjoint, name), getattr(unroll, name)
        assert float((ours - reference).norm() / reference.norm()) < 1e-5, name


def test_a_student_that_does_not_move_has_loss_1() -> None:
    network, start, target, student = problem(2)
    still = student._replace(rate=torch.zeros((), dtype=torch.float64))

    def loss(end: torch.Tensor) -> torch.Tensor:
        return common_pattern_dropout(end, target, start)

    found = trajectory_gradient(network, start, still, loss)
    assert float(found.loss) == pytest.approx(1)
    assert torch.equal(found.end, start)


def test_inputs_are_not_changed_and_have_no_gradient() -> None:
    network, start, target, student = problem(2)
    before = [tensor.clone() for tensor in (start, *student[:3])]
    trajectory_gradient(
        network, start, student, lambda end: common_pattern_dropout(end, target, start)
    )
    for tensor, copy in zip((start, *student[:3]), before, strict=True):
        assert torch.equal(tensor, copy)
        assert not tensor.requires_grad
        assert tensor.grad is None


def test_wrong_arguments_are_named() -> None:
    network, start, _, student = problem(1)
    with pytest.raises(InvalidInput, match="one or more steps"):
        trajectory_gradient(network, start, student._replace(batches=[]), torch.sum)
    with pytest.raises(InvalidInput, match="the network has 75 parameters, got a vector"):
        trajectory_gradient(network, start[:-1], student, torch.sum)
    with pytest.raises(UnknownName, match="adjoint"):
        trajectory_gradient(network, start, student, torch.sum, "adjiont")


def test_integer_labels_are_one_hot_and_have_no_gradient() -> None:
    network, start, target, student = problem(4)
    labels = student.labels.argmax(1)
    hard = student._replace(labels=labels)
    # A softmax of such logits is one-hot up to the precision of float64.
    almost = student._replace(labels=100 * torch.nn.functional.one_hot(labels, CLASSES).double())

    def loss(end: torch.Tensor) -> torch.Tensor:
        return common_pattern_dropout(end, target, start)

    for kind in ("adjoint", "unroll", "tesla"):
        ours = trajectory_gradient(network, start, hard, loss, kind)
        reference = trajectory_gradient(network, start, almost, loss, kind)
        assert ours.labels is None
        torch.testing.assert_close(ours.images, reference.images)
        torch.testing.assert_close(ours.rate, reference.rate)


def test_augmented_images_have_the_gradient_of_the_unrolled_graph() -> None:
    network, start, target, student = problem(3)

    def augment(images: torch.Tensor, step: int) -> torch.Tensor:
        return images.roll(step, 3) * (1 + 0.1 * step)

    changed = student._replace(augment=augment)

    def loss(end: torch.Tensor) -> torch.Tensor:
        return common_pattern_dropout(end, target, start)

    adjoint, unroll = (
        trajectory_gradient(network, start, changed, loss, kind) for kind in ("adjoint", "unroll")
    )
    for ours, reference in zip(adjoint, unroll, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-12)
    plain = trajectory_gradient(network, start, student, loss)
    assert not torch.allclose(plain.images, adjoint.images)
