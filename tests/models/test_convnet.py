"""Test ConvNet-D: counts and shapes of the published networks, PyTorch's layers as oracle, weights from a private generator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d

from explore.errors import InvalidInput, UnknownName
from explore.models import ConvNet
from explore.models.convnet import ACTIVATIONS, NORM_NAMES, POOLINGS, depth_for


def images(count: int, channels: int, size: int) -> torch.Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(0))


# ---- sizes


@pytest.mark.parametrize(
    ("size", "classes", "count"), [(32, 10, 320_010), (64, 200, 857_160), (128, 10, 615_690)]
)
def test_parameter_counts_are_the_published_ones(size, classes, count):
    assert sum(p.numel() for p in ConvNet(3, classes, size).parameters()) == count


@pytest.mark.parametrize(
    ("channels", "classes", "width", "depth"), [(1, 10, 32, 2), (3, 7, 16, 3), (2, 2, 5, 4)]
)
def test_parameter_counts_by_hand(channels, classes, width, depth):
    net = ConvNet(channels, classes, 32, width=width, depth=depth)
    blocks = (9 * channels * width + 3 * width) + (depth - 1) * (9 * width * width + 3 * width)
    classifier = (width * (32 >> depth) ** 2 + 1) * classes
    assert sum(p.numel() for p in net.parameters()) == blocks + classifier


@pytest.mark.parametrize(("size", "depth"), [(8, 3), (16, 3), (28, 3), (32, 3), (64, 4), (128, 5)])
def test_depth_by_size(size, depth):
    assert depth_for(size) == depth
    assert len(ConvNet(1, 2, size, width=4).blocks) == depth


def test_maps_and_embedding_of_the_published_network():
    net = ConvNet(3, 10, 32)
    maps, embedding = net.taps_and_embed(torch.zeros(2, 3, 32, 32))
    assert [tuple(f.shape) for f in maps] == [(2, 128, 32, 32), (2, 128, 16, 16), (2, 128, 8, 8)]
    assert embedding.shape == (2, 2048) == (2, net.embedding)


def test_28_pixels_become_maps_of_32():
    net = ConvNet(1, 10, 28, width=4)
    assert [tuple(f.shape[2:]) for f in net.taps(torch.zeros(1, 1, 28, 28))] == [
        (32, 32),
        (16, 16),
        (8, 8),
    ]
    assert net.embedding == 4 * 4 * 4
    assert net(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


def test_without_pooling_maps_keep_their_size():
    net = ConvNet(1, 3, 8, width=4, depth=5, pooling="none")
    assert {tuple(f.shape) for f in net.taps(torch.zeros(2, 1, 8, 8))} == {(2, 4, 8, 8)}
    assert net(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


# ---- what is computed


def test_logits_are_those_of_the_blocks_written_out():
    net, x = ConvNet(3, 5, 16, width=6, seed=3), images(4, 3, 16)
    f = x
    for block in net.blocks:
        f = conv2d(f, block.conv.weight, block.conv.bias, padding=1)
        f = (f - f.mean((2, 3), keepdim=True)) / (
            f.var((2, 3), unbiased=False, keepdim=True) + 1e-5
        ).sqrt()
        f = avg_pool2d(f.clamp(min=0), 2)
    torch.testing.assert_close(net.embed(x), f.flatten(1))
    torch.testing.assert_close(net(x), f.flatten(1) @ net.classifier.weight.T + net.classifier.bias)


def test_the_four_views_agree():
    net, x = ConvNet(1, 4, 16, width=6), images(3, 1, 16)
    maps, embedding = net.taps_and_embed(x)
    assert all(torch.equal(a, b) for a, b in zip(maps, net.taps(x), strict=True))
    assert torch.equal(embedding, net.embed(x))
    assert torch.equal(net.classifier(embedding), net(x))
    assert torch.equal(avg_pool2d(maps[-1], 2).flatten(1), embedding)


def test_maps_are_taken_before_pooling_and_nothing_overwrites_them():
    net, x = ConvNet(1, 4, 16, width=6), images(3, 1, 16).requires_grad_(True)
    maps = net.taps(x)
    assert all((f >= 0).all() for f in maps)
    first = net.blocks[0].activation(net.blocks[0].norm(net.blocks[0].conv(x)))
    assert torch.equal(maps[0], first)
    sum(f.sum() for f in maps).backward()  # in-place operations would make this fail


def test_instance_norm_is_group_norm_with_one_channel_a_group():
    norm, oracle = ConvNet(1, 2, 16, width=6).blocks[0].norm, nn.InstanceNorm2d(6, affine=True)
    for parameters in zip(norm.parameters(), oracle.parameters(), strict=True):
        random_network = torch.randn(6, generator=torch.Generator().manual_seed(1))
        for parameter in parameters:
            parameter.data.copy_(random_network)
    x = images(5, 6, 16)
    torch.testing.assert_close(norm(x), oracle(x))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("instance", nn.GroupNorm),
        ("group", nn.GroupNorm),
        ("batch", nn.BatchNorm2d),
        ("layer", nn.LayerNorm),
        ("none", nn.Identity),
    ],
)
def test_norms(name, kind):
    norms = [block.norm for block in ConvNet(1, 2, 16, width=8, norm=name).blocks]
    assert all(type(norm) is kind for norm in norms)
    if kind is nn.GroupNorm:
        assert {norm.num_groups for norm in norms} == {8 if name == "instance" else 4}
    if kind is nn.LayerNorm:
        assert [norm.normalized_shape for norm in norms] == [(8, 16, 16), (8, 8, 8), (8, 4, 4)]


@pytest.mark.parametrize("norm", NORM_NAMES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_combination_computes(norm, activation, pooling):
    net = ConvNet(1, 3, 8, width=4, depth=2, norm=norm, activation=activation, pooling=pooling)
    assert net(images(2, 1, 8)).isfinite().all()


# ---- where the weights come from


@pytest.fixture(scope="module")
def random_network() -> ConvNet:
    return ConvNet(3, 100, 32, seed=11)


def layers(net: nn.Module) -> list[nn.Module]:
    return [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def test_weights_are_drawn_as_pytorch_draws_them(random_network):
    """Test that weights are uniform within the bounds of PyTorch's defaults: Kolmogorov-Smirnov at 1 in 10,000."""
    from scipy.stats import kstest

    for layer in layers(random_network):
        fan_in = math.prod(layer.weight.shape[1:])
        bound = math.sqrt(
            6 / ((1 + 5) * fan_in)
        )  # Kaiming-uniform, gain² = 2 / (1 + √5²), bound = gain · √(3 / fan_in)
        for parameter in (layer.weight, layer.bias):
            values = parameter.detach().double().flatten().numpy()
            assert np.abs(values).max() <= bound * (1 + 1e-6)
            assert kstest(values, "uniform", args=(-bound, 2 * bound)).pvalue > 1e-4


