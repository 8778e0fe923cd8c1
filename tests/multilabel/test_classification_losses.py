"""Test the asymmetric loss by hand, against binary cross-entropy and focal loss, at saturated logits and with missing labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from oracles import array, asymmetric_entries, random_labels
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import sigmoid_focal_loss

from explore.errors import InvalidInput
from explore.multilabel.classification import asymmetric_loss, focal_loss

REDUCTIONS = ["mean", "sample", "sum"]
SHAPE = (7, 5)
SIZES = {"mean": SHAPE[0] * SHAPE[1], "sample": SHAPE[0], "sum": 1}
"""The sum over all entries is divided by this."""


def batch(
    seed: int = 0, scale: float = 3.0, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits and labels."""
    logits = scale * torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)).to(dtype)
    return logits, random_labels(seed, *SHAPE)


def test_the_formula_by_hand() -> None:
    # p = 1/2 and 3/4; p - clip = 1/2: (1 - 1/2) ln 2 = 0.346574 and (1/2)^2 ln 2 = 0.173287
    logits, labels = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[1.0, 0.0]])
    options = {"gamma_neg": 2, "gamma_pos": 1, "clip": 0.25}
    assert asymmetric_loss(logits, labels, **options).item() == pytest.approx(0.259930, abs=1e-6)
    for reduction in ("sample", "sum"):
        loss = asymmetric_loss(logits, labels, reduction=reduction, **options)
        assert loss.item() == pytest.approx(0.519860, abs=1e-6)


def test_the_defaults_by_hand() -> None:
    # p = 1/2: positive ln 2 = 0.693147; negative 0.45^4 * -ln(0.55) = 0.0410063 * 0.597837 = 0.024515
    logits = torch.zeros(1, 2)
    loss = asymmetric_loss(logits, torch.tensor([[1.0, 0.0]]), reduction="sum")
    assert loss.item() == pytest.approx(0.717662, abs=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("gamma_neg", "gamma_pos", "clip"),
    [(4, 0, 0.05), (4, 1, 0.05), (2, 0.5, 0.2), (0, 0, 0.1), (1, 3, 0)],
)
def test_the_loss_equals_a_loop_over_entries(
    reduction: str, gamma_neg: float, gamma_pos: float, clip: float
) -> None:
    logits, labels = batch(1)
    entries = asymmetric_entries(array(logits), array(labels), gamma_neg, gamma_pos, clip)
    for focus_gradient in (False, True):
        loss = asymmetric_loss(
            logits, labels, gamma_neg, gamma_pos, clip, reduction, focus_gradient=focus_gradient
        )
        assert loss.shape == ()
        assert loss.item() == pytest.approx(entries.sum() / SIZES[reduction], rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_without_focus_and_clip_it_is_binary_cross_entropy(
    dtype: torch.dtype, scale: float, reduction: str
) -> None:
    results = []
    for loss in (
        lambda x, y: asymmetric_loss(x, y, gamma_neg=0, gamma_pos=0, clip=0, reduction=reduction),
        lambda x, y: focal_loss(x, y, gamma=0, reduction=reduction),
        lambda x, y: (
            binary_cross_entropy_with_logits(x, y.to(x), reduction="sum") / SIZES[reduction]
        ),
    ):
        logits, labels = batch(2, scale, dtype)
        logits.requires_grad_()
        value = loss(logits, labels)
        results.append((value.detach(), *torch.autograd.grad(value, logits)))
    for value, gradient in results[:2]:
        torch.testing.assert_close(value, results[2][0], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(gradient, results[2][1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 4])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_with_equal_focus_and_no_clip_it_is_focal_loss(gamma: float, reduction: str) -> None:
    logits, labels = batch(3)
    expected = sigmoid_focal_loss(logits, labels.double(), alpha=-1, gamma=gamma, reduction="sum")
    for loss in (
        asymmetric_loss(logits, labels, gamma, gamma, 0, reduction),
        focal_loss(logits, labels, gamma, reduction=reduction),
    ):
        torch.testing.assert_close(loss, expected / SIZES[reduction])
    if gamma == 2:
        torch.testing.assert_close(focal_loss(logits, labels), expected / SIZES["mean"])


def test_full_gradients_equal_those_of_torchvision() -> None:
    logits, labels = batch(4)
    logits.requires_grad_()
    ours = asymmetric_loss(logits, labels, 2, 2, 0, "sum", focus_gradient=True)
    theirs = sigmoid_focal_loss(logits, labels.double(), alpha=-1, gamma=2, reduction="sum")
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)))


@pytest.mark.parametrize(
    "options",
    [(4, 1, 0.05), (0, 0, 0.05), (2, 2, 0), (0, 0, 0), (1, 3, 0.3)],
)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradients_by_finite_differences(
    options: tuple[float, float, float], reduction: str
) -> None:
    logits, labels = batch(5, 1.5)
    logits.requires_grad_()
    torch.autograd.gradcheck(
        lambda x: asymmetric_loss(x, labels, *options, reduction, focus_gradient=True), logits
    )


