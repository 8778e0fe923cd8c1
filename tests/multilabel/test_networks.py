"""Test networks of multi-label trainings: equal starts, seeds, and encoders of users."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from multilabel_toys import SMALL, images, options_of, same_bits, vectors, weights_of
from torch import nn

from explore.data import load_multilabel
from explore.data.multilabel_set import MultilabelSet
from explore.errors import InvalidInput
from explore.multilabel import train
from explore.multilabel.config import TRAINING_METHODS
from explore.multilabel.kernel_mixture import KernelMixture
from explore.multilabel.mixture_density import DensityMixture
from explore.multilabel.networks import PROJECTION_WIDTH, MultilabelNetwork, create_network

pytestmark = pytest.mark.usefixtures("_one_thread")

SETS: dict[str, Callable[[], MultilabelSet]] = {"vectors": vectors, "images": images}
each_set = pytest.mark.parametrize("samples", SETS)
each_method = pytest.mark.parametrize("method", TRAINING_METHODS)


def network_of(
    method: str, samples: str = "vectors", seed: int = 0, **options: Any
) -> MultilabelNetwork:
    return create_network(SETS[samples](), options_of(method, **options), seed)


def classifier_of(network: MultilabelNetwork) -> nn.Module:
    """Return the layer of the logits."""
    layer = network.contrast_head.logits if network.classifier is None else network.classifier  # type: ignore[union-attr]
    assert isinstance(layer, nn.Linear)
    return layer


def own_encoder(seed: int) -> nn.Module:
    """Return an encoder of six features whose weights PyTorch draws."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 7), nn.BatchNorm1d(7), nn.Tanh())


# ---- equal starts


@each_set
def test_all_methods_have_the_same_encoder_and_classifier(samples: str) -> None:
    networks = [network_of(method, samples) for method in TRAINING_METHODS]
    for first, second in pairwise(networks):
        assert same_bits(first.encoder, second.encoder)
        assert same_bits(classifier_of(first), classifier_of(second))
    assert all(float(p.detach().std()) > 0 for p in networks[0].classifier.parameters())  # type: ignore[union-attr]


@each_set
@each_method
def test_the_seed_decides_all_weights(samples: str, method: str) -> None:
    first, second, other = (network_of(method, samples, seed) for seed in (3, 3, 4))
    assert same_bits(first, second)
    for name, weight in first.named_parameters():
        is_norm = weight.ndim == 1 and name.startswith("encoder") and bool((weight == 0).all())
        is_scale = weight.ndim == 1 and bool((weight == 1).all())
        if not is_norm and not is_scale:
            assert not torch.equal(weight, other.get_parameter(name)), name


def test_heads_and_classifier_have_different_weights() -> None:
    for method in ("probmcl", "multisupcon"):
        network = network_of(method)
        head = next(m for m in network.contrast_head.modules() if isinstance(m, nn.Linear))  # type: ignore[union-attr]
        classifier = network.classifier
        assert isinstance(classifier, nn.Linear)
        rows = min(len(head.weight), len(classifier.weight))
        assert not torch.equal(head.weight[:rows], classifier.weight[:rows])


@each_method
def test_the_global_random_state_is_neither_read_nor_changed(method: str) -> None:
    networks = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        networks.append(network_of(method, "images"))
        assert torch.equal(torch.get_rng_state(), state)
    assert same_bits(*networks)


# ---- what a network returns


@each_set
@each_method
def test_outputs_have_one_row_for_each_sample(samples: str, method: str) -> None:
    source = SETS[samples]()
    network = create_network(source, options_of(method, features=5, latent=4), 0)
    features, logits, contrasted = network(source.batch())
    assert features.shape == (40, 5)
    assert logits.shape == (40, 3)
    assert bool((features >= 0).all()), "the last layer of the default encoder is a ReLU"
    if method in ("bce", "focal", "asl"):
        assert contrasted is None
    elif method.startswith("kmcl"):
        assert isinstance(contrasted, KernelMixture)
        assert torch.equal(contrasted.logits, logits)
        assert contrasted.means.shape == (40, 3)
    elif method == "probmcl":
        assert isinstance(contrasted, DensityMixture)
        assert contrasted.means.shape == (40, 3, 4)
    else:
        assert contrasted.shape == (40, PROJECTION_WIDTH)


def test_anisotropic_components_have_all_axes() -> None:
    source = vectors()
    network = create_network(source, options_of("kmcl", covariance="anisotropic"), 0)
    assert network(source.batch()).contrasted.means.shape == (40, 128, 3)


def test_width_is_that_of_the_first_layer() -> None:
    first = next(network_of("bce", "images", width=5).encoder.parameters())
    assert first.shape == (5, 1, 3, 3)
    first = next(network_of("bce", "vectors", width=5).encoder.parameters())
    assert first.shape == (40, 6)


# ---- encoders of users


