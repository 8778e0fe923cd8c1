"""Image sets, distilled sets, coresets and whitening; data sets are loaded by name.

Digits and scenes are always available. Other sets are read from the data folder, and downloaded
only with ``download=True``.
"""

from __future__ import annotations

from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

import lazy_loader

from explore.errors import InvalidInput, UnknownName

if TYPE_CHECKING:
    from explore.data.image_set import ImageSet

_getattr, _, _attached = lazy_loader.attach(
    __name__,
    submodules=["coresets"],
    submod_attrs={
        "distilled_set": ["DistilledSet"],
        "datasets.folders": ["data_folder"],
        "image_set": ["ImageSet"],
        "datasets.synthetic_scenes": ["scenes"],
        "whitening": ["ZCA"],
    },
)
__all__ = [*_attached, "load"]
__getattr__ = _getattr


def __dir__() -> list[str]:
    return __all__


SPLITS = ("train", "val", "test")


def load(name: str, split: str = "train", **options: Any) -> ImageSet:
    """Load a data set by name.

    Args:
        name: "digits" or "scenes", which are always available; "mnist", "fashion-mnist", "cifar10",
            "cifar100" or "voc", which ``download=True`` downloads if they are missing;
            "cifar10-jpeg", "crc-phenotypes", "imagenet-subset" (with ``subset=``), "imagenette" or
            "mhist", whose files you must have; or "folder", any folder of labelled images (with
            ``path=``).
        split: "train", "val" or "test"; they never overlap. Choose settings on "val".
        **options: the arguments of the set's own function, e.g. ``size=16``.

    Raises:
        UnknownName: there is no such set or split.
        InvalidInput: the set has no such option, or a required option is missing.
        DataMissing: a file is not in the data folder; the message says which, and where to put it.

    Example:
        >>> load("digits", "test")
        ImageSet('digits': 400 images, 1×16×16, 10 classes)
    """
    from explore.core.registry import datasets, resolve

    if name not in datasets():
        raise UnknownName("data set", name, datasets())
    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    loader = resolve(datasets()[name].loader)
    parameters = {k: p for k, p in signature(loader).parameters.items() if k != "split"}
    unknown = sorted(set(options) - set(parameters))
    if unknown:
        raise InvalidInput(
            f"{name} has no option {', '.join(map(repr, unknown))}; it has {', '.join(parameters)}"
        )
    missing = [
        f"{option}="
        for option, parameter in parameters.items()
        if parameter.default is Parameter.empty and option not in options
    ]
    if missing:
        raise InvalidInput(
            f"{name} needs {', '.join(missing)}; its options are {', '.join(parameters)}"
        )
    return loader(split, **options)
