"""Test the contrast of pairs, MultiSupCon and MulSupCon: loops over anchors, small cases by hand, empty cases, gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from oracles import OVERLAPS, array, contrast, cosine_logits, mulsupcon, multisupcon, random_labels

from explore.errors import InvalidInput
from explore.multilabel.contrast import mulsupcon_loss, multisupcon_loss, pair_contrast

FEATURE_LOSSES: list[Callable] = [multisupcon_loss, mulsupcon_loss]
each_feature_loss = pytest.mark.parametrize("loss", FEATURE_LOSSES)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def pairs(seed: int, count: int, share: float = 0.4) -> torch.Tensor:
    """Return positives without the diagonal, not symmetric, and none for sample 0."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.rand(count, count, generator=generator) < share
    table[0] = False
    return table & ~torch.eye(count, dtype=torch.bool)


# ---- pair_contrast


def test_three_samples_by_hand() -> None:
    # anchor 0: e^l = (-, 3, 1), -log(3/4) = 0.287682; anchor 1: e^l = (1, -, 1), -log(1/2) = 0.693147
    logits = torch.tensor([[9.0, math.log(3), 0], [0, -9, 0], [5, 1, 2]], dtype=torch.float64)
    positives = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]]).bool()
    result = pair_contrast(logits, positives)
    assert result.loss.item() == pytest.approx(0.4904146, abs=1e-7)
    assert (result.anchors, result.skipped) == (2, 1)
    # weights 1/2 and 2: (0.143841 + 1.386294) / 2; anchor 2 gets both others: (-log .982014 - log .017986) / 2
    weights = torch.tensor([[0, 0.5, 7], [2, 0, 7], [1, 1, 1]], dtype=torch.float64)
    weighted = pair_contrast(logits, positives, weights)
    assert weighted.loss.item() == pytest.approx(0.7650675, abs=1e-6)
    positives[2, :2] = True
    three = pair_contrast(logits, positives)
    assert three.loss.item() == pytest.approx((0.287682 + 0.693147 + 2.018150) / 3, abs=1e-5)
    assert (three.anchors, three.skipped) == (3, 0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_contrast_equals_a_loop_over_anchors(weighted: bool, seed: int) -> None:
    logits, positives = 3 * normal(9, 9, seed=seed), pairs(seed, 9, 0.25)
    weights = torch.rand(9, 9, dtype=torch.float64) if weighted else None
    result = pair_contrast(logits, positives, weights)
    loss, anchors, skipped = contrast(
        array(logits), positives.numpy(), None if weights is None else array(weights)
    )
    assert result.loss.shape == ()
    assert result.loss.item() == pytest.approx(loss, rel=1e-10)
    assert (result.anchors, result.skipped) == (anchors, skipped)
    assert type(result.anchors) is int
    assert type(result.skipped) is int
    assert skipped >= 1


@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_of_logits_by_finite_differences(weighted: bool) -> None:
    weights = normal(6, 6, seed=5).abs() if weighted else None
    logits = normal(6, 6, seed=4).requires_grad_()
    torch.autograd.gradcheck(lambda x: pair_contrast(x, pairs(1, 6), weights).loss, logits)


@pytest.mark.parametrize("own", [1e4, -1e4, 1e30])
def test_a_large_self_similarity_changes_nothing(own: float) -> None:
    logits, positives = normal(6, 6).float(), pairs(1, 6)
    results = []
    for diagonal in (0.0, own):
        leaf = logits.clone().fill_diagonal_(diagonal).requires_grad_()
        loss = pair_contrast(leaf, positives).loss
        results.append((loss.detach(), torch.autograd.grad(loss, leaf)[0]))
    torch.testing.assert_close(results[0], results[1])
    gradient = results[1][1]
    assert gradient.diagonal().count_nonzero() == 0
    assert gradient.count_nonzero() == 5 * 5  # of all anchors but sample 0, on all others
    assert results[0][0].item() == pytest.approx(
        contrast(array(logits), positives.numpy())[0], rel=1e-5
    )


def test_a_sample_is_no_positive_of_itself() -> None:
    logits, positives = normal(6, 6), pairs(1, 6)
    with_itself = pair_contrast(logits, positives | torch.eye(6).bool())
    expected = pair_contrast(logits, positives)
    torch.testing.assert_close(with_itself.loss, expected.loss)
    assert (with_itself.anchors, with_itself.skipped) == (expected.anchors, expected.skipped)
    alone = pair_contrast(logits, torch.eye(6).bool())
    assert alone.loss.item() == alone.anchors == 0


def test_doubling_the_weight_of_a_pair_doubles_its_gradient() -> None:
    logits = normal(5, 5).requires_grad_()
    positives = torch.zeros(5, 5).bool()
    positives[0, 1] = positives[2, 3] = True
    gradients = []
    for weight in (0.3, 0.6):
        weights = torch.full((5, 5), 0.25, dtype=torch.float64)
        weights[0, 1] = weight
        (gradient,) = torch.autograd.grad(pair_contrast(logits, positives, weights).loss, logits)
        gradients.append(gradient)
    torch.testing.assert_close(gradients[1][0], 2 * gradients[0][0])
    torch.testing.assert_close(gradients[1][2], gradients[0][2])
    assert gradients[0][0].count_nonzero() == 4


def test_large_logits_stay_finite() -> None:
    logits = (1e4 * normal(8, 8)).float().requires_grad_()
    loss = pair_contrast(logits, pairs(0, 8)).loss
    assert loss.isfinite()
    assert torch.autograd.grad(loss, logits)[0].isfinite().all()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_without_a_positive_pair_the_loss_is_an_exact_connected_zero(count: int) -> None:
    logits = (100 * normal(count, count)).requires_grad_()
    result = pair_contrast(logits, torch.zeros(count, count).bool())
    assert result.loss.item() == 0.0
    assert (result.anchors, result.skipped) == (0, count)
    (gradient,) = torch.autograd.grad(result.loss, logits)
    assert gradient.count_nonzero() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_computed_in_float32(dtype: torch.dtype) -> None:
    logits, positives = (5 * normal(9, 9)).to(dtype), pairs(0, 9)
    loss = pair_contrast(logits, positives).loss
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, pair_contrast(logits.float(), positives).loss)


