"""List folders of images: what is read, and what is passed over."""

# ruff: noqa: PTH110, PTH112, PTH113 - those of pathlib raise errors for folders without permission

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from explore.core.validation import check_path, describe
from explore.data._split_names import split_words
from explore.errors import DataMissing, ExploreWarning, InvalidInput

IMAGE_SUFFIXES = (
    ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm",
    ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""Files with other suffixes are passed over. Pillow may have been built without some of these."""
DOCUMENT_SUFFIXES = (
    "", ".csv", ".htm", ".html", ".json", ".md", ".pdf", ".py", ".rst", ".tsv", ".txt", ".xml",
    ".yaml", ".yml", ".zip",
)  # fmt: skip
"""Files that are mentioned only if they are among images."""
SYSTEM_FILES = (
    "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin",
    "system volume information", "lost+found",
)  # fmt: skip
"""What operating systems add to folders, in lower case; it is never mentioned."""


class FolderReader:
    """Lists the folders below a root once each, and counts what is passed over.

    Hidden files and folders are passed over silently.

    Args:
        root: a folder that exists.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real_root = os.path.realpath(root)
        self._listed: dict[Path, tuple[list[Path], list[Path]]] = {}
        self._passed_over: Counter[str] = Counter()
        self._outside_links: list[Path] = []
        self._notes: list[str] = []

    def entries(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Return the subfolders and the image files of a folder, sorted by name.

        Raises:
            InvalidInput: the folder cannot be listed.
        """
        if folder not in self._listed:
            self._listed[folder] = self._read(folder)
        return self._listed[folder]

    def walk(self, folder: Path) -> list[Path]:
        """Return the image files of a folder and all its subfolders, sorted by path."""
        return sorted(self._walk(folder, {os.path.realpath(folder)}))

    def unwrap(self) -> Path:
        """Return the folder of the classes or splits: the root, or below it the first with choices.

        An archive often has one folder around everything.
        """
        folder = self.root
        while True:
            subfolders, images = self.entries(folder)
            if images or len(subfolders) != 1 or split_words(subfolders[0].name) is not None:
                break
            if not self.entries(subfolders[0])[0]:
                break  # One class with images
            folder = subfolders[0]
        if folder != self.root:
            self.note(f"the classes are read from {readable(folder)}, the only folder there")
        return folder

    def note(self, text: str) -> None:
        """Add a sentence to the warning."""
        self._notes.append(text)

    def describe_other_files(self, folder: Path) -> str:
        """Return what a folder without images holds, for error messages."""
        suffixes = Counter(Path(entry.name).suffix.lower() for entry in _scan(folder))
        return f"; it has {_count_text(suffixes)}" if suffixes else ""

    def warn(self) -> None:
        """Warn once of everything that was passed over or leads outside of the root."""
        parts = list(self._notes)
        if self._passed_over:
            verb = "is" if self._passed_over.total() == 1 else "are"
            parts.append(
                f"{_count_text(self._passed_over)} {verb} passed over; convert images to PNG or "
                "JPEG if they are to be read"
            )
        if self._outside_links:
            count = len(self._outside_links)
            first = readable(self._outside_links[0])
            parts.append(
                f"{count} symbolic {'link leads' if count == 1 else 'links lead'} outside of the "
                f"folder (the first is {first}), and the images there are used"
            )
        if parts:
            warnings.warn(
                f"in {readable(self.root)}, {'. Also, '.join(parts)}", ExploreWarning, stacklevel=3
            )

    def _read(self, folder: Path) -> tuple[list[Path], list[Path]]:
        folders: list[Path] = []
        images: list[Path] = []
        documents: Counter[str] = Counter()
        for entry in _scan(folder):
            path = folder / entry.name
            if entry.is_symlink() and not self._follow(path):
                continue
            suffix = path.suffix.lower()
            if os.path.isdir(path):
                folders.append(path)
            elif suffix in IMAGE_SUFFIXES and os.path.isfile(path):
                images.append(path)
            elif suffix in DOCUMENT_SUFFIXES:
                documents[suffix] += 1
            else:
                self._passed_over[suffix] += 1
        if images:
            self._passed_over += documents
        return sorted(folders), sorted(images)

    def _walk(self, folder: Path, above: set[str]) -> Iterator[Path]:
        folders, images = self.entries(folder)
        yield from images
        for subfolder in folders:
            real = os.path.realpath(subfolder)
            if real in above:
                self._passed_over["circular link"] += 1
            else:
                yield from self._walk(subfolder, above | {real})

    def _follow(self, link: Path) -> bool:
        """Return whether a link leads to something that can be read; count it otherwise."""
        target = os.path.realpath(link)
        if not os.path.exists(target):
            self._passed_over["broken link"] += 1
            return False
        if _is_inside(os.path.realpath(link.parent), target):
            self._passed_over["circular link"] += 1
            return False
        if not _is_inside(target, self._real_root):
            self._outside_links.append(link)
        return True


def check_folder(path: Any, purpose: str) -> tuple[Path, str]:
    """Return the path of a folder that exists, and the same as a text that a recording can hold.

    Args:
        path: a text, bytes or a path, in which ``~`` stands for the home folder.
        purpose: what the message says that the folder is.

    Raises:
        InvalidInput: it is no path, or its name is not UTF-8.
        DataMissing: there is no such folder.
    """
    try:
        root = check_path("path", path)
    except InvalidInput as error:
        if "resolved" in str(error):
            raise
        raise InvalidInput(f"path must be {purpose}, got {describe(path)}") from error
    text = os.fsdecode(path)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"the name of the folder {readable(root)} is not UTF-8, so no recording can hold it; "
            "rename the folder"
        ) from error
    if not os.path.isdir(root):
        problem = "is a file" if os.path.exists(root) else "does not exist"
        raise DataMissing(f"{root} {problem}; path must be {purpose}")
    return root, text


def readable(path: str | Path) -> str:
    """Return a name that can be printed and stored: bytes that are not UTF-8 become ``\\xe9``.

    Example:
        >>> readable("caf\\udce9")
        'caf\\\\xe9'
    """
    return os.fsencode(path).decode(errors="backslashreplace")


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder that are neither hidden nor those of an operating system."""
    try:
        with os.scandir(folder) as entries:
            return [
                entry
                for entry in entries
                if not entry.name.startswith(".") and entry.name.lower() not in SYSTEM_FILES
            ]
    except OSError as error:
        raise InvalidInput(
            f"{readable(folder)} cannot be listed ({error.strerror}); check its permissions"
        ) from error


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _count_text(suffixes: Counter[str]) -> str:
    """Return counts in words: "2 files .heic, 1 broken link"."""
    words = []
    for suffix, count in sorted(suffixes.items()):
        plural = "" if count == 1 else "s"
        if suffix.endswith("link"):
            words.append(f"{count} {suffix}{plural}")
        else:
            words.append(f"{count} file{plural} {suffix or 'without suffix'}")
    return ", ".join(words)