def test_bounds_are_those_of_pytorchs_own_layers(random_network):
    for layer in layers(random_network):
        if layer.weight.numel() < 10_000:
            continue
        with torch.random.fork_rng():
            torch.manual_seed(0)
            oracle = (
                nn.Conv2d(*layer.weight.shape[1::-1], 3)
                if layer.weight.ndim == 4
                else nn.Linear(*layer.weight.shape[::-1])
            )
        assert layer.weight.shape == oracle.weight.shape
        assert layer.weight.abs().max().item() == pytest.approx(
            oracle.weight.abs().max().item(), rel=1e-2
        )
        assert layer.weight.std().item() == pytest.approx(oracle.weight.std().item(), rel=1e-2)


def test_norms_start_as_the_identity():
    for name in ("instance", "batch", "layer", "group"):
        for block in ConvNet(1, 2, 16, width=8, norm=name, seed=4).blocks:
            assert (block.norm.weight == 1).all()
            assert (block.norm.bias == 0).all()


def test_equal_seeds_give_equal_weights_and_other_seeds_others():
    a, b, c = (ConvNet(1, 10, 16, width=8, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.blocks[0].conv.weight, c.blocks[0].conv.weight)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_drawing_new_weights_equals_a_new_network(norm):
    used, new = (
        ConvNet(1, 10, 16, width=8, norm=norm, seed=1),
        ConvNet(1, 10, 16, width=8, norm=norm, seed=2),
    )
    with torch.no_grad():
        for parameter in used.parameters():
            parameter.add_(1)
    used(images(5, 1, 16))  # changes the running statistics of batch norm
    assert used.draw(2) is used
    for (name, a), b in zip(used.state_dict().items(), new.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_drawing_keeps_frozen_weights_frozen_and_the_type():
    net = ConvNet(1, 10, 16, width=8).double().requires_grad_(False)
    net.draw(3)
    assert not any(p.requires_grad for p in net.parameters())
    assert {p.dtype for p in net.parameters()} == {torch.float64}


def test_global_random_state_is_neither_used_nor_changed():
    torch.manual_seed(1)
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = ConvNet(3, 10, 16, width=8, norm="batch").draw(5)
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpys).all()  # noqa: NPY002
    torch.manual_seed(2)
    second = ConvNet(3, 10, 16, width=8, norm="batch").draw(5)
    assert all(
        torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True)
    )


def test_parameters_are_on_the_cpu_and_learn():
    net = ConvNet(1, 2, 8, width=4)
    assert all(p.device.type == "cpu" and p.requires_grad for p in net.parameters())
    net(images(2, 1, 8)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


# ---- bad input


@pytest.mark.parametrize(
    ("option", "name", "names"),
    [
        ("norm", "instancenorm", "batch, group, instance"),
        ("activation", "tanh", "leakyrelu, relu"),
        ("pooling", "mean", "avg, max, none"),
    ],
)
def test_an_unknown_name_lists_the_known(option, name, names):
    with pytest.raises(UnknownName, match=f"unknown {option} '{name}'; known: {names}"):
        ConvNet(1, 2, 16, **{option: name})


def test_images_too_small_for_the_poolings_are_refused():
    with pytest.raises(
        InvalidInput, match="3 poolings need images of 8 or more pixels a side, got 4"
    ):
        ConvNet(1, 2, 4)
