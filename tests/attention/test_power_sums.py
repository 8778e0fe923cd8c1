"""Power sums: the fused kernel equals the formulas, written out block by block in float64."""

from __future__ import annotations

import importlib
import sys

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, relu

from explore.attention.power_sums import (
    CHUNK_BYTES,
    PowerSums,
    chunk_for,
    power_sums,
    taps_and_embed,
)
from explore.errors import InvalidInput
from explore.models import ConvNet

module = importlib.import_module("explore.attention.power_sums")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def convnet(size: int = 16, width: int = 8, **options) -> ConvNet:
    """Return a ConvNet whose norms have random weights and biases."""
    net = ConvNet(options.pop("channels", 1), 10, size, width=width, **options)
    with torch.no_grad():
        for block in net.blocks:
            if not isinstance(block.norm, nn.Identity):
                block.norm.weight.copy_(
                    torch.randn(block.norm.weight.shape, generator=generator(5))
                )
                block.norm.bias.copy_(
                    torch.randn(block.norm.bias.shape, generator=generator(6)) * 0.5
                )
    return net


def images_for(net: ConvNet, count: int, size: int, channels: int = 1) -> torch.Tensor:
    return torch.randn(count, channels, size, size, generator=generator(count))


def by_hand(
    net: ConvNet, images: torch.Tensor, spatial: float | None, channel: float | None
) -> PowerSums:
    """Compute the sums from convolution, instance norm, ReLU and pooling written out in float64."""
    x, maps = images.double(), []
    for block in net.blocks:
        f = conv2d(
            x, block.conv.weight.double(), block.conv.bias.double(), padding=block.conv.padding
        )
        mean = f.mean((2, 3), keepdim=True)
        variance = ((f - mean) ** 2).mean((2, 3), keepdim=True)
        f = (f - mean) / (variance + 1e-5) ** 0.5
        f = relu(
            f * block.norm.weight.double()[:, None, None] + block.norm.bias.double()[:, None, None]
        )
        maps.append(f)
        x = avg_pool2d(f, 2)
    return PowerSums(
        [] if spatial is None else [f.abs().pow(spatial).sum(1) for f in maps[:-1]],
        [] if channel is None else [f.abs().pow(channel).sum((2, 3)) for f in maps[:-1]],
        x.flatten(1),
    )


def assert_same(sums: PowerSums, expected: PowerSums, tolerance: float = 1e-5) -> None:
    assert (len(sums.spatial), len(sums.channel)) == (len(expected.spatial), len(expected.channel))
    pairs = zip(
        [*sums.spatial, *sums.channel, sums.embedding],
        [*expected.spatial, *expected.channel, expected.embedding],
        strict=True,
    )
    for ours, theirs in pairs:
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.fixture
def paths(monkeypatch):
    """Record which paths are used, with the number of images of each chunk."""
    paths: list[tuple[str, int]] = []
    for name in ("_fused", "_plain"):
        path = getattr(module, name)

        def spy(network, images, *rest, name=name, path=path):
            paths.append((name, len(images)))
            return path(network, images, *rest)

        monkeypatch.setattr(module, name, spy)
    return paths


# ---- the fused path


