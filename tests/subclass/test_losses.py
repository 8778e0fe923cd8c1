"""Distillation losses against PyTorch's losses and plain loops: identities, limits, gradients."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from explore.subclass.losses import (
    class_distillation_loss,
    class_divergence,
    class_logits,
    class_probabilities,
    prior_correction,
    subclass_distillation_loss,
    subclass_divergence,
)

MAPS = [[0, 0, 1, 1], [0, 1, 0, 1, 0], [1, 0, 0, 0], [0, 1, 2], [0, 0, 0], [2, 0, 1, 0, 2, 2]]
maps = pytest.mark.parametrize("parents", MAPS, ids=str)
losses = pytest.mark.parametrize("loss", [subclass_distillation_loss, class_distillation_loss])
temperatures = pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])


def random_arguments(
    parents, b: int = 16, seed: int = 0, dtype=torch.float32
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return random logits of a student and of a teacher, and classes."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (
        2 * torch.randn(b, len(parents), generator=generator, dtype=torch.float64) for _ in range(2)
    )
    return (
        student.to(dtype),
        teacher.to(dtype),
        torch.randint(max(parents) + 1, (b,), generator=generator),
    )


def members(parents, k: int) -> list[int]:
    return [j for j, p in enumerate(parents) if p == k]


def sums(q: torch.Tensor, parents) -> torch.Tensor:
    return torch.stack([q[..., members(parents, k)].sum(-1) for k in range(max(parents) + 1)], -1)


# ---- classes of subclasses


@maps
def test_the_sum_of_softmax_is_the_softmax_of_logsumexp(parents):
    z = random_arguments(parents, dtype=torch.float64)[0]
    expected = sums(z.softmax(-1), parents)
    zeta = class_logits(z, parents)
    assert zeta.shape == expected.shape
    torch.testing.assert_close(zeta.softmax(-1), expected, rtol=0, atol=1e-15)
    torch.testing.assert_close(zeta, sums(z.exp(), parents).log(), rtol=1e-12, atol=1e-12)
    for soften in ("subclass", "class"):
        torch.testing.assert_close(
            class_probabilities(z, parents, 1.0, soften), expected, rtol=0, atol=1e-15
        )


@maps
def test_any_number_of_leading_dimensions(parents):
    z = torch.randn(2, 3, 5, len(parents), generator=torch.Generator().manual_seed(1))
    logits = class_logits(z, parents)
    assert logits.shape == (2, 3, 5, max(parents) + 1)
    assert torch.equal(logits[1, 2, 4], class_logits(z[1, 2, 4], torch.tensor(parents)))
    assert torch.equal(logits, class_logits(z, tuple(parents)))


@temperatures
def test_the_two_ways_to_soften_by_their_formulas(temperature):
    parents = [0, 1, 0, 1, 0]
    z = random_arguments(parents, dtype=torch.float64)[0]
    torch.testing.assert_close(
        class_probabilities(z, parents, temperature), sums((z / temperature).softmax(-1), parents)
    )
    by_class = (sums(z.exp(), parents).log() / temperature).softmax(-1)
    torch.testing.assert_close(class_probabilities(z, parents, temperature, "class"), by_class)


def test_the_two_ways_to_soften_differ_at_another_temperature():
    z = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    away = {
        t: float(
            (
                class_probabilities(z, [0, 0, 1, 1], t)
                - class_probabilities(z, [0, 0, 1, 1], t, "class")
            )
            .abs()
            .max()
        )
        for t in (1.0, 4.0)
    }
    assert away[1.0] < 1e-14
    assert away[4.0] == pytest.approx(0.07, abs=0.03)


def test_the_class_of_the_largest_sum_need_not_hold_the_largest_subclass():
    z, parents = torch.tensor([0.4, 0.3, 0.3]).log(), [0, 1, 1]
    assert parents[int(z.argmax())] == 0
    assert int(class_logits(z, parents).argmax()) == 1
    torch.testing.assert_close(class_probabilities(z, parents), torch.tensor([0.4, 0.6]))


def test_masked_subclasses_count_nothing():
    parents, z = [0, 1, 1, 0, 2], torch.tensor([[1.0, -torch.inf, 2.0, 0.5, -torch.inf]])
    expected = torch.tensor([[log(exp(1) + exp(0.5)), 2.0, -torch.inf]])
    torch.testing.assert_close(class_logits(z, parents), expected)
    probabilities = class_probabilities(z, parents, 2.0)
    assert probabilities[0, 2] == 0
    assert float(probabilities.sum()) == pytest.approx(1)


def test_zero_logits_start_unequal_classes_unlike_and_the_correction_alike():
    parents = [0, 1, 0, 0]
    torch.testing.assert_close(
        class_probabilities(torch.zeros(4), parents), torch.tensor([0.75, 0.25])
    )
    torch.testing.assert_close(
        prior_correction(parents), torch.tensor([-log(3), 0.0, -log(3), -log(3)])
    )
    for parents in MAPS:
        c = max(parents) + 1
        torch.testing.assert_close(
            class_probabilities(prior_correction(parents), parents), torch.full((c,), 1 / c)
        )
    assert not prior_correction([1, 0, 2]).any()


# ---- losses


@maps
@temperatures
def test_against_pytorchs_divergence(parents, temperature):
    student, teacher, y = random_arguments(parents)
    q_t, q_s = (teacher / temperature).softmax(-1), (student / temperature).softmax(-1)
    soft = temperature**2 * kl_div(q_s.log(), q_t, reduction="batchmean")
    c_t, c_s = sums(q_t, parents), sums(q_s, parents)
    class_soft = temperature**2 * kl_div(c_s.log(), c_t, reduction="batchmean")
    hard = -sums(student.softmax(-1), parents).log()[torch.arange(len(y)), y].mean()  # at T = 1
    for weight in (0.0, 0.3, 1.0):
        expected = weight * soft + (1 - weight) * hard
        torch.testing.assert_close(
            subclass_distillation_loss(student, teacher, y, parents, temperature, weight), expected
        )
        expected = weight * class_soft + (1 - weight) * hard
        torch.testing.assert_close(
            class_distillation_loss(student, teacher, y, parents, temperature, weight), expected
        )
    by_class = [
        (class_logits(z, parents) / temperature).log_softmax(-1) for z in (student, teacher)
    ]
    expected = temperature**2 * kl_div(*by_class, reduction="batchmean", log_target=True)
    torch.testing.assert_close(
        class_distillation_loss(student, teacher, y, parents, temperature, 1.0, "class"), expected
    )


def test_the_defaults_are_temperature_4_and_equal_weights():
    arguments = random_arguments([0, 0, 1])
    for loss in (subclass_distillation_loss, class_distillation_loss):
        assert loss(*arguments, [0, 0, 1]) == loss(*arguments, [0, 0, 1], 4.0, 0.5)
    assert class_distillation_loss(*arguments, [0, 0, 1]) == class_distillation_loss(
        *arguments, [0, 0, 1], soften="subclass"
    )
    assert class_distillation_loss(*arguments, [0, 0, 1]) != class_distillation_loss(
        *arguments, [0, 0, 1], soften="class"
    )


@pytest.mark.parametrize("parents", [[0, 1, 2, 3], [2, 0, 3, 1]])
@temperatures
@pytest.mark.parametrize("soften", ["subclass", "class"])
def test_with_one_subclass_a_class_both_levels_are_one(parents, temperature, soften):
    student, teacher, y = random_arguments(parents)
    subclass_loss = subclass_distillation_loss(student, teacher, y, parents, temperature)
    other = class_distillation_loss(student, teacher, y, parents, temperature, soften=soften)
    if parents == sorted(parents) and soften == "subclass":
        assert torch.equal(subclass_loss, other)  # bit for bit
    torch.testing.assert_close(subclass_loss, other, rtol=1e-6, atol=0)


@losses
@maps
def test_losses_do_not_depend_on_order_shifts_and_the_type_of_parents(loss, parents):
    student, teacher, y = random_arguments(parents)
    expected = loss(student, teacher, y, parents)
    order = torch.from_numpy(np.random.default_rng(1).permutation(len(parents)))
    torch.testing.assert_close(
        loss(student[:, order], teacher[:, order], y, torch.tensor(parents)[order]), expected
    )
    torch.testing.assert_close(
        loss(student + 3, teacher - torch.arange(16.0)[:, None], y, parents),
        expected,
        rtol=1e-5,
        atol=1e-6,
    )
    torch.testing.assert_close(loss(student.flip(0), teacher.flip(0), y.flip(0), parents), expected)
    for kind in (list, tuple, np.array, torch.tensor):
        assert loss(student, teacher, y, kind(parents)) == expected


@maps
@temperatures
def test_divergences_are_0_of_equal_labels_and_above_of_others(parents, temperature):
    student, teacher, _ = random_arguments(parents)
    same = student + torch.arange(16.0)[:, None]
    assert subclass_divergence(student, same, temperature).abs().max() < 1e-5
    assert class_divergence(student, same, parents, temperature).abs().max() < 1e-5
    assert subclass_divergence(student, teacher, temperature).min() > 1e-4
    assert class_divergence(student, teacher, parents, temperature).min() > -1e-5
    coarse = class_divergence(student, teacher, parents, temperature)  # data processing
    assert (coarse <= subclass_divergence(student, teacher, temperature) + 1e-5).all()


def test_classes_that_agree_can_hide_subclasses_that_do_not():
    student, teacher = torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[0.0, 1.0, 2.0]])
    assert class_divergence(student, teacher, [0, 0, 1], 1.0).abs() < 1e-6
    assert subclass_divergence(student, teacher, 1.0) > 0.1


@pytest.mark.parametrize("parents", [[0, 0, 1, 1], [1, 0, 0, 0, 1, 1]])
def test_t_squared_keeps_the_gradient_alive(parents):
    """T² KL tends to a squared distance, with the gradient (centred z^s − centred z^t) / S.

    The difference falls with T, to 0.5 % at T = 256.
    """
    student, teacher, y = random_arguments(parents)
    centred = [z - z.mean(-1, keepdim=True) for z in (student, teacher)]
    expected, errors = (centred[0] - centred[1]) / len(parents) / len(y), []
    for temperature in (1.0, 2.0, 4.0, 16.0, 64.0, 256.0):
        leaf = student.clone().requires_grad_()
        subclass_distillation_loss(leaf, teacher, y, parents, temperature, 1.0).backward()
        errors.append(float((leaf.grad - expected).norm() / expected.norm()))
        q_s, q_t = (student / temperature).softmax(-1), (teacher / temperature).softmax(-1)
        torch.testing.assert_close(
            leaf.grad, temperature * (q_s - q_t) / len(y), rtol=1e-3, atol=1e-5
        )
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.1
    assert errors[-1] < 0.005


@losses
@pytest.mark.parametrize("soften", ["subclass", "class"])
@temperatures
def test_gradients_are_those_of_finite_differences(loss, soften, temperature):
    """The soft term is always float32, so the step is 2⁻⁵ and the tolerances fit its rounding."""
    parents = [0, 1, 0, 2, 1, 1]
    more = {"soften": soften} if loss is class_distillation_loss else {}
    student, teacher, y = random_arguments(parents, 5, dtype=torch.float64)
    leaf = student.clone().requires_grad_()
    loss(leaf, teacher, y, parents, temperature, 0.6, **more).backward()
    step = 2**-5
    for k in range(student.numel()):
        ends = []
        for shift in (-2, -1, 1, 2):
            moved = student.clone()
            moved.view(-1)[k] += shift * step
            ends.append(float(loss(moved, teacher, y, parents, temperature, 0.6, **more)))
        slope = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * step)
        assert float(leaf.grad.view(-1)[k]) == pytest.approx(slope, abs=3e-4)


@pytest.mark.parametrize("weight", [0.0, 0.6, 1.0])
@losses
def test_gradients_in_float64(loss, weight):
    parents = [0, 1, 0, 1, 1]
    student, teacher, y = random_arguments(parents, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda z: loss(z, teacher, y, parents, 4.0, weight), student.requires_grad_()
    )


@maps
@temperatures
def test_cross_entropy_minus_divergence_is_the_teachers_entropy(parents, temperature):
    student, teacher, _ = random_arguments(parents)
    q = (teacher / temperature).softmax(-1)
    entropy = -(q * q.log()).sum(-1)
    crossed = cross_entropy(student / temperature, q, reduction="none")
    difference = temperature**2 * crossed - subclass_divergence(student, teacher, temperature)
    torch.testing.assert_close(difference, temperature**2 * entropy, rtol=1e-5, atol=1e-5)


@losses
def test_no_gradient_reaches_the_teacher(loss):
    student, teacher, y = random_arguments([0, 0, 1])
    student.requires_grad_()
    teacher.requires_grad_()
    loss(student, teacher, y, [0, 0, 1]).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@losses
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(loss, dtype):
    parents = [0, 0, 1, 1]
    student, teacher, y = random_arguments(parents, dtype=dtype)
    for weight in (1.0, 0.5, 0.0):
        expected = loss(student.float(), teacher.float(), y, parents, 4.0, weight)
        assert float(loss(student, teacher, y, parents, 4.0, weight)) == pytest.approx(
            float(expected), rel=1e-6
        )


@losses
def test_subclasses_that_the_teacher_masks_do_not_add_to_the_loss(loss):
    student, teacher, y = random_arguments([0, 1, 1, 0])
    teacher[:, 2] = -torch.inf
    student.requires_grad_()
    value = loss(student, teacher, y, [0, 1, 1, 0], 2.0, 1.0)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(student.grad).all()
    if loss is subclass_distillation_loss:
        q, log = (teacher / 2).softmax(-1), (student.detach() / 2).log_softmax(-1)
        assert value.item() == pytest.approx(
            4 * float(kl_div(log, q, reduction="batchmean")), rel=1e-5
        )


@losses
def test_a_mask_that_both_have_is_as_good_as_absence(loss):
    student, teacher, y = random_arguments([0, 1, 1])
    blank = torch.full((16, 1), -torch.inf)
    masked = torch.cat([student, blank], -1).requires_grad_()
    value = loss(masked, torch.cat([teacher, blank], -1), y, [0, 1, 1, 0])
    torch.testing.assert_close(value, loss(student, teacher, y, [0, 1, 1]))
    value.backward()
    assert torch.isfinite(masked.grad).all()


@losses
def test_a_whole_class_that_is_masked_leaves_gradients_finite(loss):
    student, teacher, y = random_arguments([0, 1, 1])
    blank = torch.full((16, 1), -torch.inf)
    masked = torch.cat([student, blank], -1).requires_grad_()
    loss(masked, torch.cat([teacher, blank], -1), y, [0, 1, 1, 2]).backward()
    assert torch.isfinite(masked.grad).all()
