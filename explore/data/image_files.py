"""Labelled image files that are decoded batch by batch, so that memory stays small."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any, Self

import numpy as np
import torch

from explore.core.validation import check_choice, check_flag, check_whole_number
from explore.data._folder_listing import (
    IMAGE_SUFFIXES,
    FolderReader,
    check_folder,
    readable,
)
from explore.data._indices import check_indices
from explore.data._split_names import split_words
from explore.data.datasets.imagenet_subsets import IMAGENET_SUBSETS, find_subset
from explore.data.decoding import MAX_SIDE, find_top_level, read_images
from explore.errors import DataMissing, InvalidInput

FILES_NAME = "files"
"""The name of the data in the description of a recording."""
PATH_PURPOSE = "a folder of class folders"
_top_level_lock = Lock()


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

        Images in deeper folders belong to the class. The name of train, one folder around
        everything, and files that are passed over are treated as by ``image_folder``.

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
        root, text = check_folder(path, PATH_PURPOSE)
        size = check_whole_number("size", size, 1, MAX_SIDE)
        count = None if count is None else check_whole_number("count", count, 1)
        if not isinstance(subset, str) or subset:
            check_choice("subset", subset, IMAGENET_SUBSETS)
        reader = FolderReader(root)
        root = reader.unwrap()
        # A folder train with images only is a class.
        train = [f for f in reader.entries(root)[0] if split_words(f.name) == ("train", "")]
        root = next((folder for folder in train if reader.entries(folder)[0]), root)
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
            folders = reader.entries(root)[0]
            names = [readable(folder.name) for folder in folders]
        if len(folders) < 2:
            raise InvalidInput(
                f"{root} contains {'only one class folder' if folders else 'no class folders'}; "
                "path must be the folder above two or more classes"
            )
        files_of = [reader.walk(folder)[:count] for folder in folders]
        empty = [
            readable(folder.name)
            for folder, files in zip(folders, files_of, strict=True)
            if not files
        ]
        if empty:
            raise InvalidInput(
                f"no image ({', '.join(IMAGE_SUFFIXES)}) in {', '.join(empty)} below {root}; "
                "remove these folders"
            )
        reader.warn()
        return cls(
            root,
            [file for files in files_of for file in files],
            np.repeat(np.arange(len(files_of)), [len(files) for files in files_of]),
            names,
            size,
            {"path": text, "size": size, "subset": subset, "count": count},
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
            InvalidInput: indices out of range, or a file that cannot be decoded; the message names
                it.
        """
        rows = self._rows(indices)
        options: dict[str, Any] = {"size": self.size, "top_level": self._top_level}
        try:
            return read_images([self.files[i] for i in rows], **options), rows
        except InvalidInput:
            if not check_flag("skip_unreadable", skip_unreadable):
                raise
        images, read = [], []
        for index in rows:
            try:
                images.append(read_images([self.files[index]], **options))
                read.append(index)
            except InvalidInput:
                continue
        empty = torch.zeros(0, 3, self.size, self.size, dtype=torch.uint8)
        return torch.cat([empty, *images]), read

    def _rows(self, indices: Any) -> list[int]:
        rows = check_indices("indices", indices, len(self), "files")
        return list(range(len(self)))[rows] if isinstance(rows, slice) else rows.tolist()

    def _top_level(self) -> int:
        """Return what counts as white in images of 16 bits, from all files, once for each set."""
        with _top_level_lock:
            if "top_level" not in self.__dict__:
                object.__setattr__(self, "top_level", find_top_level(self.files))
            level: int = self.__dict__["top_level"]
            return level

    def describe(self) -> dict[str, Any]:
        """Return what identifies the files in a recording; the hash is of names and sizes.

        Raises:
            DataMissing: a file is gone.
        """
        digest = hashlib.sha256()
        for file in self.files:
            relative = file.relative_to(self.root).as_posix()
            try:
                size = file.stat().st_size
            except OSError as error:
                raise DataMissing(
                    f"{readable(file)} cannot be read ({error.strerror}); put it back, or list the "
                    "folder again"
                ) from error
            digest.update(os.fsencode(f"{relative}\0{size}\n"))
        return {
            "name": FILES_NAME,
            "options": dict(self.options),
            "shape": [len(self), 3, self.size, self.size],
            "sha256": digest.hexdigest(),
        }
