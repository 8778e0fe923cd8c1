"""The loss: against a plain loop over classes, bounds, symmetries and finite differences."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.nn.functional import avg_pool2d, instance_norm, normalize

from explore.attention.power_sums import PowerSums
from explore.distill import attention_matching_loss
from explore.distill.matching_loss import (
    ClassMeans,
    class_means,
    matching_terms,
    real_means,
    synthetic_means,
    weighted,
)
from explore.errors import InvalidInput
from explore.models import ConvNet

pytestmark = pytest.mark.usefixtures("_one_thread")

SWITCHES = {
    "dm": (None, None, 1.0),
    "datadam": (4.0, None, 0.01),
    "channel": (None, 4.0, 0.01),
    "atom": (4.0, 4.0, 0.01),
}
"""Power of spatial maps, of channel vectors, and λ."""


def network(norm: str = "instance", **options) -> ConvNet:
    return ConvNet(1, 3, 16, width=8, norm=norm, seed=1, **options).requires_grad_(False)


def batch(counts: tuple[int, ...], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random images and labels with these numbers of images in the classes."""
    labels = torch.cat([torch.full((n,), k) for k, n in enumerate(counts)])
    return torch.randn(
        len(labels), 1, 16, 16, generator=torch.Generator().manual_seed(seed)
    ), labels


def fused(net, real, synthetic, classes, spatial, channel, mmd) -> torch.Tensor:
    """Compute the loss as runs do: classes stacked, sums of real images in Numba."""
    target = real_means(net, *real, classes, spatial, channel)
    return weighted(
        matching_terms(target, synthetic_means(net, *synthetic, classes, spatial, channel)), mmd
    )