@pytest.mark.parametrize(
    ("logits", "positives", "weights"),
    [
        (torch.zeros(3, 4), torch.zeros(3, 4).bool(), None),
        (torch.zeros(3, 3), torch.zeros(4, 4).bool(), None),
        (torch.zeros(3, 3), torch.zeros(3, 3).bool(), torch.zeros(3)),
        (torch.full((3, 3), math.nan), ~torch.eye(3).bool(), None),
    ],
)
def test_tables_that_cannot_be_used_are_rejected(
    logits: torch.Tensor, positives: torch.Tensor, weights: torch.Tensor | None
) -> None:
    with pytest.raises(InvalidInput):
        pair_contrast(logits, positives, weights)


# ---- MultiSupCon and MulSupCon


def test_multisupcon_by_hand() -> None:
    # unit vectors at 0, 60 and 90 degrees; cosines 1/2, 0 and sqrt(3)/2 = 0.866025; temperature 1/2.
    # labels {a, b}, {a}, {c}: overlap 1/2; anchor 0: log(e^1 + e^0) - 1 = 0.313262,
    # anchor 1: log(e^1 + e^1.732051) - 1 = 1.124715; half their mean is 0.359494
    features = torch.tensor([[2.0, 0], [0.5, math.sqrt(3) / 2], [0, 3]], dtype=torch.float64)
    labels = torch.tensor([[1.0, 1, 0], [1, 0, 0], [0, 0, 1]])
    result = multisupcon_loss(features, labels, temperature=0.5, alpha=0.5)
    assert result.loss.item() == pytest.approx(0.359494, abs=1e-6)
    assert (result.anchors, result.skipped) == (2, 1)
    # MulSupCon: label a only, of both anchors: the mean without the overlap
    result = mulsupcon_loss(features, labels, temperature=0.5)
    assert result.loss.item() == pytest.approx(0.718989, abs=1e-6)