@each_method
def test_an_own_encoder_of_vectors_trains(method: str) -> None:
    source = vectors()
    options = {**SMALL, "epochs": 1, "classifier_epochs": 1}
    run = train(source, method, encoder=own_encoder, **options)
    assert isinstance(run.network.encoder[1], nn.BatchNorm1d)
    before = weights_of(run.network.encoder)
    run.run()
    after = weights_of(run.network.encoder)
    assert all(not torch.equal(before[name], after[name]) for name in before)
    predictions = run.predict(source.inputs)
    assert predictions.shape == (40, 3)
    assert bool(((predictions > 0) & (predictions < 1)).all())
    assert run.snapshot().sizes["point"] == 8


SLOW_ENCODERS = ("focal", "asl", "multisupcon", "mulsupcon", "kmcl-constant")


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(method, marks=[pytest.mark.slow] if method in SLOW_ENCODERS else [])
        for method in TRAINING_METHODS
    ],
)
def test_a_resnet_trains_on_scenes(method: str) -> None:
    from torchvision.models import resnet18

    def encoder(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        network = resnet18(weights=None)
        network.fc = nn.Identity()
        return network

    scenes = load_multilabel("scenes", count=21)
    run = train(scenes, method, encoder=encoder, epochs=1, classifier_epochs=1, batch=16, views=0.5)
    assert len(run.training.source) == 17, "the last batch has one sample"
    before = weights_of(run.network.encoder)
    run.run()
    after = weights_of(run.network.encoder)
    assert all(not torch.equal(before[name], after[name]) for name in before)
    assert run.training.outputs(run.held).features.shape == (4, 512)
    assert run.predict(scenes.inputs[:5]).shape == (5, 5)


def test_the_factory_gets_the_seed_and_is_called_once() -> None:
    seeds: list[int] = []

    def encoder(seed: int) -> nn.Module:
        seeds.append(seed)
        return own_encoder(seed)

    create_network(vectors(), options_of("kmcl"), 17, encoder)
    assert seeds == [17]


def test_the_first_pass_changes_neither_statistics_nor_the_mode() -> None:
    network = create_network(vectors(), options_of("bce"), 0, own_encoder)
    norm = network.encoder[1]  # type: ignore[index]
    assert int(norm.num_batches_tracked) == 0
    assert bool((norm.running_mean == 0).all())
    assert all(module.training for module in network.modules())


class Scaled(nn.Module):
    """A layer that remembers the size of the first features."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6))
        self.scale: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.scale is None:
            self.scale = x.abs().mean(0)
        return self.weight * self.scale * x


def test_what_the_first_pass_remembers_may_be_used_in_training() -> None:
    run = train(vectors(), "bce", encoder=lambda seed: Scaled(), epochs=1).run()
    assert not torch.equal(run.network.encoder.weight, torch.ones(6))


class Pair(nn.Module):
    """A network that returns two tensors."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (nn.Linear(6, 2), r"must be a factory\(seed\) .* lambda seed: network; got Linear"),
        ("resnet", r"must be a factory\(seed\).*; got str"),
        (lambda seed: None, r"must be a factory\(seed\).*; it returned NoneType"),
        (
            lambda seed: nn.Unflatten(1, (2, 3)),
            r"features \[N, D\], here \[2, D\].*\[2, 2, 3\]; end",
        ),
        (lambda seed: nn.Flatten(0), r"must return features \[N, D\].*, got \[12\]; end it"),
        (lambda seed: nn.Unflatten(0, (1, 2)), r"must return features \[N, D\].*got \[1, 2, 6\]"),
        (lambda seed: Pair(), r"must return features \[N, D\].*, got tuple; end it"),
        (
            lambda seed: nn.Linear(5, 2),
            r"the encoder cannot take samples of shape \[6\]: .*mat1 and mat2",
        ),
        (lambda seed: nn.Conv2d(3, 2, 3), r"cannot take samples of shape \[6\]: Expected 3D"),
    ],
    ids=["network", "text", "nothing", "maps", "row", "rows", "pair", "width", "images"],
)
def test_encoders_that_do_not_fit_are_refused(
    encoder: Callable[[int], nn.Module], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        train(vectors(), "bce", encoder=encoder)


def test_an_encoder_with_rows_of_pixels_is_refused() -> None:
    class Pixels(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.permute(0, 2, 3, 1).flatten(0, 2)

    with pytest.raises(InvalidInput, match=r"\[2, D\] for 2 samples, got \[128, 1\]; end it with"):
        train(images(), "bce", encoder=lambda seed: Pixels())


def test_the_width_of_one_label_and_one_feature_fits() -> None:
    source = MultilabelSet.from_tensors(torch.randn(12, 1), [[1], [0], [1]] * 4)
    for method in TRAINING_METHODS:
        network = create_network(source, options_of(method, features=1, width=1, latent=1), 0)
        assert network(source.batch()).logits.shape == (12, 1)
