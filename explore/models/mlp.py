"""MLPs with one hidden layer, and several networks that are trained together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from explore.errors import InvalidInput


class MLPs(nn.Module):
    """``K`` networks of one hidden layer, trained together: a sample is K inputs, one for each.

    With a loss that is a sum over the networks and an optimizer that treats every weight separately
    (SGD, Adam), each network is trained as if it were alone. With small networks, a step of 25
    takes as long as a few steps of one (``explore bench subclass``).

    ``forward`` takes ``[N, K, ...]``, or ``[N, 1, ...]`` if all networks have the same input, and
    returns logits ``[N, K, outputs]``.

    Args:
        inputs: number of values of a sample for one network; images are flattened.
        width: number of hidden units of each.
        outputs: number of logits of each.
        seeds: K seeds; network k has the weights of ``MLPs(inputs, width, outputs, [seeds[k]])``.
            They are from a private generator (PyTorch's default distributions); the global random
            state is neither read nor changed.

    Raises:
        InvalidInput: a size below 1, or no seeds.

    Example:
        >>> net = MLPs(16, 8, 10, seeds=[0, 1, 2])
        >>> net(torch.zeros(5, 3, 1, 4, 4)).shape, net(torch.zeros(5, 1, 1, 4, 4)).shape
        (torch.Size([5, 3, 10]), torch.Size([5, 3, 10]))
    """

    def __init__(self, inputs: int, width: int, outputs: int, seeds: Sequence[int] = (0,)) -> None:
        super().__init__()
        if min(inputs, width, outputs) < 1 or not len(seeds):
            raise InvalidInput(
                f"inputs, width, outputs and the number of seeds must be 1 or more, got {inputs}, "
                f"{width}, {outputs} and {len(seeds)}"
            )
        weights = [_initial_weights(inputs, width, outputs, seed) for seed in seeds]
        self.hidden, self.hidden_bias, self.classifier, self.bias = (
            nn.Parameter(torch.stack(values)) for values in zip(*weights, strict=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``[N, K, outputs]``."""
        x = x.flatten(2).transpose(0, 1)
        x = x.expand(len(self.hidden), *x.shape[1:])
        hidden = torch.baddbmm(self.hidden_bias, x, self.hidden).relu()
        return torch.baddbmm(self.bias, hidden, self.classifier).transpose(0, 1)


def _initial_weights(inputs: int, width: int, outputs: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((inputs, width), (1, width), (width, outputs), (1, outputs))
    bounds = [1 / math.sqrt(n) for n in (inputs, inputs, width, width)]
    return [
        torch.empty(shape).uniform_(-bound, bound, generator=generator)
        for shape, bound in zip(shapes, bounds, strict=True)
    ]


class MLP(MLPs):
    """One network of one hidden layer: ``[N, ...]`` to logits ``[N, outputs]``.

    Example:
        >>> MLP(16, 8, 10, seed=3)(torch.zeros(5, 1, 4, 4)).shape
        torch.Size([5, 10])
    """

    def __init__(self, inputs: int, width: int, outputs: int, seed: int = 0) -> None:
        super().__init__(inputs, width, outputs, [seed])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``[N, outputs]``."""
        return super().forward(x[:, None])[:, 0]


class Several(nn.Module):
    """Any ``K`` networks as one module, with the inputs and outputs of ``MLPs``.

    They are computed one after another, so this is no faster than the networks alone.

    Args:
        networks: each takes ``[N, ...]`` and returns logits ``[N, outputs]``.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``[N, K, outputs]`` of inputs ``[N, K, ...]`` or ``[N, 1, ...]``."""
        is_shared = x.shape[1] == 1
        logits = [net(x[:, 0 if is_shared else k]) for k, net in enumerate(self.networks)]
        return torch.stack(logits, 1)
