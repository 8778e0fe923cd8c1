"""Load a folder of labelled images: one folder for each class, or each subclass of a class."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import torch

from explore.core.validation import check_seed, check_whole_number
from explore.data._folder_listing import (
    IMAGE_SUFFIXES,
    FolderReader,
    check_folder,
    readable,
)
from explore.data._split_folders import find_split_folders
from explore.data._split_names import SPLIT_NAMES, split_words
from explore.data.decoding import MAX_SIDE, read_header, read_split, size_error
from explore.data.image_set import ImageSet
from explore.data.splitting import shuffle_by_name, split_by_name
from explore.errors import InvalidInput, UnknownName

PATH_PURPOSE = "the folder that contains the class folders"
FolderNames = tuple[str, str | None]
"""Folder names of a class and a subclass; None if the images are in the folder of the class."""


class _File(NamedTuple):
    path: Path
    folder: FolderNames


def image_folder(
    split: str = "train", *, path: str | PathLike[str], size: int | None = None, seed: int = 0
) -> ImageSet:
    """Load the images ``class/image`` or ``class/subclass/image`` below ``path``.

    If ``path`` contains folders of splits with class folders in them, these are the splits, and
    other folders are ignored. Their names are read without regard to case: train or training; val,
    valid, validation or dev; test or testing; also "test_set", "seg_train" and the like. Without
    val, a tenth of each subclass of train becomes val; train is needed, test is not. Otherwise each
    subclass is split 70/10/20 by the names of its files: the same file is always in the same split,
    and train has one or more of each. A class without subfolders is its own only subclass. One
    folder around everything, as in an archive, is skipped. Images are grey if all files of all
    splits are grey, otherwise RGB; for 16 bits see ``read_split``.

    A warning counts the files that are passed over and the symbolic links that lead outside of
    ``path``. Hidden files and those of operating systems are ignored silently.

    Args:
        split: "train", "val" or "test".
        path: the folder. Images are files with one of ``IMAGE_SUFFIXES``, in upper or lower case.
        size: side in pixels to which all are resized (antialiased bilinear, to a square). If None,
            all images must have the same size.
        seed: of the splits and of the order of the images.

    Returns:
        A set named "folder", in an order that depends on ``seed``, normalised by the statistics of
        train. It has ``subclasses`` and ``parents`` if any class has subfolders. A subclass whose
        name occurs in two classes is called "class / subclass".

    Raises:
        DataMissing: the folder does not exist.
        InvalidInput: a folder of another structure, an image that cannot be read or has another
            size, or an empty split.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for shade, name in enumerate(["cat/old/1.png", "cat/young/1.png", "dog/1.png"]):
        ...         (Path(folder) / name).parent.mkdir(parents=True)
        ...         Image.new("RGB", (8, 8), (shade, 0, 90)).save(Path(folder) / name)
        ...     pets = image_folder(path=folder)
        >>> pets, pets.subclass_names, pets.parents
        (ImageSet('folder': 3 images, 3×8×8, 2 classes), ('old', 'young', 'dog'), (0, 0, 1))
    """
    if not isinstance(split, str) or split not in SPLIT_NAMES:
        raise UnknownName("split of a folder", split, SPLIT_NAMES)
    root, text = check_folder(path, PATH_PURPOSE)
    size = None if size is None else check_whole_number("size", size, 1, MAX_SIDE)
    seed = check_seed(seed)
    reader = FolderReader(root)
    splits = _split_files(reader, seed)
    if split not in splits:
        raise InvalidInput(
            f"{root} has no part for {split!r}, only {' and '.join(splits)}; choose one of these, "
            f"or add a folder {split} with a folder for each class"
        )
    files = [file for part in splits.values() for file in part]
    folders = sorted({file.folder for file in files}, key=lambda names: (names[0], names[1] or ""))
    class_names = tuple(dict.fromkeys(name for name, _ in folders))
    if len(class_names) < 2:
        raise InvalidInput(
            f"{root} contains one class only, {readable(class_names[0])!r}; "
            "path must be the folder above two or more classes"
        )
    if not splits[split]:
        raise InvalidInput(
            f"{root} has too few images for {split!r}; val needs 5 of one subclass, test needs 3"
        )
    paths = {name: [file.path for file in part] for name, part in splits.items()}
    grey = _are_all_grey([file.path for file in files], size)
    reader.warn()
    images, mean, std = read_split(paths, split, size=size, grey=grey)
    image_set = ImageSet(
        "folder",
        images,
        torch.tensor([class_names.index(file.folder[0]) for file in splits[split]]),
        tuple(map(readable, class_names)),
        mean,
        std,
        {"split": split, "path": text, "size": size, "seed": seed},
    )
    if all(subclass is None for _, subclass in folders):
        return image_set
    return replace(
        image_set,
        subclasses=torch.tensor([folders.index(file.folder) for file in splits[split]]),
        subclass_names=_subclass_names(folders),
        parents=tuple(class_names.index(name) for name, _ in folders),
    )


def _split_files(reader: FolderReader, seed: int) -> dict[str, list[_File]]:
    """Return the files of each split, in an order that depends on ``seed``."""
    root = reader.unwrap()
    split_folders = find_split_folders(reader, root)
    if not split_folders:
        files = _list_files(reader, root)
        _check_splits_are_above(root, files)
        return _split_by_name(root, files, seed, test=20)
    if "train" not in split_folders:
        names = [readable(folder.name) for folder in split_folders.values()]
        raise InvalidInput(
            f"{root} has a folder {' and '.join(names)}, but no folder train; "
            f"add it, or move the classes out of {names[0]} to have them split 70/10/20"
        )
    listed = {
        name: _list_files(reader, folder, allow_empty=name != "train")
        for name, folder in split_folders.items()
    }
    # Systems write the same letters in two ways, such as é as one character or as two.
    train_folders = {_composed(file.folder): file.folder for file in listed["train"]}
    for name, files in listed.items():
        for k, file in enumerate(files):
            folder = train_folders.get(_composed(file.folder))
            if folder is None:
                relative = "/".join(filter(None, file.folder))
                other, train = split_folders[name] / relative, split_folders["train"] / relative
                raise InvalidInput(
                    f"{readable(other)} has images, but {readable(train)} has none; "
                    "train must have every class and subclass, with folders of the same depth and "
                    "names of the same case"
                )
            files[k] = _File(file.path, folder)
    splits = {}
    for name, files in listed.items():
        order = shuffle_by_name(_relative_names(split_folders[name], files), seed)
        splits[name] = [files[i] for i in order]
    if "val" not in splits:
        parts = _split_by_name(split_folders["train"], listed["train"], seed)
        splits |= {name: parts[name] for name in ("train", "val")}
    return {name: splits[name] for name in SPLIT_NAMES if name in splits}


def _composed(folder: FolderNames) -> tuple[str, str | None]:
    """Return the names of a class and a subclass with composed letters."""
    name, subclass = (part and unicodedata.normalize("NFC", part) for part in folder)
    assert name is not None
    return name, subclass


def _split_by_name(
    folder: Path, files: Sequence[_File], seed: int, test: int = 0
) -> dict[str, list[_File]]:
    groups = [file.folder for file in files]
    splits = split_by_name(_relative_names(folder, files), groups, val=10, test=test, seed=seed)
    return {name: [files[i] for i in indices] for name, indices in splits.items()}


def _relative_names(folder: Path, files: Sequence[_File]) -> list[str]:
    return [file.path.relative_to(folder).as_posix() for file in files]


def _list_files(reader: FolderReader, folder: Path, allow_empty: bool = False) -> list[_File]:
    """Return the image files of all classes and subclasses.

    A class or subclass without images is an error, or with ``allow_empty`` is left out.
    """
    class_folders, images = reader.entries(folder)
    if images:
        raise InvalidInput(f"{readable(images[0])} is not in a class folder; move it into one")
    if not class_folders:
        raise InvalidInput(
            f"{readable(folder)} has no folders; it must have one for each class, with images"
        )
    files: list[_File] = []
    for class_folder in class_folders:
        subfolders, images = reader.entries(class_folder)
        if subfolders and images:
            raise InvalidInput(
                f"{readable(class_folder)} has both images ({readable(images[0].name)}) and "
                f"folders ({readable(subfolders[0].name)}); move all its images into folders of "
                "subclasses, or none"
            )
        for subfolder in subfolders or [class_folder]:
            if subfolders:
                deeper, images = reader.entries(subfolder)
                if deeper:
                    raise InvalidInput(
                        f"{readable(deeper[0])} is one folder too deep; path must contain "
                        "class/image or class/subclass/image"
                    )
            if not images and not allow_empty:
                raise InvalidInput(
                    f"{readable(subfolder)} has no image ({', '.join(IMAGE_SUFFIXES)})"
                    f"{reader.describe_other_files(subfolder)}; remove it"
                )
            names = (class_folder.name, subfolder.name if subfolders else None)
            files += [_File(image, names) for image in images]
    _check_names_differ(folder, {file.folder for file in files})
    return files


def _check_splits_are_above(root: Path, files: Sequence[_File]) -> None:
    """Refuse class/train/image and class/test/image, whose parts would become subclasses."""
    subclasses = {subclass for _, subclass in (file.folder for file in files) if subclass}
    splits = sorted({w[0] for w in map(split_words, subclasses) if w and not w[1]})
    if len(splits) > 1 and "train" in splits:
        raise InvalidInput(
            f"{readable(root)} has the folders of {' and '.join(splits)} below those of the "
            "classes; put them above, as in train/cat"
        )


def _check_names_differ(root: Path, folders: set[FolderNames]) -> None:
    """Refuse two folders whose names look the same."""
    first: dict[FolderNames, FolderNames] = {}
    for folder in sorted(folders, key=str):
        if first.setdefault(_composed(folder), folder) != folder:
            relative = "/".join(filter(None, folder))
            raise InvalidInput(
                f"{readable(root)} has two folders {readable(relative)!r}, written in two ways "
                "(composed and decomposed letters); move the images into one"
            )


def _are_all_grey(files: Sequence[Path], size: int | None) -> bool:
    """Return whether all images are grey; without ``size``, check that all have the same size.

    The headers of all splits are read, so that every split is decoded to the same channels.
    """
    files = sorted(files)
    headers = [read_header(path) for path in files]
    for path, (_, image_size) in zip(files, headers, strict=True):
        if size is None and image_size != headers[0][1]:
            raise size_error(path, image_size, files[0], headers[0][1])
    return all(grey for grey, _ in headers)


def _subclass_names(folders: Sequence[FolderNames]) -> tuple[str, ...]:
    counts = Counter(subclass or name for name, subclass in folders)
    return tuple(
        readable(
            f"{name} / {subclass or name}" if counts[subclass or name] > 1 else subclass or name
        )
        for name, subclass in folders
    )