def features(net: ConvNet, x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    maps = []
    for block in net.blocks:
        maps.append(instance_norm(block.conv(x)).clamp(min=0))
        x = avg_pool2d(maps[-1], 2)
    return maps, x.flatten(1)


def by_hand(net, real, synthetic, classes, spatial, channel, mmd) -> torch.Tensor:
    """Return the loss as in the paper, with one forward pass for each class."""
    total = torch.zeros(())
    for k in range(classes):
        sides = [features(net, images[labels == k]) for images, labels in (real, synthetic)]
        for level in range(len(net.blocks) - 1):
            f, g = (maps[level] for maps, _ in sides)
            if spatial:
                z, s = (normalize(x.abs().pow(spatial).sum(1).flatten(1), dim=1) for x in (f, g))
                total = total + ((z.mean(0) - s.mean(0)) ** 2).sum()
            if channel:
                z, s = (normalize(x.abs().pow(channel).sum((2, 3)), dim=1) for x in (f, g))
                total = total + ((z.mean(0) - s.mean(0)) ** 2).sum()
        total = total + mmd * ((sides[0][1].mean(0) - sides[1][1].mean(0)) ** 2).sum()
    return total


# ---- against the plain form


@pytest.mark.parametrize("method", SWITCHES)
@pytest.mark.parametrize("counts", [(6, 6, 6), (9, 1, 4)])
@pytest.mark.parametrize("copies", [1, 3])
def test_stacked_and_fused_equals_class_by_class(method, counts, copies):
    net, real, synthetic = network(), batch(counts, 2), batch((copies,) * 3, 3)
    expected = by_hand(net, real, synthetic, 3, *SWITCHES[method])
    assert fused(net, real, synthetic, 3, *SWITCHES[method]).item() == pytest.approx(
        expected.item(), rel=1e-5
    )


@pytest.mark.parametrize("spatial", [None, 1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("channel", [None, 1.0, 2.0, 3.0, 4.0])
def test_all_powers(spatial, channel):
    net, real, synthetic = network(), batch((5, 7, 3), 4), batch((2, 2, 2), 5)
    expected = by_hand(net, real, synthetic, 3, spatial, channel, 0.05)
    assert fused(net, real, synthetic, 3, spatial, channel, 0.05).item() == pytest.approx(
        expected.item(), rel=1e-5
    )


@pytest.mark.parametrize("method", SWITCHES)
def test_the_gradient_is_that_of_the_plain_form(method):
    net, real, (x, labels) = network(), batch((5, 7, 3), 4), batch((2, 2, 2), 5)
    gradients = []
    for loss in (fused, by_hand):
        leaf = x.clone().requires_grad_(True)
        gradients.extend(
            torch.autograd.grad(loss(net, real, (leaf, labels), 3, *SWITCHES[method]), leaf)
        )
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5 * gradients[1].abs().max().item())


def test_order_of_labels_does_not_matter():
    net, (x, labels), synthetic = network(), batch((4, 5, 6), 6), batch((1, 1, 1), 7)
    order = torch.randperm(15, generator=torch.Generator().manual_seed(8))
    losses = [
        fused(net, real, synthetic, 3, 4.0, 4.0, 0.01).item()
        for real in ((x, labels), (x[order], labels[order]))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("method", SWITCHES)
def test_the_public_loss_of_one_class_adds_up_to_all(method):
    net, real, synthetic = network(), batch((5, 7, 3), 4), batch((2, 2, 2), 5)
    spatial, channel, mmd = SWITCHES[method]
    total = 0.0
    for k in range(3):
        taps = []
        for images, labels in (real, synthetic):
            maps, embedding = net.taps_and_embed(images[labels == k])
            taps.append([*maps[:-1], embedding])
        total += attention_matching_loss(*taps, spatial=spatial, channel=channel, mmd=mmd).item()
    assert total == pytest.approx(
        by_hand(net, real, synthetic, 3, *SWITCHES[method]).item(), rel=1e-5
    )


def test_without_attention_it_is_the_loss_of_dm():
    net, (x, labels), (s, own) = network(), batch((5, 7, 3), 4), batch((2, 2, 2), 5)
    expected = sum(
        ((net.embed(x[labels == k]).mean(0) - net.embed(s[own == k]).mean(0)) ** 2).sum()
        for k in range(3)
    )
    assert fused(net, (x, labels), (s, own), 3, None, None, 1.0).item() == pytest.approx(
        expected.item(), rel=1e-6
    )
    taps = [
        [torch.rand(3, 2, 4, 4), net.embed(images[which == 0])]
        for images, which in ((x, labels), (s, own))
    ]
    taps[1][0] = taps[1][0][:2]
    taps[0][0] = torch.rand(5, 2, 4, 4)
    class_loss = ((net.embed(x[labels == 0]).mean(0) - net.embed(s[own == 0]).mean(0)) ** 2).sum()
    assert attention_matching_loss(
        *taps, spatial=None, channel=None, mmd=1.0
    ).item() == pytest.approx(class_loss.item(), rel=1e-6)


def test_batch_norm_sees_all_classes_in_one_pass():
    net, (x, labels), synthetic = network("batch").train(), batch((5, 7, 3), 4), batch((2, 2, 2), 5)
    terms = matching_terms(
        real_means(net, x, labels, 3, 4.0), synthetic_means(net, *synthetic, 3, 4.0)
    )
    maps, own = net.taps(x), net.taps(synthetic[0])
    for k in range(3):
        for level in range(2):
            z = normalize(maps[level][labels == k].pow(4).sum(1).flatten(1), dim=1).mean(0)
            s = normalize(own[level][synthetic[1] == k].pow(4).sum(1).flatten(1), dim=1).mean(0)
            assert terms["spatial"][k, level].item() == pytest.approx(
                ((z - s) ** 2).sum().item(), rel=1e-4
            )


# ---- class means


def test_class_means_by_hand():
    spatial = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]])[
        :, None
    ]  # three images of 1×2 pixels
    channel = torch.tensor([[1.0, 0.0, 0.0], [0.0, 3.0, 4.0], [2.0, 0.0, 0.0]])
    sums = PowerSums([spatial], [channel], torch.tensor([[2.0], [4.0], [5.0]]))
    means = class_means(sums, torch.tensor([0, 0, 1]), 2)
    torch.testing.assert_close(
        means.spatial[0], torch.tensor([[0.8, 0.4], [0.0, 1.0]])
    )  # the mean of unit maps
    torch.testing.assert_close(means.channel[0], torch.tensor([[0.5, 0.3, 0.4], [1.0, 0.0, 0.0]]))
    torch.testing.assert_close(means.embedding, torch.tensor([[3.0], [5.0]]))


def test_a_class_without_images_has_a_mean_of_zero():
    sums = PowerSums([torch.ones(2, 2, 2)], [], torch.ones(2, 3))
    means = class_means(sums, torch.tensor([0, 2]), 3)
    assert not means.embedding[1].any()
    assert not means.spatial[0][1].any()


