"""Similarities of single components are rows of those of all pairs, in any chunk, with the same gradients."""

from __future__ import annotations

import pytest
import torch
from loss_inputs import kernel_mixture as mixture

from explore.errors import InvalidInput
from explore.multilabel.similarity import anchor_similarity, component_similarity

B, D, K = 7, 5, 4
ANCHORS, LABELS = torch.tensor([0, 0, 3, 6, 2]), torch.tensor([1, 3, 1, 0, 3])


@pytest.mark.parametrize("chunk", [None, 1, 2, 100])
@pytest.mark.parametrize("covariance", ["isotropic", "anisotropic"])
def test_they_are_rows_of_the_similarities_of_all_pairs(covariance: str, chunk: int | None) -> None:
    parts = mixture(covariance)
    parameters = parts.means, parts.variances
    rows = anchor_similarity(*parameters, ANCHORS, LABELS, D, chunk)
    expected = component_similarity(*parameters, D)[ANCHORS, :, LABELS]
    torch.testing.assert_close(rows, expected)
    assert torch.equal(rows[range(5), ANCHORS], torch.ones(5, dtype=torch.float64))
    weights = torch.rand(rows.shape, dtype=torch.float64)
    for first, second in zip(
        torch.autograd.grad((rows * weights).sum(), parameters),
        torch.autograd.grad((expected * weights).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(first, second)


def test_shapes_that_do_not_match_are_refused() -> None:
    parts = mixture()
    with pytest.raises(InvalidInput, match=r"must both be \[B, K\] or \[B, D, K\], got \[7, 4\]"):
        anchor_similarity(parts.means, parts.variances[1:], ANCHORS, LABELS)
