"""Record the feature maps of any network with hooks that end with their ``with`` block."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Self

import torch
from torch import nn

from explore.core.tensor_validation import check_network
from explore.core.validation import check_flag, check_names
from explore.errors import InvalidInput

ACTIVATION_TYPES = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU,
    nn.Mish, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Hardsigmoid,
    nn.Hardswish,
)  # fmt: skip


class Taps:
    """The outputs (or inputs) of modules of a network, and the input of its last linear layer.

    Works on any ``nn.Module``. Hooks exist only inside the ``with`` block, also if an exception
    ends it. Maps are copied, so that a later module that works in place does not change them.

    Args:
        model: any network.
        layers: names of modules as in ``model.named_modules()``; by default every activation module
            whose output is a map ``[N, C, H, W]``, with ``inputs`` every convolution.
        inputs: record the inputs of the modules, not their outputs.

    Attributes (after a forward pass inside the block):
        maps: name → output (or input) ``[N, C, H, W]``, in the order of computation; a module that
            is called twice appears as ``name`` and ``name#2``.
        embedding: input of the last linear layer that was called, ``[N, D]``; None if there is
            none.

    Raises:
        InvalidInput: no network, or a name in ``layers`` is not a module of the model.

    Example:
        >>> layers = nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 2)
        >>> net = nn.Sequential(*layers)
        >>> with Taps(net) as taps:
        ...     logits = net(torch.zeros(5, 1, 8, 8))
        >>> {name: tuple(f.shape) for name, f in taps.maps.items()}, tuple(taps.embedding.shape)
        ({'1': (5, 4, 6, 6)}, (5, 144))
    """

    def __init__(
        self, model: nn.Module, layers: Iterable[str] | None = None, *, inputs: bool = False
    ) -> None:
        modules = dict(check_network("model", model).named_modules())
        inputs = check_flag("inputs", inputs)
        if layers is None:
            types = nn.Conv2d if inputs else ACTIVATION_TYPES
            names = [name for name, module in modules.items() if isinstance(module, types)]
        else:
            names = list(dict.fromkeys(check_names("layers", layers)))
            unknown = [name for name in names if name not in modules]
            if unknown:
                raise InvalidInput(
                    f"no module named {unknown[0]!r}; "
                    f"the model has {', '.join(filter(None, modules))}"
                )
        self._modules = {name: modules[name] for name in names}
        self._linear = [module for module in modules.values() if isinstance(module, nn.Linear)]
        self._inputs = inputs
        self._handles: list[Any] = []
        self.maps: dict[str, torch.Tensor] = {}
        self.embedding: torch.Tensor | None = None

    def __enter__(self) -> Self:
        self.maps, self.embedding = {}, None
        for name, module in self._modules.items():
            store = self._map_store(name)
            if self._inputs:
                handle = module.register_forward_pre_hook(_input_hook(store), with_kwargs=True)
            else:
                handle = module.register_forward_hook(_output_hook(store))
            self._handles.append(handle)
        for module in self._linear:
            hook = _input_hook(self._store_embedding)
            self._handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _map_store(self, name: str) -> Callable[[Any], None]:
        def store(value: Any) -> None:
            if isinstance(value, torch.Tensor) and value.ndim == 4:
                calls = sum(key == name or key.startswith(name + "#") for key in self.maps)
                # The next module may overwrite this map in place.
                self.maps[f"{name}#{calls + 1}" if calls else name] = value.clone()

        return store

    def _store_embedding(self, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            self.embedding = value.flatten(1)


def _output_hook(store: Callable[[Any], None]) -> Callable[..., None]:
    return lambda module, args, output: store(output)


def _input_hook(store: Callable[[Any], None]) -> Callable[..., None]:
    """Return a hook that stores a module's first argument, by position or by name
    (``conv(input=x)``)."""

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        store(next(iter((*args, *kwargs.values())), None))

    return hook