def test_terms_by_hand():
    a = ClassMeans(
        [torch.tensor([[1.0, 0.0]])], [torch.tensor([[0.6, 0.8]])], torch.tensor([[1.0, 2.0]])
    )
    b = ClassMeans(
        [torch.tensor([[0.0, 1.0]])], [torch.tensor([[1.0, 0.0]])], torch.tensor([[1.0, 5.0]])
    )
    terms = matching_terms(a, b)
    assert {name: values.shape for name, values in terms.items()} == {
        "embedding": (1,),
        "spatial": (1, 1),
        "channel": (1, 1),
    }
    assert (terms["spatial"].item(), terms["embedding"].item()) == (2, 9)
    assert terms["channel"].item() == pytest.approx(0.16 + 0.64)
    assert weighted(terms, 0.5).item() == pytest.approx(2 + 0.8 + 4.5)


# ---- what must be so


@pytest.mark.parametrize("method", SWITCHES)
def test_equal_sets_have_loss_and_gradient_zero(method):
    spatial, channel, mmd = SWITCHES[method]
    taps = [torch.rand(4, 3, 5, 5), torch.rand(4, 2, 3, 3), torch.rand(4, 6)]
    own = [t.clone().requires_grad_(True) for t in taps]
    loss = attention_matching_loss(taps, own, spatial=spatial, channel=channel, mmd=mmd)
    assert loss.item() == 0
    gradients = torch.autograd.grad(loss, own, allow_unused=True)
    assert not any(g is not None and g.any() for g in gradients)


@pytest.mark.parametrize("method", SWITCHES)
def test_equal_images_have_a_loss_of_rounding_errors_only(method):
    net, (x, labels) = network(), batch((4, 4, 4), 9)
    leaf = x.clone().requires_grad_(True)
    loss = fused(net, (x, labels), (leaf, labels), 3, *SWITCHES[method])
    (gradient,) = torch.autograd.grad(loss, leaf)
    assert loss.item() < 1e-10
    (of_others,) = torch.autograd.grad(
        fused(net, batch((4, 4, 4), 10), (leaf, labels), 3, *SWITCHES[method]), leaf
    )
    assert gradient.abs().max() < 1e-4 * of_others.abs().max()


@settings(max_examples=20, deadline=None)
@given(
    power=st.sampled_from([1.0, 2.0, 4.0]),
    factors=st.lists(st.floats(0.05, 20), min_size=7, max_size=7),
    seed=st.integers(0, 99),
)
def test_brightness_of_single_images_changes_nothing(power, factors, seed):
    random = torch.Generator().manual_seed(seed)
    taps = [
        [torch.rand(n, 3, 5, 5, dtype=torch.float64, generator=random), torch.zeros(n, 1).double()]
        for n in (4, 3)
    ]
    scale = torch.tensor(factors, dtype=torch.float64)[:, None, None, None]
    scaled = [[taps[0][0] * scale[:4], taps[0][1]], [taps[1][0] * scale[4:], taps[1][1]]]
    losses = [
        attention_matching_loss(*both, spatial=power, channel=power, mmd=0).item()
        for both in (taps, scaled)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6), power=st.sampled_from([1.0, 2.0, 4.0]), sparse=st.floats(0, 0.95)
)
def test_each_term_is_at_most_2_and_the_loss_twice_the_layers(seed, power, sparse):
    random = torch.Generator().manual_seed(seed)

    def taps(count):
        maps = [torch.randn(count, 3, side, side, generator=random).relu() for side in (4, 2)]
        return [f * (torch.rand(f.shape, generator=random) > sparse) for f in maps] + [
            torch.zeros(count, 1)
        ]

    both = taps(2), taps(1)
    assert 0 <= attention_matching_loss(*both, spatial=power, channel=None, mmd=0) <= 2 * 2
    assert 0 <= attention_matching_loss(*both, spatial=power, channel=power, mmd=0) <= 2 * 2 * 2


def test_the_bound_is_reached_by_maps_that_share_no_pixel():
    real, synthetic = torch.zeros(2, 2, 1, 2, 2)
    real[:, :, 0, 0] = 3.0
    synthetic[:, :, 1, 1] = 0.5
    taps = [[f, f, torch.zeros(2, 1)] for f in (real, synthetic)]
    assert attention_matching_loss(*taps, spatial=4.0, mmd=0).item() == 4.0


