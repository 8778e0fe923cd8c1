"""Any folder of labelled images: a folder a class, or a folder a class with a folder a subclass in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import torch

from explore.data.decoding import SUFFIXES, look, read_images, read_pieces, unlike, whole_number
from explore.data.image_set import ImageSet, channel_statistics
from explore.data.splitting import dealt, drawn
from explore.errors import DataMissing, InvalidInput, UnknownName

PARTS = ("train", "val", "test")


def image_tree(
    split: str = "train", *, path: str | PathLike[str], size: int | None = None, seed: int = 0
) -> ImageSet:
    """The images in ``path``: ``class/image`` or ``class/subclass/image``, as they are or below train, val and test.

    Where ``path`` has a folder train or test, its folders train, val and test are the splits (others beside them are
    left alone); without val, a tenth of each subclass of train is kept aside for it. Otherwise every subclass is split
    70/10/20, by the files' names: the same file is always in the same split, and at least one of each is in train. A
    class without subfolders is its own single subclass. Hidden files and folders, and files that are no images, are
    skipped. Images stored in grey stay so if all of them are; otherwise all become RGB.

    Args:
        split: "train", "val" or "test".
        path: the folder. Images are png, jpg, jpeg, bmp, tif, tiff or webp, in capitals or not.
        size: side in pixels to which all are resized (antialiased bilinear, to a square). Without it all must be of one size.
        seed: another split (or cut, or order of the images).

    Returns:
        A set named "folder", its images in an order drawn once, normalised by the statistics of train. ``subclasses`` and
        ``parents`` are there if any class has subfolders; a subclass whose name two classes share is called "class / subclass".

    Raises:
        DataMissing: there is no such folder.
        InvalidInput: no labelled folder (see above), an image that cannot be read or is of another size, an empty split.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for shade, name in enumerate(["cat/old/1.png", "cat/young/1.png", "dog/1.png"]):
        ...         (Path(folder) / name).parent.mkdir(parents=True)
        ...         Image.new("RGB", (8, 8), (shade, 0, 90)).save(Path(folder) / name)
        ...     pets = image_tree(path=folder)
        >>> pets, pets.subclass_names, pets.parents
        (ImageSet('folder': 3 images, 3×8×8, 2 classes), ('old', 'young', 'dog'), (0, 0, 1))
    """
    if split not in PARTS:
        raise UnknownName("split of a folder", split, PARTS)
    if not isinstance(path, (str, PathLike)) or not str(path):
        raise InvalidInput(f"path must be the folder that holds the classes' folders, got {path!r}")
    size, seed = (
        None if size is None else whole_number("size", size, 1),
        whole_number("seed", seed, 0),
    )
    root = Path(path).expanduser()
    if not root.is_dir():
        kind = "is a file" if root.exists() else "does not exist"
        raise DataMissing(f"{root} {kind}; path must be the folder that holds the classes' folders")
    parts = _parts(root, seed)
    kinds = sorted(
        {file.kind for files in parts.values() for file in files},
        key=lambda kind: (kind[0], kind[1] or ""),
    )
    class_names = tuple(dict.fromkeys(kind[0] for kind in kinds))
    if len(class_names) < 2:
        raise InvalidInput(
            f"{root} holds one class only, {class_names[0]!r}; path must be the folder above two or more classes"
        )
    if not parts[split]:
        raise InvalidInput(
            f"no image of {root} is left for {split!r}; it takes 5 of one subclass for val, 3 for test"
        )
    grey = _alike([file.path for files in parts.values() for file in files], size)
    paths = {part: [file.path for file in parts[part]] for part in ("train", split)}
    seen = (
        None
        if split == "train"
        else channel_statistics(read_pieces(paths["train"], size=size, grey=grey))
    )
    images = read_images(paths[split], size=size, grey=grey)
    mean, std = seen or channel_statistics(images)
    std = [
        value if value > 0 else 1.0 for value in std
    ]  # a channel without contrast is left as it is
    options = {"split": split, "path": str(path), "size": size, "seed": seed}
    labels = torch.tensor([class_names.index(file.kind[0]) for file in parts[split]])
    if all(kind[1] is None for kind in kinds):
        return ImageSet("folder", images, labels, class_names, mean, std, options)
    return ImageSet(
        "folder",
        images,
        labels,
        class_names,
        mean,
        std,
        options,
        subclasses=torch.tensor([kinds.index(file.kind) for file in parts[split]]),
        subclass_names=_names(kinds),
        parents=tuple(class_names.index(kind[0]) for kind in kinds),
    )


Kind = tuple[str, str | None]
"""Class and subclass as the folders are called; no subclass if the images lie in the class's folder."""


