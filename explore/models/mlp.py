"""MLP with one hidden layer, and many networks trained as one: the experiment with five seeds in one go."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from explore.errors import InvalidInput


class MLPs(nn.Module):
    """``K`` networks of one hidden layer, trained at once: a sample is K inputs, one for each.

    With a loss that sums over the networks and an optimizer that treats every weight alone (SGD, Adam), each
    is trained as if it were alone. On small networks a step of 25 costs what
    a few steps of one cost (``explore bench subclass``).

    Args:
        inputs: values a sample has for one network; images are flattened.
        width: hidden units of each.
        outputs: logits of each.
        seeds: K seeds; network k has the weights of ``MLPs(inputs, width, outputs, [seeds[k]])``. They come from a
            private generator (PyTorch's default distributions); the global random state is neither read nor changed.

    ``forward`` takes ``[N, K, ...]``, or ``[N, 1, ...]`` if all see the same, and returns logits ``[N, K, outputs]``.

    Raises:
        InvalidInput: a size below 1, no seeds.

    Example:
        >>> net = MLPs(16, 8, 10, seeds=[0, 1, 2])
        >>> net(torch.zeros(5, 3, 1, 4, 4)).shape, net(torch.zeros(5, 1, 1, 4, 4)).shape
        (torch.Size([5, 3, 10]), torch.Size([5, 3, 10]))
    """

    def __init__(self, inputs: int, width: int, outputs: int, seeds: Sequence[int] = (0,)) -> None:
        super().__init__()
        if min(inputs, width, outputs) < 1 or not len(seeds):
            raise InvalidInput(
                f"inputs {inputs}, width {width}, outputs {outputs}, {len(seeds)} seeds: at least 1 of each"
            )
        drawn = [self._drawn(inputs, width, outputs, seed) for seed in seeds]
        self.hidden, self.hidden_bias, self.classifier, self.bias = (
            nn.Parameter(torch.stack(values)) for values in zip(*drawn, strict=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits ``[N, K, outputs]``."""
        each = x.flatten(2).transpose(0, 1)
        each = each.expand(
            len(self.hidden), *each.shape[1:]
        )  # one input for all, if there is only one
        return torch.baddbmm(
            self.bias, torch.baddbmm(self.hidden_bias, each, self.hidden).relu(), self.classifier
        ).transpose(0, 1)

    @staticmethod
    def _drawn(inputs: int, width: int, outputs: int, seed: int) -> tuple[torch.Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        sizes = ((inputs, width), (1, width), (width, outputs), (1, outputs))
        reach = (inputs, inputs, width, width)
        return tuple(
            torch.empty(size).uniform_(-1 / math.sqrt(n), 1 / math.sqrt(n), generator=generator)
            for size, n in zip(sizes, reach, strict=True)
        )


class MLP(MLPs):
    """One network of one hidden layer: ``[N, ...]`` to logits ``[N, outputs]``.

    Example:
        >>> MLP(16, 8, 10, seed=3)(torch.zeros(5, 1, 4, 4)).shape
        torch.Size([5, 10])
    """

    def __init__(self, inputs: int, width: int, outputs: int, seed: int = 0) -> None:
        super().__init__(inputs, width, outputs, [seed])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits ``[N, outputs]``."""
        return super().forward(x[:, None])[:, 0]


class Several(nn.Module):
    """Any ``K`` networks as one, with the inputs and outputs of ``MLPs``; one after the other, so no faster.

    Args:
        networks: each takes ``[N, ...]`` and returns logits ``[N, outputs]``.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits ``[N, K, outputs]`` of inputs ``[N, K, ...]`` or ``[N, 1, ...]``."""
        return torch.stack(
            [network(x[:, k if x.shape[1] > 1 else 0]) for k, network in enumerate(self.networks)],
            1,
        )