@pytest.mark.parametrize("spatial", [None, 1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("channel", [None, 1.0, 2.0, 3.0, 4.0])
def test_every_combination_of_powers(spatial, channel, paths):
    net = convnet()
    x = images_for(net, 5, 16)
    assert_same(power_sums(net, x, spatial, channel), by_hand(net, x, spatial, channel))
    assert paths == [("_fused", 5)]


@pytest.mark.parametrize("power", [0.5, 1.5, 6.0])
def test_uncommon_powers(power):
    net = convnet()
    x = images_for(net, 3, 16)
    assert_same(power_sums(net, x, power, power), by_hand(net, x, power, power))


@pytest.mark.parametrize(
    ("size", "channels", "depth"),
    [(8, 1, None), (16, 3, None), (28, 1, None), (32, 3, None), (12, 2, 2), (64, 1, 4)],
)
def test_sizes_and_depths(size, channels, depth, paths):
    net = convnet(size, channels=channels, depth=depth)
    x = images_for(net, 4, size, channels)
    assert_same(power_sums(net, x, 4.0, 2.0), by_hand(net, x, 4.0, 2.0))
    assert paths == [("_fused", 4)]


def test_28_pixels_are_padded_to_maps_of_32():
    sums = power_sums(convnet(28), torch.zeros(2, 1, 28, 28), 4.0, 4.0)
    assert [tuple(s.shape) for s in sums.spatial] == [(2, 32, 32), (2, 16, 16)]
    assert [tuple(s.shape) for s in sums.channel] == [(2, 8), (2, 8)]
    assert sums.embedding.shape == (2, 8 * 4 * 4)


@pytest.mark.parametrize("size", [15, 17, 20, 30])
def test_sizes_that_cannot_be_halved_fall_back(size, paths):
    net = convnet(size)
    x = images_for(net, 3, size)
    assert_same(power_sums(net, x, 4.0, 1.0), by_hand(net, x, 4.0, 1.0))
    assert paths == [("_plain", 3)]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 15, 16, 17, 24, 27])
def test_chunk_boundaries(count, paths, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 1)
    net = convnet()
    x = images_for(net, count, 16)
    assert_same(power_sums(net, x, 4.0, 3.0), by_hand(net, x, 4.0, 3.0))
    assert [images for _, images in paths] == [8] * (count // 8) + [count % 8] * bool(count % 8)


@pytest.mark.parametrize("spatial", [None, 4.0])
@pytest.mark.parametrize("channel", [None, 4.0])
def test_no_image_at_all(spatial, channel):
    sums = power_sums(convnet(), torch.zeros(0, 1, 16, 16), spatial, channel)
    assert sums.embedding.shape == (0, 32)
    assert [tuple(s.shape) for s in sums.spatial] == (
        [] if spatial is None else [(0, 16, 16), (0, 8, 8)]
    )


def test_fused_equals_plain_path(monkeypatch):
    net = convnet(28)
    x = images_for(net, 11, 28)
    fused = power_sums(net, x, 4.0, 4.0)
    monkeypatch.setattr(module, "_is_fusable", lambda *_: False)
    assert_same(fused, power_sums(net, x, 4.0, 4.0))


def test_images_may_have_any_memory_format():
    net = convnet(channels=3)
    x = images_for(net, 6, 16, 3)
    expected = power_sums(net, x, 4.0, 4.0)
    assert_same(
        power_sums(net, x.contiguous(memory_format=torch.channels_last), 4.0, 4.0), expected
    )
    assert_same(
        power_sums(net, torch.cat([x, x])[::2], 4.0, 4.0),
        power_sums(net, torch.cat([x[::2], x[::2]]), 4.0, 4.0),
    )


def test_neither_images_nor_network_are_changed():
    net, x = convnet(), images_for(convnet(), 4, 16)
    before = x.clone(), [t.clone() for t in net.state_dict().values()]
    power_sums(net, x, 4.0, 4.0)
    assert torch.equal(x, before[0])
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), before[1], strict=True))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e38])
def test_an_image_without_bounds_changes_only_its_own_sums(value):
    net, x = convnet(), images_for(convnet(), 6, 16)
    before_change = power_sums(net, x, 4.0, 4.0)
    x[2] = value
    sums, others = power_sums(net, x, 4.0, 4.0), [0, 1, 3, 4, 5]
    for ours, theirs in zip(
        [*sums.spatial, *sums.channel, sums.embedding],
        [*before_change.spatial, *before_change.channel, before_change.embedding],
        strict=True,
    ):
        assert torch.equal(ours[others], theirs[others])


def test_the_same_images_give_the_same_bits():
    net, x = convnet(), images_for(convnet(), 40, 16)
    first, second = power_sums(net, x, 4.0, 4.0), power_sums(net, x, 4.0, 4.0)
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.spatial + first.channel, second.spatial + second.channel, strict=True)
    )
    assert torch.equal(first.embedding, second.embedding)


