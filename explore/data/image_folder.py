"""Load a folder of labelled images: one folder for each class, or each subclass of a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import torch

from explore.core.validation import check_whole_number
from explore.data.decoding import IMAGE_SUFFIXES, read_header, read_split, size_error
from explore.data.image_set import ImageSet
from explore.data.splitting import shuffle_by_name, split_by_name
from explore.errors import DataMissing, InvalidInput, UnknownName

SPLIT_NAMES = ("train", "val", "test")
FolderNames = tuple[str, str | None]
"""Folder names of a class and a subclass; None if the images are in the folder of the class."""


class _File(NamedTuple):
    path: Path
    folder: FolderNames


def image_folder(
    split: str = "train", *, path: str | PathLike[str], size: int | None = None, seed: int = 0
) -> ImageSet:
    """Load the images ``class/image`` or ``class/subclass/image`` below ``path``.

    If ``path`` contains a folder train or test, its folders train, val and test are the splits, and
    other folders are ignored. Without val, a tenth of each subclass of train becomes val. Otherwise
    each subclass is split 70/10/20 by the names of its files: the same file is always in the same
    split, and train has one or more of each. A class without subfolders is its own only subclass.
    Hidden files and folders, and files that are not images, are ignored. Images are grey if all
    files of all splits are grey, otherwise RGB.

    Args:
        split: "train", "val" or "test".
        path: the folder. Images are png, jpg, jpeg, bmp, tif, tiff or webp, in upper or lower case.
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
    if split not in SPLIT_NAMES:
        raise UnknownName("split of a folder", split, SPLIT_NAMES)
    if not isinstance(path, (str, PathLike)) or not str(path):
        raise InvalidInput(f"path must be the folder that contains the class folders, got {path!r}")
    size = None if size is None else check_whole_number("size", size, 1)
    seed = check_whole_number("seed", seed, 0)
    root = Path(path).expanduser()
    if not root.is_dir():
        problem = "is a file" if root.exists() else "does not exist"
        raise DataMissing(
            f"{root} {problem}; path must be the folder that contains the class folders"
        )
    splits = _split_files(root, seed)
    files = [file for part in splits.values() for file in part]
    folders = sorted({file.folder for file in files}, key=lambda names: (names[0], names[1] or ""))
    class_names = tuple(dict.fromkeys(name for name, _ in folders))
    if len(class_names) < 2:
        raise InvalidInput(
            f"{root} contains one class only, {class_names[0]!r}; "
            "path must be the folder above two or more classes"
        )
    if not splits[split]:
        raise InvalidInput(
            f"{root} has too few images for {split!r}; val needs 5 of one subclass, test needs 3"
        )
    paths = {name: [file.path for file in part] for name, part in splits.items()}
    grey = _are_all_grey([file.path for file in files], size)
    images, mean, std = read_split(paths, split, size=size, grey=grey)
    image_set = ImageSet(
        "folder",
        images,
        torch.tensor([class_names.index(file.folder[0]) for file in splits[split]]),
        class_names,
        mean,
        std,
        {"split": split, "path": str(path), "size": size, "seed": seed},
    )
    if all(subclass is None for _, subclass in folders):
        return image_set
    return replace(
        image_set,
        subclasses=torch.tensor([folders.index(file.folder) for file in splits[split]]),
        subclass_names=_subclass_names(folders),
        parents=tuple(class_names.index(name) for name, _ in folders),
    )


def _split_files(root: Path, seed: int) -> dict[str, list[_File]]:
    """Return the files of each split, in an order that depends on ``seed``."""
    split_folders = [name for name in SPLIT_NAMES if (root / name).is_dir()]
    if not {"train", "test"} & set(split_folders):  # A folder val alone is a class of that name.
        return _split_by_name(root, _list_files(root), seed, test=20)
    for name in ("train", "test"):
        if name not in split_folders:
            raise InvalidInput(
                f"{root} has a folder {' and '.join(split_folders)}, but no folder {name}; "
                f"add it, or move the classes out of {split_folders[0]} to have them split 70/10/20"
            )
    listed = {name: _list_files(root / name, allow_empty=name != "train") for name in split_folders}
    train_folders = {file.folder for file in listed["train"]}
    for name, files in listed.items():
        for file in files:
            if file.folder not in train_folders:
                relative = "/".join(filter(None, file.folder))
                raise InvalidInput(
                    f"{root / name / relative} has images, "
                    f"but {root / 'train' / relative} has none; "
                    "train must have every class and subclass, with folders of the same depth"
                )
    splits = {}
    for name, files in listed.items():
        order = shuffle_by_name(_relative_names(root / name, files), seed)
        splits[name] = [files[i] for i in order]
    if "val" not in splits:
        parts = _split_by_name(root / "train", listed["train"], seed)
        splits |= {name: parts[name] for name in ("train", "val")}
    return splits


def _split_by_name(
    folder: Path, files: Sequence[_File], seed: int, test: int = 0
) -> dict[str, list[_File]]:
    groups = [file.folder for file in files]
    splits = split_by_name(_relative_names(folder, files), groups, val=10, test=test, seed=seed)
    return {name: [files[i] for i in indices] for name, indices in splits.items()}


def _relative_names(folder: Path, files: Sequence[_File]) -> list[str]:
    return [file.path.relative_to(folder).as_posix() for file in files]


def _list_files(folder: Path, allow_empty: bool = False) -> list[_File]:
    """Return the image files of all classes and subclasses.

    A class or subclass without images is an error, or with ``allow_empty`` is left out.
    """
    class_folders, images = _list_folder(folder)
    if images:
        raise InvalidInput(f"{images[0]} is not in a class folder; move it into one")
    if not class_folders:
        raise InvalidInput(f"{folder} has no folders; it must have one for each class, with images")
    files: list[_File] = []
    for class_folder in class_folders:
        subfolders, images = _list_folder(class_folder)
        if subfolders and images:
            raise InvalidInput(
                f"{class_folder} has both images ({images[0].name}) and folders "
                f"({subfolders[0].name}); move all its images into folders of subclasses, or none"
            )
        for subfolder in subfolders or [class_folder]:
            if subfolders:
                deeper, images = _list_folder(subfolder)
                if deeper:
                    raise InvalidInput(
                        f"{deeper[0]} is one folder too deep; path must contain class/image or "
                        "class/subclass/image"
                    )
            if not images and not allow_empty:
                raise InvalidInput(
                    f"{subfolder} has no image ({', '.join(IMAGE_SUFFIXES)}); remove it"
                )
            names = (class_folder.name, subfolder.name if subfolders else None)
            files += [_File(image, names) for image in images]
    return files


def _list_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the subfolders and the image files, sorted by name, without hidden ones."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    folders = [entry for entry in entries if entry.is_dir()]
    images = [e for e in entries if e.suffix.lower() in IMAGE_SUFFIXES and not e.is_dir()]
    return folders, images


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
        f"{name} / {subclass or name}" if counts[subclass or name] > 1 else subclass or name
        for name, subclass in folders
    )