def test_two_shared_labels_count_twice_in_mulsupcon() -> None:
    # labels {a, b}, {a, b}, {a}: sets of anchor 0: a -> {1, 2}, b -> {1}; of 1: a -> {0, 2}, b -> {0}; of 2: a -> {0, 1}
    features, labels = normal(3, 4), torch.tensor([[1.0, 1], [1, 1], [1, 0]])
    logits = cosine_logits(array(features), 0.3)
    cost = np.array(
        [
            [np.log(np.exp(np.delete(row, i)).sum()) - value for value in row]
            for i, row in enumerate(logits)
        ]
    )
    first, second = (cost[0, 1] + cost[0, 2]) / 2, (cost[1, 0] + cost[1, 2]) / 2
    sets = [first, cost[0, 1], second, cost[1, 0], (cost[2, 0] + cost[2, 1]) / 2]
    result = mulsupcon_loss(features, labels, temperature=0.3)
    assert result.loss.item() == pytest.approx(np.mean(sets), rel=1e-10)


@pytest.mark.parametrize("kind", sorted(OVERLAPS))
@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0])
def test_multisupcon_equals_a_loop_over_anchors(kind: str, alpha: float) -> None:
    features, labels = normal(12, 5, seed=1), random_labels(1, 12, 4, empty=2)
    result = multisupcon_loss(features, labels, 0.2, alpha, kind)
    loss, anchors, skipped = multisupcon(array(features), array(labels), 0.2, alpha, kind)
    assert result.loss.item() == pytest.approx(loss, rel=1e-6)  # overlaps are float32
    assert (result.anchors, result.skipped) == (anchors, skipped)
    assert skipped >= 2


def test_the_defaults_of_multisupcon() -> None:
    features, labels = normal(12, 5, seed=2), random_labels(2, 12, 6)
    expected = multisupcon(array(features), array(labels), 0.1, 0.3, "jaccard")[0]
    assert multisupcon_loss(features, labels).loss.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_mulsupcon_equals_a_loop_over_anchors_and_labels(seed: int) -> None:
    features, labels = normal(11, 5, seed=seed), random_labels(seed, 11, 7, 0.2, empty=seed)
    result = mulsupcon_loss(features, labels)
    loss, anchors = mulsupcon(array(features), array(labels), 0.1)
    assert result.loss.item() == pytest.approx(loss, rel=1e-9)
    assert (result.anchors, result.skipped) == (anchors, 11 - anchors)


@each_feature_loss
def test_with_one_label_per_sample_it_is_supcon(loss: Callable) -> None:
    classes = torch.tensor([0, 1, 2, 0, 1, 0, 3, 1, 1])
    features, labels = normal(9, 6), torch.nn.functional.one_hot(classes, 5).float()
    same = (classes[:, None] == classes[None, :]).numpy()
    expected, anchors, skipped = contrast(cosine_logits(array(features), 0.1), same)
    result = loss(features, labels, temperature=0.1)
    assert result.loss.item() == pytest.approx(expected, rel=1e-9)
    assert (result.anchors, result.skipped) == (anchors, skipped) == (7, 2)


@each_feature_loss
def test_gradients_of_features_by_finite_differences(loss: Callable) -> None:
    features = normal(7, 4, seed=3).requires_grad_()
    labels = random_labels(3, 7, 4, empty=1)
    torch.autograd.gradcheck(lambda x: loss(x, labels, temperature=0.5).loss, features)


@each_feature_loss
def test_a_sample_without_labels_is_a_negative_but_no_anchor(loss: Callable) -> None:
    features = normal(5, 4).requires_grad_()
    labels = torch.tensor([[1.0, 0], [1, 0], [0, 0], [0, 1], [0, 1]])
    result = loss(features, labels, temperature=0.5)
    assert (result.anchors, result.skipped) == (4, 1)
    (gradient,) = torch.autograd.grad(result.loss, features)
    assert gradient[2].abs().max() > 1e-3
    rest = [0, 1, 3, 4]
    assert result.loss > loss(features[rest], labels[rest], temperature=0.5).loss + 0.01