def test_by_default_the_focusing_weight_has_no_gradient() -> None:
    logits, labels = batch(6, 1.5)
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(asymmetric_loss(logits, labels, 3, 2, 0.1, "sum"), logits)
    # d/dx of -log p is p - 1; d/dx of -log(1 - p + clip) is p (1 - p) / (1 - p + clip) above the clip
    p, y = 1 / (1 + np.exp(-array(logits))), array(labels)
    shifted = np.maximum(p - 0.1, 0)
    slope = np.where(p > 0.1, p * (1 - p) / (1 - shifted), 0)
    expected = np.where(y == 1, (1 - p) ** 2 * (p - 1), shifted**3 * slope)
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, 4])
@pytest.mark.parametrize("clip", [0, 0.05])
@pytest.mark.parametrize("focus_gradient", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [200.0, 60.0, 20.0])
def test_saturated_logits_have_finite_losses_and_gradients(
    gamma: float, clip: float, focus_gradient: bool, dtype: torch.dtype, size: float
) -> None:
    logits = torch.tensor([[size, -size, size, -size]], dtype=dtype, requires_grad=True)
    labels = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    loss = asymmetric_loss(logits, labels, gamma, gamma, clip, "sum", focus_gradient=focus_gradient)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.isfinite()
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert gradient.isfinite().all()
    # the two wrong entries: at least -log(1e-7) = 16.1, and 0.95^4 * -log(0.05) = 2.4
    assert loss.item() > 18


def test_saturated_logits_keep_the_gradient_of_binary_cross_entropy() -> None:
    logits = torch.tensor([[200.0, -200, 200, -200, 30, -30]], requires_grad=True)
    labels = torch.tensor([[1.0, 1, 0, 0, 0, 1]])
    results = []
    for loss in (
        asymmetric_loss(logits, labels, 0, 0, 0, "sum"),
        binary_cross_entropy_with_logits(logits, labels, reduction="sum"),
    ):
        results.append((loss, *torch.autograd.grad(loss, logits, retain_graph=True)))
    torch.testing.assert_close(results[0], results[1])
    assert results[0][1].tolist() == [[0, -1, 1, 0, 1, -1]]


def test_right_and_certain_costs_nothing() -> None:
    loss = asymmetric_loss(torch.tensor([[200.0, -200.0]]), torch.tensor([[1.0, 0.0]]))
    assert loss.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    logits, labels = batch(7, 4.0, torch.float32)
    logits = logits.to(dtype)
    loss = asymmetric_loss(logits, labels.to(dtype), reduction="sum")
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, asymmetric_loss(logits.float(), labels, reduction="sum"))


# ---- missing labels


@pytest.mark.parametrize("missing", [0.0, 1.0, -1.0, 0.5, math.nan])
def test_missing_labels_do_not_count(missing: float) -> None:
    logits, labels = batch(8)
    mask = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) < 0.7
    entries = asymmetric_entries(array(logits), array(labels), 4, 1, 0.05) * mask.numpy()
    marked = labels.masked_fill(~mask, missing)
    logits.requires_grad_()
    for reduction, size in (("mean", mask.sum().item()), ("sample", SHAPE[0]), ("sum", 1)):
        loss = asymmetric_loss(logits, marked, 4, 1, 0.05, reduction, mask=mask)
        assert loss.item() == pytest.approx(entries.sum() / size, rel=1e-9)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.equal(gradient != 0, mask & (gradient != 0))
    focal = focal_loss(logits, marked, mask=mask)
    entries = asymmetric_entries(array(logits), array(labels), 2, 2, 0) * mask.numpy()
    assert focal.item() == pytest.approx(entries.sum() / mask.sum().item(), rel=1e-9)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_no_known_label_at_all_is_an_exact_zero(reduction: str) -> None:
    logits, labels = batch(9)
    logits.requires_grad_()
    loss = asymmetric_loss(logits, labels, reduction=reduction, mask=torch.zeros(SHAPE).bool())
    assert loss.item() == 0.0
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.count_nonzero() == 0


# ---- bad input


@pytest.mark.parametrize("value", [0.5, -1.0, 2.0, math.nan])
@pytest.mark.parametrize("loss", [asymmetric_loss, focal_loss])
def test_labels_other_than_0_and_1_are_rejected(loss, value: float) -> None:
    logits, labels = batch()
    labels[3, 2] = value
    labels[5, 1] = value
    with pytest.raises(InvalidInput, match=r"(?s)\b3\b.*\b2\b") as caught:
        loss(logits, labels)
    assert "pass mask= for missing labels" in str(caught.value)
    mask = torch.ones(SHAPE).bool()
    mask[5, 1] = False
    with pytest.raises(InvalidInput):
        loss(logits, labels, mask=mask)


@pytest.mark.parametrize("loss", [asymmetric_loss, focal_loss])
def test_logits_that_are_nan_are_named(loss) -> None:
    logits, labels = batch()
    logits[2, 4] = math.nan
    with pytest.raises(InvalidInput, match="logits"):
        loss(logits, labels)


def test_shapes_that_do_not_match_are_rejected() -> None:
    logits, labels = batch()
    for bad in (labels[:5], labels[:, :4], labels[0]):
        with pytest.raises(InvalidInput):
            asymmetric_loss(logits, bad)
    with pytest.raises(InvalidInput):
        asymmetric_loss(logits, labels, mask=torch.ones(SHAPE[0], 1).bool())


@pytest.mark.parametrize(
    "options",
    [{"gamma_neg": -1}, {"gamma_pos": -1}, {"clip": -0.1}, {"clip": 1.0}, {"reduction": "median"}],
)
def test_options_out_of_range_are_rejected(options: dict) -> None:
    with pytest.raises(InvalidInput, match=next(iter(options))):
        asymmetric_loss(*batch(), **options)


# ---- symmetries


@given(seed=st.integers(0, 2**16))
def test_the_order_of_samples_and_labels_does_not_matter(seed: int) -> None:
    logits, labels = batch(seed)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(SHAPE[0], generator=generator)
    columns = torch.randperm(SHAPE[1], generator=generator)
    torch.testing.assert_close(
        asymmetric_loss(logits[rows][:, columns], labels[rows][:, columns]),
        asymmetric_loss(logits, labels),
    )
