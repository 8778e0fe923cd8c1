"""MLPs with one hidden layer, and several networks that are trained together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from explore.core.tensor_validation import check_network
from explore.core.validation import check_items, check_seed, check_whole_number, describe
from explore.errors import InvalidInput
from explore.models._checks import check_outputs, check_weight_count


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
        InvalidInput: a size that is no whole number of at least 1, no seeds, or more than a billion
            weights.

    Example:
        >>> net = MLPs(16, 8, 10, seeds=[0, 1, 2])
        >>> net(torch.zeros(5, 3, 1, 4, 4)).shape, net(torch.zeros(5, 1, 1, 4, 4)).shape
        (torch.Size([5, 3, 10]), torch.Size([5, 3, 10]))
    """

    def __init__(self, inputs: int, width: int, outputs: int, seeds: Sequence[int] = (0,)) -> None:
        super().__init__()
        inputs, width, outputs = (
            check_whole_number(name, value, at_least=1)
            for name, value in (("inputs", inputs), ("width", width), ("outputs", outputs))
        )
        seeds = [check_seed(seed) for seed in check_items("seeds", seeds)]
        if not seeds:
            raise InvalidInput("seeds must be one for each network, got none")
        check_weight_count(len(seeds) * width * (inputs + outputs))
        weights = [_initial_weights(inputs, width, outputs, seed) for seed in seeds]
        self.hidden, self.hidden_bias, self.classifier, self.bias = (
            nn.Parameter(torch.stack(values)) for values in zip(*weights, strict=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``[N, K, outputs]``.

        Raises:
            InvalidInput: inputs of another form.
        """
        count, inputs, _ = self.hidden.shape
        if not isinstance(x, torch.Tensor) or x.ndim < 3 or x.shape[1] not in (1, count):
            networks = "1" if count == 1 else f"1 or {count}"
            raise InvalidInput(
                f"inputs must be a tensor of floats [N, {networks}, ...], got {describe(x)}"
            )
        x = x.flatten(2).transpose(0, 1)
        if x.shape[2] != inputs:
            raise InvalidInput(f"a sample must have {inputs} values, got {x.shape[2]}")
        if x.dtype != self.hidden.dtype and not torch.is_autocast_enabled(x.device.type):
            if not x.is_floating_point():
                raise InvalidInput(
                    f"inputs must be floats, got {x.dtype}; convert bytes with .float() / 255"
                )
            x = x.to(self.hidden.dtype)
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
        """Return logits ``[N, outputs]``.

        Raises:
            InvalidInput: inputs of another form.
        """
        if not isinstance(x, torch.Tensor) or x.ndim < 2:
            raise InvalidInput(f"inputs must be a tensor of floats [N, ...], got {describe(x)}")
        return super().forward(x[:, None])[:, 0]


class Several(nn.Module):
    """Any ``K`` networks as one module, with the inputs and outputs of ``MLPs``.

    They are computed one after another, so this is no faster than the networks alone.

    Args:
        networks: each takes ``[N, ...]`` and returns logits ``[N, outputs]``.

    Raises:
        InvalidInput: no list of one or more networks; inputs or logits of another form.

    Example:
        >>> Several([MLP(16, 8, 10), MLP(16, 4, 10)])(torch.zeros(5, 1, 16)).shape
        torch.Size([5, 2, 10])
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        items = check_items("networks", networks)
        if not items:
            raise InvalidInput("networks must be one or more, got none")
        self.networks = nn.ModuleList(
            check_network(f"networks[{k}]", network) for k, network in enumerate(items)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``[N, K, outputs]`` of inputs ``[N, K, ...]`` or ``[N, 1, ...]``."""
        count = len(self.networks)
        if not isinstance(x, torch.Tensor) or x.ndim < 2 or x.shape[1] not in (1, count):
            raise InvalidInput(f"inputs must be a tensor [N, {count}, ...], got {describe(x)}")
        is_shared = x.shape[1] == 1
        logits = [
            check_outputs(net(x[:, 0 if is_shared else k]), len(x))
            for k, net in enumerate(self.networks)
        ]
        if len({values.shape for values in logits}) > 1:
            raise InvalidInput(
                "all networks must return the same number of logits, got "
                f"{[values.shape[1] for values in logits]}"
            )
        return torch.stack(logits, 1)
