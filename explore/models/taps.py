"""Feature maps of any network, by hooks that cannot outlive their ``with`` block."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Self

import torch
from torch import nn

from explore.errors import InvalidInput

ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Hardswish,
    nn.Mish,
)


class Taps:
    """See what chosen modules of a network put out (or take in), and what its last linear layer takes in.

    Works on any ``nn.Module``. Hooks exist only inside the ``with`` block, also when it is left
    by an exception; a map is copied when a later module works in place, so it is never corrupted.

    Args:
        model: any network.
        layers: names of modules as in ``model.named_modules()``; by default every activation
            module whose output is a map ``[N, C, H, W]``, with ``inputs`` every convolution.
        inputs: see what the modules take in, not what they put out.

    Attributes (after a forward pass inside the block):
        maps: name → output (or input) ``[N, C, H, W]``, in the order in which they were computed; a module
            that is called twice appears as ``name`` and ``name#2``.
        embedding: input of the last linear layer that was called, ``[N, D]``; None if there is none.

    Raises:
        InvalidInput: a name in ``layers`` is not a module of the model.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 2))
        >>> with Taps(net) as taps:
        ...     logits = net(torch.zeros(5, 1, 8, 8))
        >>> {name: tuple(f.shape) for name, f in taps.maps.items()}, tuple(taps.embedding.shape)
        ({'1': (5, 4, 6, 6)}, (5, 144))
    """

    def __init__(
        self, model: nn.Module, layers: Iterable[str] | None = None, *, inputs: bool = False
    ) -> None:
        modules = dict(model.named_modules())
        if layers is None:
            usual = nn.Conv2d if inputs else ACTIVATIONS
            chosen = [name for name, module in modules.items() if isinstance(module, usual)]
        else:
            chosen = list(layers)
            unknown = [name for name in chosen if name not in modules]
            if unknown:
                raise InvalidInput(
                    f"no module named {unknown[0]!r}; the model has {', '.join(filter(None, modules))}"
                )
        self._chosen = {name: modules[name] for name in chosen}
        self._linear = [module for module in modules.values() if isinstance(module, nn.Linear)]
        self._inputs = inputs
        self._handles: list[Any] = []
        self.maps: dict[str, torch.Tensor] = {}
        self.embedding: torch.Tensor | None = None

    def __enter__(self) -> Self:
        self.maps, self.embedding = {}, None
        for name, module in self._chosen.items():
            keep = self._keep(name)
            if self._inputs:
                self._handles.append(
                    module.register_forward_pre_hook(_before(keep), with_kwargs=True)
                )
            else:
                self._handles.append(
                    module.register_forward_hook(lambda _, given, output, keep=keep: keep(output))
                )
        embed = _before(self._keep_embedding)
        self._handles += [
            module.register_forward_pre_hook(embed, with_kwargs=True) for module in self._linear
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _keep(self, name: str) -> Callable[[Any], None]:
        def keep(found: Any) -> None:
            if isinstance(found, torch.Tensor) and found.ndim == 4:
                times = sum(key == name or key.startswith(name + "#") for key in self.maps)
                # `clone` because the next module may overwrite this map in place
                self.maps[f"{name}#{times + 1}" if times else name] = found.clone()

        return keep

    def _keep_embedding(self, found: Any) -> None:
        if isinstance(found, torch.Tensor):
            self.embedding = found.flatten(1)


def _before(keep: Callable[[Any], None]) -> Callable[..., None]:
    """A hook that hands on the first thing that a module is called with, by place or by name (``conv(input=x)``)."""

    def hook(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        keep(next(iter((*given, *named.values())), None))

    return hook
