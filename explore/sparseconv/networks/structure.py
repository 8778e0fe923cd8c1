"""The structure of networks: which modules compute as PyTorch defines them, and copies of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.utils.prune import BasePruningMethod

from explore.core.tensor_validation import check_network
from explore.errors import InvalidInput

CALL_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
"""Tables of the hooks that a call runs or that its gradient runs."""


HARMLESS_NAMES = frozenset(
    [
        "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__",
        "__annotate__", "__firstlineno__", "__static_attributes__", "__parameters__",
        "__init__", "reset_parameters", "extra_repr",
    ]
)  # fmt: skip
"""What a derived class may define without a change of what its objects compute when called."""


def has_hooks(module: nn.Module) -> bool:
    """Return whether calls of a module, or gradients through it, run functions of the user."""
    return any(getattr(module, table, None) for table in CALL_HOOKS)


def is_plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Return whether a module computes exactly what a class of PyTorch defines.

    It does not if it has hooks of any kind, methods of its own, or a derived class (as parametrised
    modules have) that defines more than initial values. Then another module cannot replace it.

    Example:
        >>> class Scaled(nn.Conv2d):
        ...     def forward(self, input):
        ...         return 2 * super().forward(input)
        >>> is_plain(nn.Conv2d(1, 1, 1), nn.Conv2d), is_plain(Scaled(1, 1, 1), nn.Conv2d)
        (True, False)
    """
    if (
        not _has_calls_of(type(module), kind)
        or getattr(module, "_compiled_call_impl", None) is not None
    ):
        return False
    attributes = vars(module)
    if any(attributes[name] for name in attributes if name.endswith("_hooks")):
        return False
    if any(callable(getattr(kind, name, None)) for name in attributes):
        return False
    # An attribute that hides a parameter, or a class of the user for the parameter itself.
    names = {"weight", "bias"} & set(attributes)
    tensors = (*module._parameters.values(), *module._buffers.values())
    plain_types = (nn.Parameter, torch.Tensor, type(None))
    return not names and all(type(tensor) in plain_types for tensor in tensors)


def _has_calls_of(derived: type, kind: type) -> bool:
    """Return whether objects of a class are called exactly like those of another class."""
    if derived is kind:
        return True
    added = [base for base in derived.__mro__ if base not in kind.__mro__]
    rest = tuple(base for base in derived.__mro__ if base in kind.__mro__)
    return rest == kind.__mro__ and all(set(vars(base)) <= HARMLESS_NAMES for base in added)


def is_plain_convolution(module: nn.Module) -> bool:
    """Return whether a module is PyTorch's own ``nn.Conv2d`` with weights that can be read."""
    return is_plain(module, nn.Conv2d) and module._parameters.get("weight") is not None


def copy_network(model: Any) -> nn.Module:
    """Return an independent copy of a network without gradients; the network is not changed.

    Tensors that were computed from parameters, such as the masked weights of a pruned module, are
    copied without their history.

    Raises:
        InvalidInput: it is no network, it is scripted, or it cannot be copied completely.
    """
    model = check_network("model", model)
    if isinstance(model, torch.jit.ScriptModule):
        raise InvalidInput(
            "model is a ScriptModule, whose layers cannot be replaced; convert the network before "
            "it is scripted or traced"
        )
    memo: dict[int, Any] = {}
    for module in model.modules():
        for name, value in vars(module).items():
            if name != "_modules":
                _copy_computed_tensors(value, memo)
    try:
        network = copy.deepcopy(model, memo)
    except Exception as error:  # modules of others raise errors of every kind
        raise InvalidInput(
            f"model cannot be copied ({type(error).__name__}: {error}); remove what it holds "
            "besides modules and tensors"
        ) from error
    _check_copy(model, network)
    return network.requires_grad_(False)


