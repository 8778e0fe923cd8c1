"""Check that a distilled set fits its test images, and that networks can be trained on it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from explore.core.validation import check_callable, check_text, describe
from explore.data.distilled_set import DistilledSet
from explore.data.image_set import ImageSet
from explore.data.overlap import shared_images
from explore.distill.checks import check_signature
from explore.distill.evaluation.sources import source_of
from explore.errors import ExploreWarning, InvalidInput


def check_test_images(distilled: DistilledSet, test: ImageSet) -> None:
    """Check that a distilled set can be evaluated on test images.

    Raises:
        InvalidInput: another size, normalisation, number or order of classes, or the images that
            the set was distilled from.
    """
    size, test_size = list(distilled.images.shape[1:]), list(test.images.shape[1:])
    if size != test_size:
        raise InvalidInput(
            f"distilled images are {size}, test images {test_size}; load images of the same size"
        )
    names, test_names = list(distilled.class_names), list(test.class_names)
    if len(names) != len(test_names):
        raise InvalidInput(
            f"the distilled set has {len(names)} classes, the test set {len(test_names)}; "
            "test on the data that were distilled"
        )
    if names != test_names and sorted(names) == sorted(test_names):
        raise InvalidInput(
            f"the classes of the distilled set have another order ({names}) than those of the test "
            "set; load both with the same options"
        )
    units, test_units = (*distilled.mean, *distilled.std), (*test.mean, *test.std)
    if len(distilled.mean) and not np.allclose(units, test_units, atol=1e-4):
        raise InvalidInput(
            f"the distilled set is normalised by mean {list(distilled.mean)}, std "
            f"{list(distilled.std)}, the test set by {list(test.mean)}, {list(test.std)}; "
            "test on the data that were distilled"
        )
    if source_of(distilled).get("sha256") == test.sha256:
        raise InvalidInput(
            f"the set was distilled from these test images ({test.name}); test on another split"
        )


def count_overlap(distilled: DistilledSet, test: ImageSet, train: ImageSet | None) -> int:
    """Return how many test images are among the real images, with a warning if there are any.

    Warns:
        ExploreWarning: test images are among the real images, or in the distilled set itself.
    """
    # The warnings point to the caller of ``evaluate``.
    count = 0 if train is None else len(shared_images(train, test))
    if count:
        warnings.warn(
            f"{count:,} of the {len(test):,} test images of {test.name} are also among the images "
            "that were distilled (same pixels); their accuracy does not measure generalisation",
            ExploreWarning,
            stacklevel=4,
        )
    if distilled.zca is None and len(distilled.mean):
        own = len(shared_images(distilled.to_display(), test))
        if own:
            warnings.warn(
                f"{own:,} test images of {test.name} are in the distilled set itself; "
                "was it selected from the test split?",
                ExploreWarning,
                stacklevel=4,
            )
    return count


def check_image_sets(test: Any, train: Any = None) -> None:
    """Check that the test images and the real images, if there are any, are image sets.

    Raises:
        InvalidInput: they are something else.
    """
    for name, images in (("test", test), ("train", train)):
        if not isinstance(images, ImageSet) and (name == "test" or images is not None):
            raise InvalidInput(
                f"{name} must be an ImageSet, such as load('digits', '{name}'), got "
                f"{describe(images)}"
            )


def check_factories(factories: Any) -> dict[str, Callable[[int, int], nn.Module]]:
    """Return a user's functions of networks by name; none for None.

    Raises:
        InvalidInput: no mapping of names to functions of the number of classes and a seed.
    """
    if factories is None:
        return {}
    if not isinstance(factories, Mapping):
        raise InvalidInput(
            "factories must be a mapping, name → factory(classes, seed), got "
            f"{type(factories).__name__}"
        )
    checked = {}
    for key, factory in factories.items():
        name = check_text("the name of a factory", key)
        if isinstance(factory, nn.Module):
            raise InvalidInput(
                f"factories[{name!r}] must be a function that returns a new network, got a network "
                f"({type(factory).__name__}); pass lambda classes, seed: create(classes, seed)"
            )
        check_callable(f"factories[{name!r}]", factory, "of the number of classes and a seed")
        check_signature(f"factories[{name!r}]", factory, "the number of classes", "a seed")
        checked[name] = factory
    return checked


def check_logits(name: str, network: nn.Module, images: torch.Tensor, classes: int) -> None:
    """Check that a network in training mode returns finite logits ``[n, classes]``.

    A copy of the network processes the images, so neither the network nor PyTorch's global random
    state changes.

    Raises:
        InvalidInput: it fails, or returns something else.
    """
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        try:
            logits = copy.deepcopy(network).train()(images)
        except Exception as error:  # The code of a user's network may fail in any way.
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            if "more than 1 value per channel" in reason:
                raise InvalidInput(
                    f"{name}: batch norm cannot process the one image in the last batch of an "
                    "epoch; choose another batch, or another norm"
                ) from error
            raise InvalidInput(
                f"{name} cannot process images {list(images.shape)}: {reason}"
            ) from error
    expected = f"logits [{len(images)}, {classes}]"
    if not isinstance(logits, torch.Tensor):
        raise InvalidInput(f"{name} must return {expected}, got a {type(logits).__name__}")
    if logits.shape != (len(images), classes) or not logits.is_floating_point():
        raise InvalidInput(f"{name} must return {expected}, got {describe(logits)}")
    if not torch.isfinite(logits).all():
        raise InvalidInput(f"{name} returns NaN or Inf before its training; initialise its weights")
