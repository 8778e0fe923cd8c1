"""Data sets by name: digits and scenes come with the install, real sets are looked for and never downloaded unasked."""

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
    """A data set by name.

    Args:
        name: "digits" or "scenes", which are always there; "mnist", "fashion-mnist", "cifar10", "cifar100" or "voc", which
            come with ``download=True`` if you do not have them; "cifar10-jpeg", "crc-phenotypes", "imagenette" or "mhist",
            whose files you have; or "folder", any folder of labelled images (with ``path=``).
        split: "train", "val" or "test"; they never overlap. Settings are chosen on "val".
        **options: what the set's own function takes, e.g. ``size=16``.

    Raises:
        UnknownName: no such set or split.
        InvalidInput: the set has no such option, or needs one that is not given.
        DataMissing: its files are not in the data folder; says which, and where to put them.

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
    parameters = signature(loader).parameters
    known = [option for option in parameters if option != "split"]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InvalidInput(
            f"{name} has no option {', '.join(map(repr, unknown))}; it has {', '.join(known)}"
        )
    absent = [
        option
        for option in known
        if parameters[option].default is Parameter.empty and option not in options
    ]
    if absent:
        raise InvalidInput(
            f"{name} needs {', '.join(f'{option}=' for option in absent)}; its options are {', '.join(known)}"
        )
    return loader(split, **options)
