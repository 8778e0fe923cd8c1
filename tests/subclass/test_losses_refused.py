"""The auxiliary loss against a plain loop, and bad input of the losses."""

from __future__ import annotations

from math import exp, log, sqrt

import pytest
import torch
from hypothesis import assume, given, strategies as st

from explore.errors import InvalidInput, UnknownName
from explore.subclass.losses import (
    auxiliary_loss,
    class_distillation_loss,
    class_logits,
    class_probabilities,
    prior_correction,
    subclass_distillation_loss,
)

losses = pytest.mark.parametrize("loss", [subclass_distillation_loss, class_distillation_loss])


def plain_auxiliary(logits: list[list[float]], temperature: float = 1.0) -> float:
    """Return the loss of section 12, sample by sample."""
    b, s, rows = len(logits), len(logits[0]), []
    for z in logits:
        mean = sum(z) / s
        deviation = sqrt(sum((v - mean) ** 2 for v in z) / s + 1e-9)
        rows.append([(v - mean) / deviation for v in z])
    total = 0.0
    for row in rows:
        total += log(
            sum(
                exp(sum(a * c for a, c in zip(row, other, strict=True)) / (temperature * s))
                for other in rows
            )
        )
    return total / b - 1 / temperature - log(b)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
@pytest.mark.parametrize(("b", "s"), [(1, 2), (2, 3), (7, 4), (32, 10)])
def test_the_auxiliary_loss_is_that_of_a_plain_loop(b, s, temperature):
    z = 3 * torch.randn(b, s, generator=torch.Generator().manual_seed(b)) + 5
    assert float(auxiliary_loss(z, temperature)) == pytest.approx(
        plain_auxiliary(z.tolist(), temperature), abs=2e-5
    )


@given(
    st.integers(1, 40), st.integers(2, 12), st.sampled_from([0.2, 1.0, 5.0]), st.integers(0, 999)
)
def test_bounds_of_the_auxiliary_loss(b, s, temperature, seed):
    z = torch.randn(b, s, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assume(float(z.std(-1, correction=0).min()) > 0.1)  # constant rows are tested below
    assert -log(b) - 1e-6 <= float(auxiliary_loss(z, temperature)) <= 1e-6


def test_it_is_0_if_all_standardised_rows_are_equal():
    row = torch.randn(1, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scale, shift = torch.rand(9, 1, dtype=torch.float64) + 1, torch.randn(9, 1, dtype=torch.float64)
    assert float(auxiliary_loss(row * scale + shift)) == pytest.approx(0, abs=1e-8)
    other = torch.cat([row * scale, row.flip(-1)])
    assert float(auxiliary_loss(other)) < -0.01


def test_published_values():
    """At B = 32 and S = 4: −.79 for random logits, −.76 for random one-hot labels."""
    generator = torch.Generator().manual_seed(0)
    random = [float(auxiliary_loss(torch.randn(32, 4, generator=generator))) for _ in range(50)]
    assert sum(random) / 50 == pytest.approx(-0.79, abs=0.03)
    by_hand = log(0.25 * exp(1) + 0.75 * exp(-1 / 3)) - 1
    assert float(auxiliary_loss(torch.eye(4).repeat(8, 1))) == pytest.approx(by_hand, abs=1e-6)
    one_hot = [
        float(auxiliary_loss(torch.eye(4)[torch.randint(4, (32,), generator=generator)]))
        for _ in range(50)
    ]
    assert sum(one_hot) / 50 == pytest.approx(-0.76, abs=0.02)


def test_spreading_a_batch_lowers_the_auxiliary_loss():
    """A step against the gradient moves the rows apart."""
    z = (
        torch.randn(1, 5) + 0.05 * torch.randn(16, 5, generator=torch.Generator().manual_seed(1))
    ).requires_grad_()
    before = auxiliary_loss(z)
    (gradient,) = torch.autograd.grad(before, z)
    assert auxiliary_loss(z - 0.5 * gradient / gradient.norm()) < before


def test_gradients_of_the_auxiliary_loss_in_float64():
    z = torch.randn(
        5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True
    )
    assert torch.autograd.gradcheck(auxiliary_loss, z)


@pytest.mark.parametrize(
    "z", [torch.zeros(3, 4), torch.zeros(3, 4, dtype=torch.float16), torch.randn(3, 1)]
)
def test_constant_rows_are_orthogonal_to_all_others(z):
    """R = 0: log B − 1/T − log B, without NaN."""
    for temperature in (1.0, 2.0):
        assert float(auxiliary_loss(z, temperature)) == pytest.approx(-1 / temperature, abs=1e-6)


def test_the_auxiliary_loss_of_half_precision_is_computed_in_single():
    z = torch.randn(32, 6, generator=torch.Generator().manual_seed(2)).half()
    assert float(auxiliary_loss(z)) == pytest.approx(float(auxiliary_loss(z.float())), rel=1e-6)


@pytest.mark.parametrize("z", [torch.zeros(3), torch.zeros(0, 3), torch.zeros(2, 2, 2)])
def test_the_auxiliary_loss_needs_a_batch(z):
    with pytest.raises(InvalidInput):
        auxiliary_loss(z)


# ---- bad input


def valid_arguments() -> dict:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 4, 3, generator=generator)
    return {
        "student": student,
        "teacher": teacher,
        "labels": torch.tensor([0, 1, 1, 0]),
        "parents": [0, 0, 1],
    }


@losses
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"temperature": 0},
            r"temperature must be a number of at least 0.001 and of at most 1e\+06, got 0",
        ),
        ({"temperature": -2.0}, "temperature must be a number of at least 0.001 .* got -2.0"),
        ({"temperature": float("nan")}, "temperature must be"),
        ({"temperature": float("inf")}, "temperature must be"),
        ({"temperature": True}, "temperature must be"),
        (
            {"distill_weight": -0.1},
            "distill_weight must be a number of at least 0 and of at most 1, got -0.1",
        ),
        (
            {"distill_weight": 1.5},
            "distill_weight must be a number of at least 0 and of at most 1, got 1.5",
        ),
        ({"distill_weight": float("nan")}, "distill_weight must be"),
        ({"distill_weight": "0.5"}, "distill_weight must be"),
        (
            {"teacher": torch.zeros(4, 5)},
            "the student has 3 subclasses, the teacher 5; both need the same number",
        ),
        (
            {"teacher": torch.zeros(5, 3)},
            r"logits must be \[B, S\] of the same samples, got \[4, 3\] and \[5, 3\]",
        ),
        ({"student": torch.zeros(3)}, r"must be \[B, S\] with B ≥ 1, got \[3\]"),
        ({"teacher": torch.zeros(2, 2, 3)}, r"must be \[B, S\]"),
        (
            {"labels": torch.tensor([0, 1, 2, 0])},
            r"labels must be 0..1, got 2 in sample 2; number the classes from 0",
        ),
        ({"labels": torch.tensor([0, -1, 1, 0])}, r"labels must be 0..1, got -1 in sample 1"),
        ({"labels": torch.tensor([0, 1])}, r"labels must be integers \[4\], got torch.int64 \[2\]"),
        ({"labels": torch.zeros(4)}, "labels must be integers .* got torch.float32"),
        ({"labels": torch.zeros(4, 2, dtype=torch.long)}, r"labels must be integers \[4\]"),
        ({"labels": torch.tensor([True, False, True, True])}, "labels must be integers"),
        ({"parents": [0, 1]}, "parents has 2 entries, but there are 3 subclasses"),
        ({"parents": [0, 0, 2]}, "leave class 1 without"),
        ({"parents": (0, 0, 2)}, "leave class 1 without"),
        ({"parents": (0, -1, 0)}, "must be 0 or more"),
        ({"parents": [0.0, 1.0, 1.0]}, "must be a list of integers"),
    ],
    ids=str,
)
def test_bad_input_is_refused(loss, changed, words):
    with pytest.raises(InvalidInput, match=words):
        loss(**{**valid_arguments(), **changed})