def test_the_bound_holds_for_networks():
    net, real, synthetic = network(), batch((4, 4, 4), 1), batch((1, 1, 1), 2)
    for power in (1.0, 4.0):
        terms = matching_terms(
            real_means(net, *real, 3, power, power),
            synthetic_means(net, *synthetic, 3, power, power),
        )
        assert terms["spatial"].shape == terms["channel"].shape == (3, 2)
        assert 0 < terms["spatial"].max() <= 2
        assert weighted({**terms, "channel": torch.zeros(3, 2)}, 0) <= 2 * 3 * 2


def test_order_of_images_and_of_sides_does_not_matter():
    random = torch.Generator().manual_seed(3)
    real, synthetic = (
        [torch.rand(n, 3, 4, 4, generator=random), torch.rand(n, 5, generator=random)]
        for n in (6, 4)
    )
    turned = [t[torch.tensor([3, 5, 0, 1, 4, 2])] for t in real]
    loss = attention_matching_loss(real, synthetic, channel=4.0).item()
    assert attention_matching_loss(turned, synthetic, channel=4.0).item() == pytest.approx(
        loss, rel=1e-6
    )
    assert attention_matching_loss(synthetic, real, channel=4.0).item() == pytest.approx(
        loss, rel=1e-6
    )


def test_the_embedding_may_come_as_a_map_of_one_pixel():
    real, synthetic = ([torch.rand(n, 3, 4, 4), torch.rand(n, 5)] for n in (6, 4))
    as_maps = [[f, e[:, :, None, None]] for f, e in (real, synthetic)]
    assert (
        attention_matching_loss(*as_maps).item() == attention_matching_loss(real, synthetic).item()
    )


def test_the_defaults_are_datadams():
    real, synthetic = ([torch.rand(n, 3, 4, 4), torch.rand(n, 5)] for n in (6, 4))
    expected = attention_matching_loss(real, synthetic, spatial=4.0, channel=None, mmd=0.01)
    assert attention_matching_loss(real, synthetic) == expected


@pytest.mark.parametrize("method", SWITCHES)
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_gradients_equal_finite_differences(method, norm):
    """The gradient passes through network, maps, unit vectors and class means, in float64."""
    net = ConvNet(1, 2, 8, width=3, depth=2, norm=norm, seed=5).double().requires_grad_(False)
    random = torch.Generator().manual_seed(6)
    real = torch.randn(6, 1, 8, 8, dtype=torch.float64, generator=random)
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64, generator=random, requires_grad=True)
    spatial, channel, mmd = SWITCHES[method]
    target = real_means(net, real, torch.tensor([0, 0, 0, 1, 1, 1]), 2, spatial, channel)

    def loss(images):
        return weighted(
            matching_terms(
                target, synthetic_means(net, images, torch.tensor([0, 1, 1]), 2, spatial, channel)
            ),
            mmd,
        )

    assert torch.autograd.gradcheck(loss, x, fast_mode=True)
    assert torch.autograd.grad(loss(x), x)[0].abs().max() > 0


# ---- bad input

MAPS, EMBEDDING = torch.rand(2, 3, 4, 4), torch.rand(2, 5)


@pytest.mark.parametrize(
    ("real", "synthetic", "options", "words"),
    [
        ([MAPS, EMBEDDING], [MAPS, EMBEDDING], {"spatial": None, "mmd": 0}, "all terms are off"),
        (
            [MAPS, EMBEDDING],
            [EMBEDDING],
            {},
            r"taps must match .* \[\(3, 4, 4\), \(5,\)\] and \[\(5,\)\]",
        ),
        ([MAPS, EMBEDDING], [MAPS[..., :3], EMBEDDING], {}, "taps must match"),
        ([], [], {}, "taps must match"),
        ([MAPS[:0], EMBEDDING[:0]], [MAPS, EMBEDDING], {}, r"at least 1"),
        (
            [MAPS, EMBEDDING],
            [MAPS[:1], EMBEDDING],
            {},
            r"of the same images; got \[2, 2\] real and \[1, 2\] synthetic",
        ),
        ([MAPS[:, 0], EMBEDDING], [MAPS[:, 0], EMBEDDING], {}, r"features must be \[N, C, H, W\]"),
        (
            [MAPS, EMBEDDING],
            [MAPS, EMBEDDING],
            {"spatial": 0},
            "power must be a number above 0, got 0",
        ),
        (
            [MAPS, EMBEDDING],
            [MAPS, EMBEDDING],
            {"channel": -1},
            "power must be a number above 0, got -1",
        ),
    ],
)
def test_bad_input_is_named(real, synthetic, options, words):
    with pytest.raises(InvalidInput, match=words):
        attention_matching_loss(real, synthetic, **options)