@each_feature_loss
@pytest.mark.parametrize(
    "labels",
    [torch.ones(1, 3), torch.zeros(1, 3), torch.eye(3), torch.zeros(4, 3)],
    ids=["one sample", "one without labels", "no shared label", "no labels"],
)
def test_without_positives_the_loss_is_an_exact_connected_zero(
    loss: Callable, labels: torch.Tensor
) -> None:
    features = normal(len(labels), 4).float().requires_grad_()
    result = loss(features, labels)
    assert result.loss.item() == 0.0
    assert (result.anchors, result.skipped) == (0, len(labels))
    (gradient,) = torch.autograd.grad(result.loss, features)
    assert gradient.count_nonzero() == 0


@each_feature_loss
def test_the_length_of_features_does_not_matter(loss: Callable) -> None:
    features, labels = normal(8, 5), random_labels(0, 8, 4)
    lengths = torch.logspace(-3, 3, 8, dtype=torch.float64)[:, None]
    torch.testing.assert_close(loss(features * lengths, labels).loss, loss(features, labels).loss)


@each_feature_loss
@pytest.mark.parametrize("scale", [1e-30, 1e18])
def test_extreme_lengths_give_finite_gradients(loss: Callable, scale: float) -> None:
    features, labels = (scale * normal(8, 5)).float(), random_labels(0, 8, 4)
    features[3] = 0
    features.requires_grad_()
    result = loss(features, labels)
    assert result.loss.isfinite()
    assert torch.autograd.grad(result.loss, features)[0].isfinite().all()


@each_feature_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_are_computed_in_float32(
    loss: Callable, dtype: torch.dtype
) -> None:
    features, labels = (30 * normal(12, 512)).to(dtype), random_labels(0, 12, 4)
    result = loss(features.requires_grad_(), labels)
    assert result.loss.dtype == torch.float32
    torch.testing.assert_close(result.loss, loss(features.float(), labels).loss)
    assert torch.autograd.grad(result.loss, features)[0].isfinite().all()


@each_feature_loss
def test_autocast_does_not_lower_the_precision(loss: Callable) -> None:
    features, labels = normal(12, 64).float(), random_labels(0, 12, 4)
    expected = loss(features, labels).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = loss(features, labels).loss
    torch.testing.assert_close(result, expected)


@each_feature_loss
@given(seed=st.integers(0, 2**16), empty=st.integers(0, 3))
def test_the_order_of_the_batch_does_not_matter(loss: Callable, seed: int, empty: int) -> None:
    features, labels = normal(9, 4, seed=seed), random_labels(seed, 9, 5, 0.25, empty)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    before, after = loss(features, labels), loss(features[order], labels[order])
    torch.testing.assert_close(before.loss, after.loss)
    assert (before.anchors, before.skipped) == (after.anchors, after.skipped)


@each_feature_loss
def test_nan_features_are_named(loss: Callable) -> None:
    features = normal(6, 4)
    features[4, 1] = math.nan
    with pytest.raises(InvalidInput, match="features"):
        loss(features, random_labels(0, 6, 3))


@each_feature_loss
@pytest.mark.parametrize("value", [0.5, -1.0, math.nan])
def test_labels_other_than_0_and_1_are_rejected(loss: Callable, value: float) -> None:
    labels = random_labels(0, 6, 3)
    labels[4, 2] = value
    with pytest.raises(InvalidInput, match=r"(?s)\b4\b.*\b2\b"):
        loss(normal(6, 4), labels)


@each_feature_loss
def test_shapes_and_temperatures_out_of_range_are_rejected(loss: Callable) -> None:
    for features in (normal(5, 4), normal(6), normal(6, 2, 2)):
        with pytest.raises(InvalidInput):
            loss(features, random_labels(0, 6, 3))
    for temperature in (0, -0.1, math.nan):
        with pytest.raises(InvalidInput, match="temperature"):
            loss(normal(6, 4), random_labels(0, 6, 3), temperature=temperature)


@pytest.mark.parametrize("alpha", [0, -0.1, 1.1, math.nan])
def test_thresholds_outside_the_range_are_rejected(alpha: float) -> None:
    with pytest.raises(InvalidInput, match="alpha"):
        multisupcon_loss(normal(6, 4), random_labels(0, 6, 3), alpha=alpha)