def _copy_computed_tensors(value: Any, memo: dict[int, Any], depth: int = 8) -> None:
    """Add detached copies of all tensors with a history to the table of ``copy.deepcopy``."""
    if isinstance(value, torch.Tensor):
        if not value.is_leaf:
            memo[id(value)] = value.detach().clone()
    elif depth and isinstance(value, Mapping):
        for item in value.values():
            _copy_computed_tensors(item, memo, depth - 1)
    elif depth and isinstance(value, list | tuple | set):
        for item in value:
            _copy_computed_tensors(item, memo, depth - 1)


def _check_copy(model: nn.Module, network: nn.Module) -> None:
    """Check that a copy has the same modules and hooks, and shares no module.

    Raises:
        InvalidInput: it does not; the message names the module.
    """
    originals = dict(model.named_modules(remove_duplicate=False))
    copies = dict(network.named_modules(remove_duplicate=False))
    shared = {id(module) for module in originals.values()}
    for name, module in originals.items():
        twin = copies.get(name)
        # Each torch.fx.GraphModule has a class of its own.
        same = type(twin).__qualname__ == type(module).__qualname__
        if twin is None or not same or id(twin) in shared:
            raise InvalidInput(f"model cannot be copied: copy.deepcopy loses {name!r}")
        for table in CALL_HOOKS:
            if len(getattr(twin, table, ())) != len(getattr(module, table, ())):
                raise InvalidInput(f"model cannot be copied: copy.deepcopy loses hooks of {name!r}")


def pruning_hooks(module: nn.Module) -> list[tuple[int, Any]]:
    """Return the hooks of ``torch.nn.utils.prune`` on a convolution that has no other hooks."""
    hooks: list[tuple[int, Any]] = list(module._forward_pre_hooks.items())
    own = all(
        isinstance(hook, BasePruningMethod)
        and type(hook).__call__ is BasePruningMethod.__call__
        and isinstance(getattr(hook, "_tensor_name", None), str)
        for _, hook in hooks
    )
    return hooks if own and _has_calls_of(type(module), nn.Conv2d) else []


def apply_pruning(network: nn.Module) -> None:
    """Replace the weights and masks of pruned convolutions by the weights that take part."""
    for module in network.modules():
        for key, hook in pruning_hooks(module):
            name = hook._tensor_name
            weight = hook.apply_mask(module).detach()
            del module._forward_pre_hooks[key]
            module._forward_pre_hooks_with_kwargs.pop(key, None)
            vars(module).pop(name, None)
            # The parameter may belong to other modules too, so it gets no new values.
            del module._parameters[f"{name}_orig"]
            del module._buffers[f"{name}_mask"]
            module.register_parameter(name, nn.Parameter(weight, requires_grad=False))


def replace_module(network: nn.Module, module: nn.Module, replacement: nn.Module) -> None:
    """Replace a module under every name that it has in a network, and in lists of modules."""
    for parent in list(network.modules()):
        for name, child in parent._modules.items():
            if child is module:
                parent._modules[name] = replacement
        attributes = vars(parent)
        for name, value in attributes.items():
            if name not in ("_modules", "_parameters", "_buffers") and _is_container(value):
                attributes[name] = _replaced(value, module, replacement)


def _is_container(value: Any) -> bool:
    return isinstance(value, list | tuple | dict) and bool(value)


def _replaced(value: Any, module: nn.Module, replacement: nn.Module, depth: int = 8) -> Any:
    """Replace a module in nested lists and dicts in place; return new tuples that held it."""
    if value is module:
        return replacement
    if not depth or not _is_container(value):
        return value
    items = value.items() if isinstance(value, dict) else enumerate(value)
    changes = {}
    for key, item in items:
        new = _replaced(item, module, replacement, depth - 1)
        if new is not item:
            changes[key] = new
    if changes and type(value) is tuple:
        return tuple(changes.get(key, item) for key, item in enumerate(value))
    if not isinstance(value, tuple):
        for key, new in changes.items():
            value[key] = new
    return value