def test_no_gradients_are_kept():
    sums = power_sums(convnet(), images_for(convnet(), 2, 16).requires_grad_(True), 4.0, 4.0)
    assert not any(t.requires_grad for t in (*sums.spatial, *sums.channel, sums.embedding))


def test_bfloat16_changes_the_third_digit_only():
    net, x = convnet(), images_for(convnet(), 4, 16)
    sums = power_sums(net, x, 1.0, 1.0, torch.bfloat16)
    assert sums.embedding.dtype == torch.float32
    assert not torch.equal(sums.embedding, power_sums(net, x, 1.0, 1.0).embedding)
    assert_same(sums, by_hand(net, x, 1.0, 1.0), tolerance=0.02)


def test_a_chunk_is_what_fits_into_the_cache_and_at_least_8():
    assert chunk_for(ConvNet(1, 10, 16, width=32), torch.zeros(1, 1, 16, 16)) == CHUNK_BYTES // (
        4 * 32 * 16 * 16
    )
    assert chunk_for(ConvNet(3, 10, 64), torch.zeros(1, 3, 64, 64)) == 8


# ---- networks that the fused path does not support


@pytest.mark.parametrize(
    "options",
    [
        {"norm": "batch"},
        {"norm": "layer"},
        {"norm": "group"},
        {"norm": "none"},
        {"activation": "leakyrelu"},
        {"activation": "swish"},
        {"pooling": "max"},
    ],
    ids=lambda options: next(iter(options.values())),
)
def test_unsupported_blocks_use_the_plain_path(options, paths):
    net = convnet(**options)
    x = images_for(net, 5, 16)
    maps, embedding = net.double().taps_and_embed(x.double())
    expected = PowerSums(
        [f.abs().pow(4).sum(1) for f in maps[:-1]],
        [f.abs().pow(3).sum((2, 3)) for f in maps[:-1]],
        embedding,
    )
    assert_same(power_sums(net.float(), x, 4.0, 3.0), expected)
    assert paths == [("_plain", 5)]


def test_batch_norm_in_training_mode_sees_all_images_at_once(paths, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 1)
    net, x = convnet(norm="batch").train(), images_for(convnet(), 20, 16)
    sums = power_sums(net, x)
    assert paths == [("_plain", 20)]
    maps, embedding = net.taps_and_embed(x)
    assert_same(sums, PowerSums([f.abs().pow(4).sum(1) for f in maps[:-1]], [], embedding))


def test_batch_norm_in_evaluation_mode_may_be_chunked(paths, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 1)
    net, x = convnet(norm="batch"), images_for(convnet(), 20, 16)
    net(x)  # running statistics that are not 0 and 1
    sums = power_sums(net.eval(), x)
    assert [images for _, images in paths] == [8, 8, 4]
    maps, embedding = net.taps_and_embed(x)
    assert_same(sums, PowerSums([f.abs().pow(4).sum(1) for f in maps[:-1]], [], embedding))


def sequential() -> nn.Module:
    body = [
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 6, 3),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(6 * 6 * 6, 3))


def test_any_network_with_activation_modules(paths):
    net, x = sequential(), images_for(convnet(), 9, 16)
    first = relu(net[0](x))
    last = relu(net[3](avg_pool2d(first, 2)))
    with torch.no_grad():
        assert_same(
            power_sums(net, x, 2.0, 4.0),
            PowerSums([first.square().sum(1)], [first.pow(4).sum((2, 3))], last.flatten(1)),
        )
    assert paths == [("_plain", 9)]