@losses
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_labels_of_all_integer_types_are_accepted(loss, dtype):
    arguments = valid_arguments()
    assert loss(**{**arguments, "labels": arguments["labels"].to(dtype)}) == loss(**arguments)


def test_unknown_ways_to_soften_are_refused():
    with pytest.raises(UnknownName, match="unknown way to soften 'both'; known: class, subclass"):
        class_probabilities(torch.zeros(2, 3), [0, 0, 1], 2.0, "both")
    with pytest.raises(UnknownName, match="way to soften"):
        class_distillation_loss(**valid_arguments(), soften="logits")


@pytest.mark.parametrize("parents", [[0, 1], (0, 1), (0, 1, 3), [], [0, -1, 1]])
def test_parents_that_do_not_fit_are_refused(parents):
    for call in (class_logits, class_probabilities):
        with pytest.raises(InvalidInput):
            call(torch.zeros(4, 3), parents)
    with pytest.raises(InvalidInput, match="temperature"):
        class_probabilities(torch.zeros(4, 3), [0, 1, 1], 0.0)


def test_bad_input_of_the_correction_and_the_auxiliary_loss():
    with pytest.raises(InvalidInput, match="leave class 1 without"):
        prior_correction([0, 2])
    for temperature in (0, -1.0, float("nan")):
        with pytest.raises(InvalidInput, match="temperature"):
            auxiliary_loss(torch.randn(3, 4), temperature)


# ---- NaN, extremes, and logits of other libraries


