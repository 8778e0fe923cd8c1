"""What losses, mixtures and metrics are given: every input is right or refused by its name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from explore.errors import ExploreError, InvalidInput
from explore.multilabel import (
    DensityMixture,
    KernelMixture,
    KernelMixtureHead,
    MixtureDensityHead,
    asymmetric_loss,
    average_precision,
    choose_threshold,
    component_similarity,
    focal_loss,
    kernel_contrast,
    kernel_exponents,
    kernel_reconstruction,
    kmcl_loss,
    label_overlap,
    log_mixture_similarity,
    mixture_similarity,
    mixture_uncertainty,
    mulsupcon_loss,
    multilabel_report,
    multisupcon_loss,
    pair_contrast,
    positive_pairs,
    probmcl_loss,
)
from explore.multilabel.pulls import anchor_similarity, pair_pulls, pulls_on_anchor
from explore.multilabel.views import random_view

LABELS = torch.tensor([[1, 0, 1], [1, 1, 0], [0, 0, 0], [0, 1, 1]])
GENERATOR = torch.Generator().manual_seed(0)
LOGITS, FEATURES = (torch.randn(4, n, generator=GENERATOR) for n in (3, 5))
PAIRS = LABELS.float() @ LABELS.T.float() > 0
KERNELS = KernelMixture(*(part.detach() for part in KernelMixtureHead(5, 3)(FEATURES)))
DENSITY = DensityMixture(
    *(p.detach() for p in MixtureDensityHead(5, 3, hidden=8, trunk=4, latent=2)(FEATURES))
)

CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "asymmetric_loss": (asymmetric_loss, (LOGITS, LABELS)),
    "focal_loss": (focal_loss, (LOGITS, LABELS)),
    "multisupcon_loss": (multisupcon_loss, (FEATURES, LABELS)),
    "mulsupcon_loss": (mulsupcon_loss, (FEATURES, LABELS)),
    "pair_contrast": (pair_contrast, (LOGITS @ LOGITS.T, PAIRS)),
    "label_overlap": (label_overlap, (LABELS,)),
    "positive_pairs": (positive_pairs, (LABELS,)),
    "kernel_exponents": (lambda *parts: kernel_exponents(KernelMixture(*parts)), KERNELS),
    "kernel_reconstruction": (
        lambda *parts: kernel_reconstruction(KernelMixture(*parts), LABELS),
        KERNELS,
    ),
    "kernel_contrast": (lambda *parts: kernel_contrast(KernelMixture(*parts), LABELS), KERNELS),
    "kmcl_loss": (lambda *parts: kmcl_loss(KernelMixture(*parts), LABELS), KERNELS),
    "component_similarity": (component_similarity, (KERNELS.means, KERNELS.variances)),
    "mixture_similarity": (lambda *parts: mixture_similarity(DensityMixture(*parts)), DENSITY),
    "mixture_uncertainty": (lambda *parts: mixture_uncertainty(DensityMixture(*parts)), DENSITY),
    "probmcl_loss": (lambda *parts: probmcl_loss(DensityMixture(*parts), LABELS), DENSITY),
    "average_precision": (average_precision, (LOGITS.sigmoid(), LABELS)),
    "multilabel_report": (multilabel_report, (LOGITS.sigmoid(), LABELS)),
    "choose_threshold": (choose_threshold, (LOGITS.sigmoid(), LABELS)),
    "KernelMixtureHead": (KernelMixtureHead(5, 3), (FEATURES,)),
    "random_view": (lambda samples: random_view(samples, 1.0, 0), (FEATURES,)),
}

HOSTILE: dict[str, Callable[[torch.Tensor], Any]] = {
    "None": lambda _: None,
    "a number": lambda _: 1.0,
    "text": lambda values: values.numpy().astype(str),
    "objects": lambda values: values.numpy().astype(object),
    "complex": lambda values: values.to(torch.complex64),
    "sparse": lambda values: values.float().to_sparse(),
    "meta": lambda values: values.to("meta"),
    "masked": lambda values: np.ma.masked_array(values.numpy(), np.ones(values.shape, bool)),
    "one dimension": lambda values: values[0],
    "three dimensions": lambda values: values[None],
    "a row less": lambda values: values[:-1],
}


def numbers(result: Any) -> list[torch.Tensor]:
    """Return all numbers of a result as float64 tensors."""
    if isinstance(result, dict):
        return [number for value in result.values() for number in numbers(value)]
    if isinstance(result, tuple):
        return [number for value in result for number in numbers(value)]
    return [torch.as_tensor(result).detach().double()]


def cases() -> list[Any]:
    return [
        pytest.param(name, k, kind, id=f"{name}-{k}-{kind}")
        for name, (_, arguments) in CALLS.items()
        for k in range(len(arguments))
        for kind in HOSTILE
        # A table with a row less is another valid one where it is the only argument.
        if not (kind == "a row less" and len(arguments) == 1)
    ]


@pytest.mark.parametrize(("name", "k", "kind"), cases())
def test_what_is_no_table_of_numbers_is_refused(name: str, k: int, kind: str) -> None:
    call, arguments = CALLS[name]
    changed = list(arguments)
    changed[k] = HOSTILE[kind](arguments[k])
    with pytest.raises(InvalidInput):
        call(*changed)


@pytest.mark.parametrize("name", CALLS)
def test_arrays_and_lists_are_as_good_as_tensors(name: str) -> None:
    call, arguments = CALLS[name]
    expected = numbers(call(*arguments))
    for convert in (lambda v: v.numpy(), lambda v: v.tolist(), lambda v: v.clone()):
        for value, right in zip(numbers(call(*map(convert, arguments))), expected, strict=True):
            torch.testing.assert_close(value, right, rtol=1e-5, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.uint16])
def test_labels_of_any_integer_type(dtype: torch.dtype) -> None:
    labels = LABELS.int().to(dtype)
    assert torch.equal(asymmetric_loss(LOGITS, labels), asymmetric_loss(LOGITS, LABELS))
    assert torch.equal(label_overlap(labels), label_overlap(LABELS))


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e300])
@pytest.mark.parametrize("loss", [multisupcon_loss, mulsupcon_loss])
def test_the_scale_of_features_has_no_effect(loss: Callable[..., Any], scale: float) -> None:
    features = FEATURES.double()
    torch.testing.assert_close(loss(features * scale, LABELS), loss(features, LABELS))


def test_ordinary_features_keep_their_bits() -> None:
    unit = torch.nn.functional.normalize(FEATURES, dim=1)
    logits = unit @ unit.T / 0.1
    expected = pair_contrast(logits, positive_pairs(LABELS, 0.3), label_overlap(LABELS))
    assert torch.equal(multisupcon_loss(FEATURES, LABELS).loss, expected.loss)


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("temperature", lambda: multisupcon_loss(FEATURES, LABELS, 1e-46)),
        ("temperature", lambda: kernel_contrast(KERNELS, LABELS, 1e-46)),
        ("temperature", lambda: probmcl_loss(DENSITY, LABELS, temperature=1e-46)),
        ("gamma_neg", lambda: asymmetric_loss(LOGITS, LABELS, 1e300)),
        ("gamma", lambda: focal_loss(LOGITS, LABELS, "2")),
        ("focus_gradient", lambda: asymmetric_loss(LOGITS, LABELS, focus_gradient="no")),
        ("mask", lambda: asymmetric_loss(LOGITS, LABELS, mask=torch.ones(4, 3))),
        ("mask", lambda: kmcl_loss(KERNELS, LABELS, mask=torch.ones(3, 4).bool())),
        ("positives", lambda: pair_contrast(LOGITS @ LOGITS.T, PAIRS.float())),
        ("empty_match", lambda: label_overlap(LABELS, empty_match="yes")),
        ("kind", lambda: label_overlap(LABELS, ["jaccard"])),
        ("pair_weights", lambda: probmcl_loss(DENSITY, LABELS, pair_weights=1)),
        ("similarity", lambda: probmcl_loss(DENSITY, LABELS, similarity=["product"])),
        ("views", lambda: probmcl_loss(DENSITY, LABELS, views="1")),
        ("mixture", lambda: kmcl_loss(LOGITS, LABELS)),
        ("log_weights", lambda: mixture_uncertainty(DENSITY._replace(log_weights=LOGITS + 9))),
        ("variances", lambda: component_similarity(KERNELS.means, KERNELS.variances * 0)),
        ("chunk", lambda: component_similarity(KERNELS.means, KERNELS.variances, chunk=0)),
        ("legacy", lambda: multilabel_report(LOGITS.sigmoid(), LABELS, legacy="no")),
        ("threshold", lambda: multilabel_report(LOGITS.sigmoid(), LABELS, "0.5")),
        ("threshold", lambda: multilabel_report(LOGITS.sigmoid(), LABELS, True)),
        ("top_k", lambda: multilabel_report(LOGITS.sigmoid(), LABELS, top_k=1.5)),
        ("mask", lambda: multilabel_report(LOGITS.sigmoid(), LABELS, mask=LABELS)),
        ("classes", lambda: KernelMixtureHead(5, "3")),
        ("weights", lambda: KernelMixtureHead(2**40, 3)),
        ("weights", lambda: MixtureDensityHead(5, 3, hidden=2**20, trunk=2**20)),
        ("seed", lambda: MixtureDensityHead(5, 3, seed=-1)),
        ("features", lambda: KernelMixtureHead(5, 3)(FEATURES.double() * 1e300)),
        ("strength", lambda: random_view(FEATURES, 1e300, 0)),
        ("anchor", lambda: anchor_similarity(np.zeros((2, 1)), np.ones((2, 1)), 2, 1)),
        ("variances", lambda: anchor_similarity(np.zeros((2, 1)), np.zeros((2, 1)), 0, 1)),
        ("similarity", lambda: pulls_on_anchor(np.ones((4, 2)), LABELS, 0)),
        ("positive", lambda: pair_pulls(np.zeros(3), np.ones(3), 0, 1.0)),
    ],
)
def test_odd_arguments_are_named(words: str, call: Callable[[], Any]) -> None:
    with pytest.raises(InvalidInput, match=words):
        call()


@pytest.mark.parametrize("scale", [1e-300, 1e-44, 1e-30, 1e20, 1e30, 1e200])
@pytest.mark.parametrize("name", [n for n in CALLS if "mixture" in n or "k" in n[:7]])
def test_extreme_parameters_never_give_nan(name: str, scale: float) -> None:
    call, arguments = CALLS[name]
    for k in range(len(arguments)):
        changed = list(arguments)
        changed[k] = arguments[k].double() * scale
        try:
            result = call(*changed)
        except ExploreError:
            continue
        assert all(bool(value.isfinite().all()) for value in numbers(result))


def test_gammas_and_clips_at_their_limits() -> None:
    certain = torch.tensor([[200.0, -200.0, 0.3], [-200.0, 200.0, -0.1]])
    labels = torch.tensor([[1, 0, 1], [1, 0, 0]])
    for gamma in (0, 1e-300, 2.0, 1e6):
        for clip in (0.0, 1e-320, 1e-30, 1e-8, 0.05, 1 - 1e-9):
            for values in (certain, certain.double()):
                values = values.clone().requires_grad_()
                loss = asymmetric_loss(values, labels, gamma, gamma, clip, focus_gradient=True)
                (gradient,) = torch.autograd.grad(loss, values)
                assert math.isfinite(float(loss.detach()))
                assert gradient.isfinite().all(), (gamma, clip)


def test_the_loss_of_a_small_clip_is_that_of_float64() -> None:
    logits, labels = torch.tensor([[30.0, 12.0, -3.0]]), torch.zeros(1, 3)
    for clip in (1e-9, 1e-7):
        shifted = (torch.sigmoid(logits.double()) - clip).clamp(min=0)
        log_not = torch.log(1 - torch.sigmoid(logits.double()) + clip)
        expected = float(-(shifted**4 * log_not).mean())
        assert float(asymmetric_loss(logits, labels, clip=clip)) == pytest.approx(
            expected, rel=1e-3
        )


def test_far_mixtures_have_the_similarity_0_and_no_logarithm() -> None:
    means = torch.tensor([[[0.0]], [[1e30]]])
    parts = torch.zeros(2, 1), means, torch.ones(2, 1), torch.zeros(2, 1)
    assert mixture_similarity(DensityMixture(*parts)).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    with pytest.raises(InvalidInput, match="similarity overflows float32: means or variances"):
        log_mixture_similarity(DensityMixture(*parts))
