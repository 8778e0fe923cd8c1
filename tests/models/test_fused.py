"""Fused blocks: values and gradients of the plain path in float64; the plain path with hooks."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from explore.models import ConvNet
from explore.models._fused import module as fused
from explore.models._fused.module import fused_blocks


@pytest.fixture(autouse=True)
def fused_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by one with each call of the fused path."""
    calls: list[int] = []
    plain = fused.embed
    monkeypatch.setattr(fused, "embed", lambda network, x: calls.append(1) or plain(network, x))
    return calls


def network(size: int, width: int = 8, channels: int = 1, **options: object) -> ConvNet:
    net = ConvNet(channels, 5, size, width=width, seed=1, **options)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for block in net.blocks:
            if isinstance(block.norm, nn.GroupNorm):
                block.norm.weight.copy_(torch.randn(width, generator=generator))
                block.norm.bias.copy_(torch.randn(width, generator=generator) * 0.5)
    return net


def images(n: int, channels: int, size: int) -> torch.Tensor:
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(n))


def gradients(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(cross_entropy(net(x), y), [x, *net.parameters()]))


@pytest.mark.parametrize(
    ("n", "channels", "size", "width"),
    [(7, 1, 8, 8), (3, 3, 16, 5), (2, 1, 28, 8), (1, 2, 32, 16), (5, 3, 8, 1)],
)
def test_values_and_gradients_are_those_of_the_plain_path_in_float64(
    n: int, channels: int, size: int, width: int, fused_calls: list[int]
) -> None:
    net, y = network(size, width, channels), torch.arange(n) % 5
    x = images(n, channels, size).requires_grad_(True)
    with fused_blocks():
        logits, grads = net(x), gradients(net, x, y)
    assert len(fused_calls) == 2
    exact = network(size, width, channels).double()
    x64 = x.detach().double().requires_grad_(True)
    assert torch.allclose(logits.double(), exact(x64), atol=1e-4, rtol=1e-4)
    largest = max(float(g.abs().max()) for g in grads)
    for ours, theirs in zip(grads, gradients(exact, x64, y), strict=True):
        assert ours.shape == theirs.shape
        assert (ours.double() - theirs).abs().max() < 1e-4 * largest


def test_gradients_by_finite_differences() -> None:
    f = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weight, bias = (
        torch.randn(4, generator=torch.Generator().manual_seed(k), requires_grad=True)
        for k in (1, 2)
    )
    towards = torch.randn(2, 4, 2, 2, generator=torch.Generator().manual_seed(3))
    grads = torch.autograd.grad(
        (fused.NormReluPool.apply(f, weight, bias, 1e-5) * towards).sum(), [f, weight, bias]
    )

    def exact(f: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        x = (f - f.mean((2, 3), keepdim=True)) / (
            f.var((2, 3), unbiased=False, keepdim=True) + 1e-5
        ).sqrt()
        return (
            nn.functional.avg_pool2d(torch.relu(x * weight[:, None, None] + bias[:, None, None]), 2)
            * towards.double()
        ).sum()

    inputs = [t.detach().double() for t in (f, weight, bias)]
    for position, gradient in enumerate(grads):
        for index in range(0, inputs[position].numel(), 5):
            sides = []
            for step in (1e-6, -1e-6):
                moved = [t.clone() for t in inputs]
                moved[position].view(-1)[index] += step
                sides.append(exact(*moved))
            assert gradient.contiguous().view(-1)[index] == pytest.approx(
                float(sides[0] - sides[1]) / 2e-6, abs=2e-4
            )


def test_fused_blocks_are_used_only_when_enabled(fused_calls: list[int]) -> None:
    net, x = network(16), images(2, 1, 16)
    plain = net(x)
    assert fused_calls == []
    with fused_blocks():
        assert torch.allclose(net(x), plain, atol=1e-5)
    assert len(fused_calls) == 1
    assert torch.equal(net(x), plain)
    assert len(fused_calls) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"norm": "batch"},
        {"norm": "none"},
        {"norm": "group"},
        {"activation": "swish"},
        {"pooling": "max"},
        {"depth": 4},
    ],
)
def test_unsupported_blocks_use_the_plain_path(
    options: dict[str, object], fused_calls: list[int]
) -> None:
    size = 24 if "depth" in options else 16  # 24 halves three times only
    net, x = network(size, **options), images(2, 1, size)
    with fused_blocks():
        assert torch.equal(net(x), net(x.clone()))
    assert fused_calls == []


def test_hooks_inside_the_blocks_get_their_maps(fused_calls: list[int]) -> None:
    net, x, calls = network(16), images(2, 1, 16), []
    handle = net.blocks[0].activation.register_forward_hook(
        lambda *arguments: calls.append(arguments[2].shape)
    )
    with fused_blocks():
        net(x)
        handle.remove()
        net(x)
    assert calls == [(2, 8, 16, 16)]
    assert len(fused_calls) == 1


def test_other_precisions_use_the_plain_path(fused_calls: list[int]) -> None:
    with fused_blocks():
        network(16).double()(images(2, 1, 16).double())
    assert fused_calls == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e38])
def test_an_image_without_bounds_changes_only_its_own_result(value: float) -> None:
    net, x = network(16), images(4, 1, 16)
    with fused_blocks():
        before_change = net(x)
        x[2] = value
        assert torch.equal(net(x)[[0, 1, 3]], before_change[[0, 1, 3]])


def test_a_second_derivative_is_an_error() -> None:
    net, x = network(16), images(2, 1, 16).requires_grad_(True)
    with fused_blocks():
        (first,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_the_same_bits_with_one_thread_and_two() -> None:
    net, x, before = network(16), images(9, 1, 16), torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with fused_blocks():
                results.append(
                    fused.NormReluPool.apply(
                        x.expand(-1, 8, -1, -1), *net.blocks[0].norm.parameters(), 1e-5
                    )
                )
        assert torch.equal(*results)
    finally:
        torch.set_num_threads(before)
