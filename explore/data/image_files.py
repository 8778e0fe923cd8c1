"""Labelled image files that are decoded batch by batch, so that memory stays small."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from explore.core.validation import check_whole_number
from explore.data.datasets.imagenet_subsets import find_subset
from explore.data.decoding import IMAGE_SUFFIXES, read_images
from explore.errors import DataMissing, InvalidInput

FILES_NAME = "files"
"""The name of the data in the description of a recording."""


@dataclass(frozen=True)
class ImageFiles:
    """Files of labelled images; nothing is decoded before ``read``.

    Attributes:
        root: the folder of the class folders.
        files: one path for each image.
        labels: int64 ``[N]``.
        class_names: names of the classes, in label order.
        size: side in pixels to which every image is resized (antialiased bilinear, to a square).
        options: the arguments that list the same files again.
    """

    root: Path
    files: Sequence[Path]
    labels: np.ndarray
    class_names: Sequence[str]
    size: int
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def in_folder(
        cls,
        path: str | PathLike[str],
        *,
        size: int = 224,
        subset: str = "",
        count: int | None = None,
    ) -> Self:
        """List the images below ``path/class`` or, if train has folders, ``path/train/class``.

        Images in deeper folders belong to the class. Hidden files and folders are ignored.

        Args:
            path: the folder.
            size: side in pixels of the decoded images.
            subset: a subset of ImageNet; only the folders of its classes are read. By default every
                folder is a class.
            count: maximal number of images of each class, the first ones by name; None for all.

        Raises:
            DataMissing: the folder, or the folder of a class of the subset, does not exist.
            InvalidInput: fewer than two classes, or a class without images.
            UnknownName: no subset of this name.
        """
        if not isinstance(path, (str, PathLike)) or not str(path):
            raise InvalidInput(f"path must be a folder of class folders, got {path!r}")
        size = check_whole_number("size", size, 1)
        count = None if count is None else check_whole_number("count", count, 1)
        root = Path(path).expanduser()
        if not root.is_dir():
            raise DataMissing(f"{root} is not a folder; give the folder of the class folders")
        if _list_folders(root / "train"):  # A folder train with images only is a class.
            root = root / "train"
        if subset:
            chosen = find_subset(subset)
            folders, names = [root / name for name in chosen.folders], list(chosen.class_names)
            missing = [
                f"{name} ({folder.name})"
                for name, folder in zip(names, folders, strict=True)
                if not folder.is_dir()
            ]
            if missing:
                raise DataMissing(
                    f"{root} lacks {len(missing)} of the {len(folders)} classes of {subset}: "
                    f"{', '.join(missing)}; add these folders, or choose another subset"
                )
        else:
            folders = _list_folders(root)
            names = [folder.name for folder in folders]
        if len(folders) < 2:
            raise InvalidInput(
                f"{root} contains {'only one class folder' if folders else 'no class folders'}; "
                "path must be the folder above two or more classes"
            )
        found = [_list_images(folder)[:count] for folder in folders]
        empty = [folder.name for folder, files in zip(folders, found, strict=True) if not files]
        if empty:
            raise InvalidInput(
                f"no image ({', '.join(IMAGE_SUFFIXES)}) in {', '.join(empty)} below {root}; "
                "remove these folders"
            )
        return cls(
            root,
            [file for files in found for file in files],
            np.repeat(np.arange(len(found)), [len(files) for files in found]),
            names,
            size,
            {"path": str(path), "size": size, "subset": subset, "count": count},
        )

    def __len__(self) -> int:
        return len(self.files)

    def read(
        self, indices: Sequence[int], skip_unreadable: bool = False
    ) -> tuple[torch.Tensor, list[int]]:
        """Decode some images to uint8 ``[n, 3, size, size]``, and return which ones were read.

        Args:
            indices: of the files.
            skip_unreadable: leave out files that cannot be decoded.

        Raises:
            InvalidInput: a file cannot be decoded; the message names it.
        """
        try:
            return read_images([self.files[i] for i in indices], size=self.size), list(indices)
        except InvalidInput:
            if not skip_unreadable:
                raise
        images, read = [], []
        for index in indices:
            try:
                images.append(read_images([self.files[index]], size=self.size))
                read.append(index)
            except InvalidInput:
                continue
        empty = torch.zeros(0, 3, self.size, self.size, dtype=torch.uint8)
        return torch.cat([empty, *images]), read

    def describe(self) -> dict[str, Any]:
        """Return what identifies the files in a recording; the hash is of names and sizes."""
        digest = hashlib.sha256()
        for file in self.files:
            relative = file.relative_to(self.root).as_posix()
            digest.update(f"{relative}\0{file.stat().st_size}\n".encode())
        return {
            "name": FILES_NAME,
            "options": dict(self.options),
            "shape": [len(self), 3, self.size, self.size],
            "sha256": digest.hexdigest(),
        }


def _list_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder by name, without hidden ones; none if it does not exist."""
    return sorted(path for path in folder.glob("[!.]*") if path.is_dir())


def _list_images(folder: Path) -> list[Path]:
    """Return the image files of a folder and its subfolders by name, without hidden ones."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.is_file()
    )