class _File(NamedTuple):
    path: Path
    kind: Kind


def _parts(root: Path, seed: int) -> dict[str, list[_File]]:
    """The files of each split, in an order drawn once."""
    given = [part for part in PARTS if (root / part).is_dir()]
    if not {"train", "test"} & set(given):  # a folder val alone is a class of that name
        names, files = _named(root, _groups(root))
        shares = dealt(names, [file.kind for file in files], val=10, test=20, seed=seed)
        return {part: [files[i] for i in chosen] for part, chosen in shares.items()}
    for part in ("train", "test"):
        if part not in given:
            advice = f"add it, or take the classes out of {given[0]} to have them split 70/10/20"
            raise InvalidInput(
                f"{root} has a folder {' and '.join(given)}, but no folder {part}; {advice}"
            )
    groups = {part: _groups(root / part, whole=part == "train") for part in given}
    for part in given:
        for kind in groups[part]:
            if kind not in groups["train"]:
                missing = "/".join(filter(None, kind))
                raise InvalidInput(
                    f"{root / part / missing} has images, but {root / 'train' / missing} has none; "
                    "train must hold every class and subclass, with folders of the same depth"
                )
    parts = {}
    for part in given:
        names, files = _named(root / part, groups[part])
        parts[part] = [files[i] for i in drawn(names, seed)]
        if part == "train" and "val" not in given:
            shares = dealt(names, [file.kind for file in files], val=10, seed=seed)
            parts |= {cut: [files[i] for i in shares[cut]] for cut in ("train", "val")}
    return parts


def _groups(folder: Path, whole: bool = True) -> dict[Kind, list[Path]]:
    """The image files of each class or subclass; if not ``whole``, some may be empty and are left out."""
    classes, stray = _inside(folder)
    if stray:
        raise InvalidInput(f"{stray[0]} is in no class's folder; move it into one")
    if not classes:
        raise InvalidInput(
            f"{folder} holds no folders; it must hold one a class, with images in them"
        )
    groups: dict[Kind, list[Path]] = {}
    for one in classes:
        below, images = _inside(one)
        if below and images:
            both = f"both images ({images[0].name}) and folders ({below[0].name})"
            raise InvalidInput(
                f"{one} holds {both}; put all its images into folders of subclasses, or none"
            )
        if not below:
            groups[one.name, None] = images
        for sub in below:
            deeper, images = _inside(sub)
            if deeper:
                raise InvalidInput(
                    f"{deeper[0]} is one folder too deep; path must hold class/image or class/subclass/image"
                )
            groups[one.name, sub.name] = images
    for kind in [kind for kind, images in groups.items() if not images]:
        if whole:
            raise InvalidInput(
                f"{folder.joinpath(*filter(None, kind))} holds no image ({', '.join(SUFFIXES)}); take it away"
            )
        del groups[kind]
    return groups


def _inside(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders and image files, by name, without hidden ones."""
    seen = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    folders = [entry for entry in seen if entry.is_dir()]
    return folders, [
        entry for entry in seen if entry.suffix.lower() in SUFFIXES and not entry.is_dir()
    ]


def _named(folder: Path, groups: Mapping[Kind, Sequence[Path]]) -> tuple[list[str], list[_File]]:
    files = [_File(path, kind) for kind, paths in groups.items() for path in paths]
    return [file.path.relative_to(folder).as_posix() for file in files], files


def _alike(files: Sequence[Path], size: int | None) -> bool:
    """Whether all images are grey; looks at the heads of all splits' files, so that every split is read the same way."""
    files = sorted(files)
    heads = [look(path) for path in files]
    for path, (_, found) in zip(files, heads, strict=True):
        if size is None and found != heads[0][1]:
            raise unlike(path, found, files[0], heads[0][1])
    return all(grey for grey, _ in heads)


def _names(kinds: Sequence[Kind]) -> tuple[str, ...]:
    shared = Counter(sub or of for of, sub in kinds)
    return tuple(
        (sub or of) if shared[sub or of] == 1 else f"{of} / {sub or of}" for of, sub in kinds
    )
