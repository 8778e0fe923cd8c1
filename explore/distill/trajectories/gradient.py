"""The gradient of a trajectory-matching loss, with memory that does not grow with the steps.

A student starts at an expert's parameters θ₀ and takes N steps of SGD on synthetic images x with
labels, ``θₙ₊₁ = θₙ − η ∇ CE(θₙ; xₙ)``. The loss depends on θ_N. Three ways lead to its gradient
with respect to images, soft labels and rate η:

* "unroll": PyTorch differentiates through all steps at once; its graph grows with N.
* "adjoint": θ₀ … θ_N are stored, and the steps are differentiated one by one, from the last to the
  first. The gradient is the same, and only one step has a graph.
* "tesla": the sum of TESLA (arXiv 2211.10586), which treats the parameters at which the gradients
  are taken as constants. It is exact for one step and an approximation for more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from explore.core.tensor_validation import as_tensor, check_labels, check_network, check_tensor
from explore.core.validation import check_callable, check_choice, check_items
from explore.distill.trajectories.config import GRADIENT_KINDS
from explore.errors import InvalidInput

EndLoss = Callable[[torch.Tensor], torch.Tensor]
"""From the parameters ``[P]`` at the end to a scalar."""

BatchAugment = Callable[[torch.Tensor, int], torch.Tensor]
"""From the images of a step and its number to what the student sees; the same at each call."""


def no_augmentation(images: torch.Tensor, step: int) -> torch.Tensor:
    """Return the images as they are."""
    return images


class FlatNetwork:
    """A network as a function of one vector of parameters.

    Args:
        network: any module without buffers that change in a forward pass, so without batch norm in
            training mode. Its own parameters are not used.

    Attributes:
        size: number of parameters P.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = check_network("network", network)
        self._shapes = {name: p.shape for name, p in network.named_parameters()}
        self.size = sum(shape.numel() for shape in self._shapes.values())

    def logits(self, parameters: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Return the logits ``[n, K]`` under parameters ``[P]``.

        Raises:
            InvalidInput: a vector of another length.
        """
        if parameters.shape != (self.size,):
            raise InvalidInput(
                f"the network has {self.size} parameters, got a vector {list(parameters.shape)}"
            )
        parts = parameters.split([shape.numel() for shape in self._shapes.values()])
        named = {
            name: part.view(shape)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }
        return functional_call(self._network, named, (images,))


def flatten_parameters(network: nn.Module) -> torch.Tensor:
    """Return a copy of all parameters of a network as one vector ``[P]``."""
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


class Student(NamedTuple):
    """What a student learns from.

    Attributes:
        images: ``[n, C, H, W]``.
        labels: integers ``[n]``, or logits ``[n, K]`` whose softmax are soft labels.
        rate: scalar tensor, the learning rate η.
        batches: the rows of ``images`` of each step.
        augment: changes the images of a step; differentiable, and the same at each call.
    """

    images: torch.Tensor
    labels: torch.Tensor
    rate: torch.Tensor
    batches: Sequence[torch.Tensor]
    augment: BatchAugment = no_augmentation

    @property
    def soft(self) -> bool:
        """Whether the labels are logits, which have a gradient."""
        return self.labels.is_floating_point()


class TrajectoryGradient(NamedTuple):
    """Loss and gradients with respect to images, rate and soft labels.

    Attributes:
        loss: scalar.
        images, rate: gradients, shaped as in ``Student``.
        labels: the gradient with respect to the logits; None where labels are integers.
        end: ``[P]``, the student's parameters after its steps.
    """

    loss: torch.Tensor
    images: torch.Tensor
    rate: torch.Tensor
    labels: torch.Tensor | None
    end: torch.Tensor


def trajectory_gradient(
    network: FlatNetwork,
    start: torch.Tensor,
    student: Student,
    loss: EndLoss,
    kind: str = "adjoint",
) -> TrajectoryGradient:
    """Let a student learn, and return the gradient of its loss.

    Args:
        network: the student's network.
        start: ``[P]``, the parameters from which it starts.
        student: what it learns from.
        loss: of the parameters at the end; for example ``common_pattern_dropout``.
        kind: "adjoint" or "unroll" (the same gradient), or "tesla" (an approximation).

    Raises:
        InvalidInput: no batches, rows that are not those of images, a vector of another length, or
            a student with tensors of another form.
        UnknownName: an unknown kind.
    """
    kind = check_choice("kind", kind, GRADIENT_KINDS)
    start = check_tensor("start", start, ("P",))
    student = _check_student(student)
    check_callable("loss", loss, "of the parameters at the end")
    labels = student.labels.detach()
    leaves = student._replace(
        images=student.images.detach().requires_grad_(),
        labels=labels.requires_grad_() if student.soft else labels,
        rate=student.rate.detach().requires_grad_(),
    )
    with torch.enable_grad():
        if kind == "unroll":
            return _unroll(network, start.detach(), leaves, loss)
        return _backward(network, start.detach(), leaves, loss, exact=kind == "adjoint")


def _check_student(student: Student) -> Student:
    """Return a student whose tensors have the expected forms."""
    if not isinstance(student, Student):
        raise InvalidInput(f"student must be a Student, got {type(student).__name__}")
    images = check_tensor("images", student.images, ("N", "C", "H", "W"))
    labels = as_tensor("labels", student.labels)
    if labels.is_floating_point():
        labels = check_tensor("labels", labels, (len(images), "K"))
    else:
        labels = check_labels("labels", labels, len(images), samples="image")
    batches = [
        check_tensor("a batch", rows, ("n",), kind="integer")
        for rows in check_items("batches", student.batches)
    ]
    if not batches:
        raise InvalidInput("a student needs one or more steps, got no batches")
    low, high = torch.aminmax(torch.cat(batches))
    if low < 0 or high >= len(images):
        raise InvalidInput(
            f"batches must hold rows 0..{len(images) - 1} of the images, got {int(low)} to "
            f"{int(high)}"
        )
    rate = check_tensor("rate", student.rate, ())
    return student._replace(images=images, labels=labels, rate=rate, batches=batches)


def _step_gradient(
    network: FlatNetwork,
    parameters: torch.Tensor,
    student: Student,
    step: int,
    differentiable: bool,
) -> torch.Tensor:
    """Return the gradient ``[P]`` of one of the student's steps."""
    rows = student.batches[step]
    logits = network.logits(parameters, student.augment(student.images[rows], step))
    labels = student.labels[rows]
    entropy = cross_entropy(logits, labels.softmax(1) if student.soft else labels)
    (gradient,) = torch.autograd.grad(entropy, parameters, create_graph=differentiable)
    return gradient


def _unroll(
    network: FlatNetwork, start: torch.Tensor, student: Student, loss: EndLoss
) -> TrajectoryGradient:
    parameters = start.clone().requires_grad_()
    for step in range(len(student.batches)):
        gradient = _step_gradient(network, parameters, student, step, True)
        parameters = parameters - student.rate * gradient
    value = loss(parameters)
    inputs = (student.images, student.rate, *((student.labels,) if student.soft else ()))
    images, rate, *labels = torch.autograd.grad(value, inputs)
    return TrajectoryGradient(
        value.detach(), images, rate, labels[0] if labels else None, parameters.detach()
    )


def _walk(network: FlatNetwork, start: torch.Tensor, student: Student) -> list[torch.Tensor]:
    """Return the student's parameters before each step and at the end, without graphs."""
    trajectory = [start]
    rate = student.rate.detach()
    for step in range(len(student.batches)):
        parameters = trajectory[-1].requires_grad_()
        gradient = _step_gradient(network, parameters, student, step, False)
        trajectory[-1] = parameters.detach()
        trajectory.append(trajectory[-1] - rate * gradient)
    return trajectory


def _end(loss: EndLoss, end: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss at the end, and its gradient with respect to the parameters."""
    leaf = end.detach().requires_grad_()
    value = loss(leaf)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


def _backward(
    network: FlatNetwork, start: torch.Tensor, student: Student, loss: EndLoss, exact: bool
) -> TrajectoryGradient:
    """Return the gradient, step by step from the last; TESLA's sum if it is not ``exact``.

    A step is ``θ − η g(θ, x, y)``, so its transposed derivatives are those of ``−η λ·g``. TESLA
    leaves out the derivative with respect to θ, so its λ is the same at every step.
    """
    trajectory = _walk(network, start, student)
    value, adjoint = _end(loss, trajectory[-1])
    rate = student.rate.detach()
    totals = [torch.zeros_like(student.images)]
    if student.soft:
        totals.append(torch.zeros_like(student.labels))
    rate_gradient = torch.zeros_like(student.rate)
    for step in reversed(range(len(student.batches))):
        leaf = trajectory[step].detach().requires_grad_()
        gradient = _step_gradient(network, leaf, student, step, True)
        rate_gradient -= adjoint @ gradient.detach()
        inputs = [student.images, *([student.labels] if student.soft else [])]
        if exact:
            inputs.append(leaf)
        parts = torch.autograd.grad(-rate * (adjoint @ gradient), inputs)
        for total, part in zip(totals, parts, strict=False):
            total += part
        if exact:
            adjoint = adjoint + parts[-1]
    labels = totals[1] if student.soft else None
    return TrajectoryGradient(value, totals[0], rate_gradient, labels, trajectory[-1])
