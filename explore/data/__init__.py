"""Sets of images, graphs and multi-label samples, distilled sets, coresets and whitening.

Data sets are loaded by name. Digits, digit pairs, scenes and motif graphs are always available.
Other sets are read from the data folder, and downloaded only with ``download=True``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

import lazy_loader

from explore.errors import InvalidInput, UnknownName

if TYPE_CHECKING:
    from torch_geometric.data import Data

    from explore.data.graph_set import GraphSet
    from explore.data.image_set import ImageSet
    from explore.data.multilabel_set import MultilabelSet

_getattr, _, _attached = lazy_loader.attach(
    __name__,
    submodules=["coresets"],
    submod_attrs={
        "distilled_set": ["DistilledSet"],
        "datasets.folders": ["data_folder"],
        "graph_set": ["GraphSet"],
        "image_set": ["ImageSet"],
        "multilabel_input": ["resolve_multilabel"],
        "multilabel_set": ["MultilabelSet"],
        "datasets.synthetic_scenes": ["scenes"],
        "stratification": ["stratification_report", "stratified_split"],
        "whitening": ["ZCA"],
    },
)
__all__ = [*_attached, "load", "load_graph_set", "load_graphs", "load_multilabel"]
__getattr__ = _getattr


def __dir__() -> list[str]:
    return __all__


SPLITS = ("train", "val", "test")
TU_COLLECTION = "tu"
"""The row of the catalog that loads every graph set of the TU collection."""
MULAN_COLLECTION = "mulan"
"""The row of the catalog that loads every set in Mulan's format."""
MULTI_HOT_SETS = ("scenes", "voc")
"""Image sets with several labels for each image."""
MULTILABEL_DEFAULTS: dict[str, dict[str, Any]] = {"scenes": {"objects": (1, 4)}}
"""Options of image sets that differ where several labels are asked for."""


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
    from explore.core.validation import check_choice

    name = check_choice("data set", name, datasets())
    split = check_choice("split", split, SPLITS)
    loader = resolve(datasets()[name].loader)
    _check_options(name, loader, options)
    return loader(split, **options)


def load_graph_set(name: str, **options: Any) -> GraphSet:
    """Load a set of graphs by name.

    Args:
        name: "motifs", which is always available (see ``motif_graphs``), or a set of the TU
            collection whose files you have, such as "MUTAG" (see ``tu_graphs``).
        **options: the arguments of those functions.

    Raises:
        DataMissing: the set, or one of its files, is not in the data folder.
        InvalidInput: the set has no such option.

    Example:
        >>> load_graph_set("motifs", count=10)
        GraphSet('motifs': 10 graphs, 19 to 25 nodes, 268 edges, 31 features, 2 classes)
    """
    from explore.core.registry import datasets, resolve
    from explore.core.validation import check_text

    name, rows = check_text("name", name), datasets("graphs")
    if name in rows and name != TU_COLLECTION:
        loader = resolve(rows[name].loader)
    else:
        loader, options = resolve(rows[TU_COLLECTION].loader), {"name": name, **options}
    _check_options(name, loader, options)
    return loader(**options)


def load_graphs(name: str, **options: Any) -> list[Data]:
    """Load a set of graphs as a list of PyTorch Geometric's ``Data``; see ``load_graph_set``.

    Example:
        >>> load_graphs("motifs", count=2)[0].num_features
        31
    """
    return load_graph_set(name, **options).to_pyg()


def load_multilabel(name: str, split: str = "train", **options: Any) -> MultilabelSet:
    """Load a set of samples with several labels each, by name.

    Args:
        name: "digit-pairs" or "scenes", which are always available; "emotions", "flags", "yeast" or
            another set in the folder mulan, "coco", "coco128" or "voc", whose files you must have;
            or "label-table", a table of your own beside a folder of images.
        split: "train", "val" or "test"; they never overlap. Choose settings on "val".
        **options: the arguments of the set's own function, such as ``cooccurrence=0.5``. Scenes
            have one to four objects by default.

    Raises:
        UnknownName: there is no such set or split.
        InvalidInput: the set has no such option, a required option is missing, or it is an image
            set with one class for each image.
        DataMissing: a file is not in the data folder; the message says which, and where to put it.

    Example:
        >>> scenes = load_multilabel("scenes", "test")
        >>> scenes, int(scenes.labels.sum(1).max())
        (MultilabelSet('scenes': 500 samples, 3×32×32, 5 labels), 4)
    """
    from explore.core.registry import datasets, resolve
    from explore.core.validation import check_choice, check_text
    from explore.data.datasets.mulan import present_sets
    from explore.data.multilabel_set import MultilabelSet

    name, split = check_text("name", name), check_choice("split", split, SPLITS)
    rows = datasets("multilabel")
    if name in rows and name != MULAN_COLLECTION:
        loader = resolve(rows[name].loader)
    elif name in present_sets():
        loader, options = resolve(rows[MULAN_COLLECTION].loader), {"name": name, **options}
    elif name in datasets():
        return MultilabelSet.from_images(
            load(name, split, **{**MULTILABEL_DEFAULTS.get(name, {}), **options})
        )
    else:
        names = {*rows, *MULTI_HOT_SETS, *present_sets()} - {MULAN_COLLECTION}
        raise UnknownName("multi-label set", name, names)
    _check_options(name, loader, options)
    return loader(split, **options)


def _check_options(name: str, loader: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Check that a loader has these options and gets those that it needs.

    Raises:
        InvalidInput: it has not.
    """
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