@losses
@pytest.mark.parametrize("role", ["student", "teacher"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where_", [(slice(None), slice(None)), (0, 0)], ids=["all", "one"])
@pytest.mark.parametrize("temperature", [1.0, 1000.0])
def test_nan_and_inf_make_the_loss_nan(loss, role, value, where_, temperature):
    arguments = {**valid_arguments(), "temperature": temperature}
    arguments[role][where_] = value
    assert loss(**arguments).isnan()
    assert loss(**arguments, distill_weight=1.0).isnan()


@losses
def test_a_sample_without_logits_makes_the_loss_nan_and_a_mask_does_not(loss):
    arguments = valid_arguments()
    arguments["teacher"][0] = -float("inf")
    assert loss(**arguments).isnan()
    arguments = valid_arguments()
    arguments["teacher"][:, 0] = -float("inf")
    assert loss(**arguments).isfinite()


@losses
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(loss, dtype):
    arguments = valid_arguments()
    half = {name: arguments[name].to(dtype) for name in ("student", "teacher")}
    wide = {name: value.float() for name, value in half.items()}
    assert loss(**{**arguments, **half}) == loss(**{**arguments, **wide})


@losses
def test_arrays_and_lists_are_logits(loss):
    arguments = valid_arguments()
    for convert in (torch.Tensor.numpy, torch.Tensor.tolist):
        other = {name: convert(arguments[name]) for name in ("student", "teacher", "labels")}
        assert float(loss(**{**arguments, **other})) == pytest.approx(
            float(loss(**arguments)), rel=1e-6
        )
    labels = arguments["labels"].to(torch.uint16)
    assert loss(**{**arguments, "labels": labels}) == loss(**arguments)


@losses
@pytest.mark.parametrize("temperature", [1e-3, 0.1, 32, 33, 1e3, 1e6])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_all_temperatures_agree_with_float64(loss, temperature, scale):
    arguments = {**valid_arguments(), "temperature": temperature}
    single = {name: scale * arguments[name] for name in ("student", "teacher")}
    double = {name: value.double() for name, value in single.items()}
    expected = float(loss(**{**arguments, **double}))
    assert float(loss(**{**arguments, **single})) == pytest.approx(expected, rel=2e-4)
    single["student"].requires_grad_()
    double["student"].requires_grad_()
    for logits in (single, double):
        loss(**{**arguments, **logits}).backward()
    slope = double["student"].grad.float()
    torch.testing.assert_close(
        single["student"].grad, slope, rtol=1e-3, atol=1e-4 * float(slope.abs().max())
    )


def test_a_high_temperature_gives_the_squared_distance():
    student, teacher = (valid_arguments()[name].double() for name in ("student", "teacher"))
    difference = student - teacher
    expected = 0.5 * (difference - difference.mean(1, keepdim=True)).square().mean()
    arguments = {**valid_arguments(), "temperature": 1e6, "distill_weight": 1.0}
    loss = subclass_distillation_loss(**arguments)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


@losses
def test_logits_whose_loss_is_too_large_are_refused(loss):
    huge = torch.tensor([[3e38, 0.0, -3e38]]), torch.tensor([[-3e38, 0.0, 3e38]])
    with pytest.raises(InvalidInput, match=r"logits of up to 3e\+38 have a loss that is larger"):
        loss(*huge, [1], [0, 0, 1], 1.0)
    large = torch.tensor([[1e36, 0.0, -1e36]]), torch.tensor([[-1e36, 0.0, 1e36]])
    assert loss(*large, [0], [0, 0, 1], 1e-3).isfinite()


@losses
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"labels": torch.tensor([0, -100, 1, 0])}, "labels hold -100 .*in 1 samples, .* is 1"),
        ({"labels": torch.eye(2)[[0, 1, 1, 0]]}, r"for one-hot labels pass labels.argmax\(1\)"),
        ({"student": torch.zeros(4, 3, 2, 2)}, r"student logits must be .*flatten\(0, -2\)"),
        ({"teacher": torch.zeros(4, 3).long()}, "teacher must be floats"),
        ({"teacher": None}, "teacher must be an array of numbers, got None"),
        ({"student": torch.zeros(0, 3)}, r"student logits must be \[B, S\] with B ≥ 1"),
        ({"temperature": 1e-46}, "temperature must be a number of at least 0.001"),
        ({"temperature": 1e30}, "temperature must be a number .* at most 1e"),
        ({"parents": {0: 0}}, "got a dictionary"),
    ],
    ids=str,
)
def test_more_bad_input_is_refused(loss, changed, words):
    with pytest.raises(InvalidInput, match=words):
        loss(**{**valid_arguments(), **changed})


def test_the_auxiliary_loss_of_large_and_bad_logits():
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    expected = float(auxiliary_loss(1e3 * z))
    for scale in (1e10, 1e20, 1e37):
        assert float(auxiliary_loss(scale * z)) == pytest.approx(expected, abs=1e-5)
    assert float(auxiliary_loss(z.tolist())) == pytest.approx(float(auxiliary_loss(z)), abs=1e-6)
    for value in (float("nan"), float("inf")):
        bad = z.clone()
        bad[1, 2] = value
        assert auxiliary_loss(bad).isnan()
    for wrong in (z.long(), "a", None):
        with pytest.raises(InvalidInput, match="logits must be"):
            auxiliary_loss(wrong)
