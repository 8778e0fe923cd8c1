"""Fused blocks: the same values and gradients as the plain ones in float64, and the plain path wherever somebody looks inside."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from explore.models import ConvNet
from explore.models._fused import module as fused
from explore.models._fused.module import fused_blocks


@pytest.fixture(autouse=True)
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one each time the fused path is taken."""
    seen: list[int] = []
    plain = fused.embed
    monkeypatch.setattr(fused, "embed", lambda network, x: seen.append(1) or plain(network, x))
    return seen


def network(size: int, width: int = 8, channels: int = 1, **options: object) -> ConvNet:
    made = ConvNet(channels, 5, size, width=width, seed=1, **options)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for block in made.blocks:
            if isinstance(block.norm, nn.GroupNorm):
                block.norm.weight.copy_(torch.randn(width, generator=generator))
                block.norm.bias.copy_(torch.randn(width, generator=generator) * 0.5)
    return made


def images(n: int, channels: int, size: int) -> torch.Tensor:
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(n))


def gradients(made: nn.Module, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(cross_entropy(made(x), y), [x, *made.parameters()]))


@pytest.mark.parametrize(
    ("n", "channels", "size", "width"),
    [(7, 1, 8, 8), (3, 3, 16, 5), (2, 1, 28, 8), (1, 2, 32, 16), (5, 3, 8, 1)],
)
def test_values_and_gradients_are_those_of_the_plain_path_in_float64(
    n: int, channels: int, size: int, width: int, taken: list[int]
) -> None:
    made, y = network(size, width, channels), torch.arange(n) % 5
    x = images(n, channels, size).requires_grad_(True)
    with fused_blocks():
        logits, found = made(x), gradients(made, x, y)
    assert len(taken) == 2
    exact = network(size, width, channels).double()
    wide = x.detach().double().requires_grad_(True)
    assert torch.allclose(logits.double(), exact(wide), atol=1e-4, rtol=1e-4)
    largest = max(float(g.abs().max()) for g in found)
    for ours, theirs in zip(found, gradients(exact, wide, y), strict=True):
        assert ours.shape == theirs.shape
        assert (ours.double() - theirs).abs().max() < 1e-4 * largest


def test_gradients_by_finite_differences() -> None:
    f = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weight, bias = (
        torch.randn(4, generator=torch.Generator().manual_seed(k), requires_grad=True)
        for k in (1, 2)
    )
    towards = torch.randn(2, 4, 2, 2, generator=torch.Generator().manual_seed(3))
    found = torch.autograd.grad(
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
    for which, gradient in enumerate(found):
        for at in range(0, inputs[which].numel(), 5):
            sides = []
            for step in (1e-6, -1e-6):
                moved = [t.clone() for t in inputs]
                moved[which].view(-1)[at] += step
                sides.append(exact(*moved))
            assert gradient.contiguous().view(-1)[at] == pytest.approx(
                float(sides[0] - sides[1]) / 2e-6, abs=2e-4
            )


def test_it_is_only_taken_when_asked_for(taken: list[int]) -> None:
    made, x = network(16), images(2, 1, 16)
    plain = made(x)
    assert taken == []
    with fused_blocks():
        assert torch.allclose(made(x), plain, atol=1e-5)
    assert len(taken) == 1
    assert torch.equal(made(x), plain)
    assert len(taken) == 1


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
def test_other_blocks_take_the_plain_path(options: dict[str, object], taken: list[int]) -> None:
    size = 24 if "depth" in options else 16  # 24 halves three times only
    made, x = network(size, **options), images(2, 1, size)
    with fused_blocks():
        assert torch.equal(made(x), made(x.clone()))
    assert taken == []


def test_hooks_inside_the_blocks_see_what_they_came_for(taken: list[int]) -> None:
    made, x, seen = network(16), images(2, 1, 16), []
    handle = made.blocks[0].activation.register_forward_hook(
        lambda *given: seen.append(given[2].shape)
    )
    with fused_blocks():
        made(x)
        handle.remove()
        made(x)
    assert seen == [(2, 8, 16, 16)]
    assert len(taken) == 1


def test_other_precision_takes_the_plain_path(taken: list[int]) -> None:
    with fused_blocks():
        network(16).double()(images(2, 1, 16).double())
    assert taken == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e38])
def test_an_image_beyond_all_bounds_spoils_only_itself(value: float) -> None:
    made, x = network(16), images(4, 1, 16)
    with fused_blocks():
        whole = made(x)
        x[2] = value
        assert torch.equal(made(x)[[0, 1, 3]], whole[[0, 1, 3]])


def test_no_second_derivative_is_promised() -> None:
    made, x = network(16), images(2, 1, 16).requires_grad_(True)
    with fused_blocks():
        (first,) = torch.autograd.grad(made(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_the_same_bits_with_one_thread_and_two() -> None:
    made, x, before = network(16), images(9, 1, 16), torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with fused_blocks():
                found.append(
                    fused.NormReluPool.apply(
                        x.expand(-1, 8, -1, -1), *made.blocks[0].norm.parameters(), 1e-5
                    )
                )
        assert torch.equal(*found)
    finally:
        torch.set_num_threads(before)