def test_a_network_with_blocks_that_is_no_convnet_uses_the_plain_path():
    class Blocks(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([sequential()[:2], sequential()[3:5]])

        def forward(self, x):
            return self.blocks[1](self.blocks[0](x)).mean((2, 3))

    sums = power_sums(Blocks(), torch.rand(3, 1, 16, 16))
    assert [tuple(s.shape) for s in sums.spatial] == [(3, 16, 16)]
    assert sums.embedding.shape == (3, 6)


def test_taps_and_embed_hands_gradients_back():
    x = images_for(convnet(), 2, 16).requires_grad_(True)
    maps, embedding = taps_and_embed(sequential(), x)
    (gradient,) = torch.autograd.grad(maps[0].sum() + embedding.sum(), x)
    assert gradient.abs().sum() > 0


# ---- bad input


@pytest.mark.parametrize("power", [0, -2.0, float("nan")])
def test_powers_that_are_not_above_0_are_an_error(power):
    x = torch.zeros(1, 1, 16, 16)
    with pytest.raises(InvalidInput, match=f"spatial power must be a number above 0, got {power}"):
        power_sums(convnet(), x, power)
    with pytest.raises(InvalidInput, match=f"channel power must be a number above 0, got {power}"):
        power_sums(convnet(), x, None, power)


def test_a_network_without_activation_modules_is_an_error():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 14 * 14, 3))
    with pytest.raises(
        InvalidInput,
        match=r"at least 2 activation modules .* found none; write activations as modules",
    ):
        power_sums(net, torch.zeros(1, 1, 16, 16))


def test_one_map_is_too_few_as_the_last_is_left_out():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 14 * 14, 3))
    with pytest.raises(InvalidInput, match=r"found 1 \(1\)"):
        power_sums(net, torch.zeros(1, 1, 16, 16))


def test_the_lazy_name_is_the_function_although_a_module_is_called_so():
    import explore.attention

    assert "explore.attention.power_sums" in sys.modules
    assert explore.attention.power_sums is power_sums


class TupleNetwork(nn.Module):
    """Two maps, no linear layer, and a tuple as output."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.ReLU())

    def forward(self, x):
        return self.maps(x), x


@pytest.mark.parametrize("factor", [1e-12, 1e12])
@pytest.mark.parametrize("kind", ["fused", "plain"])
def test_sums_that_float32_cannot_hold_are_those_of_a_multiple(factor, kind):
    net, x = convnet(16), images_for(convnet(16), 4, 16)
    expected = power_sums(net, x, 4.0, 4.0)
    with torch.no_grad():
        net.blocks[0].norm.weight.mul_(factor)
        net.blocks[0].norm.bias.mul_(factor)
    if kind == "plain":
        net = nn.Sequential(*(layer for block in net.blocks for layer in block), nn.Flatten())
    sums = power_sums(net, x, 4.0, 4.0)
    for name in ("spatial", "channel"):
        first = getattr(sums, name)[0].flatten(1)
        assert first.isfinite().all()
        unit = nn.functional.normalize(getattr(expected, name)[0].flatten(1), dim=1)
        scaled = first / first.amax(1, keepdim=True)
        torch.testing.assert_close(nn.functional.normalize(scaled, dim=1), unit)


def test_images_of_other_types_become_those_of_the_network():
    net, x = convnet(16), images_for(convnet(16), 3, 16)
    expected = power_sums(net, x)
    assert_same(power_sums(net, x.double()), expected)
    assert_same(power_sums(net, x.numpy()), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "convnet"}, "network must be a network"),
        ({"images": torch.zeros(2, 1, 16, 16, dtype=torch.uint8)}, "images must be floats"),
        ({"images": torch.zeros(2, 16, 16)}, r"images must be floats \[N, C, H, W\]"),
        ({"images": torch.zeros(2, 3, 16, 16)}, r"floats \[N, 1, H, W\], got torch.float32 \[2, 3"),
        ({"images": torch.zeros(2, 1, 5, 5)}, "poolings need images of 8 or more pixels a side"),
        ({"spatial": "4"}, "spatial power must be a number above 0, got '4'"),
        ({"dtype": torch.int8}, "dtype must be a floating type"),
        ({"dtype": "half"}, "dtype must be a floating type"),
        ({"network": TupleNetwork()}, "must return logits .* it returns tuple; wrap it"),
    ],
)
def test_what_is_no_network_or_image_is_refused(change, message):
    options = {"network": convnet(16), "images": torch.zeros(2, 1, 16, 16)} | change
    with pytest.raises(InvalidInput, match=message):
        power_sums(**options)
