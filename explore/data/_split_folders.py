"""Find the folders of the splits below the folder of a data set."""

from __future__ import annotations

from pathlib import Path

from explore.data._folder_listing import FolderReader, readable
from explore.data._split_names import SPLIT_NAMES, split_words
from explore.errors import InvalidInput


def find_split_folders(reader: FolderReader, root: Path) -> dict[str, Path]:
    """Return the folder of each split; none if the folders are classes.

    A folder that is called like a split, but has no folders, is a class of that name, such as the
    vehicle train. A folder val alone is a class as well.
    """
    folders, _ = reader.entries(root)
    words = {folder: split_words(folder.name) for folder in folders}
    # "seg_train" is a split only beside "seg_test"; "train" and "training_set" always are.
    named: dict[str, list[tuple[str, Path]]] = {}
    for folder, match in words.items():
        if match is not None:
            named.setdefault(match[1], []).append((match[0], folder))
    groups = [
        group for rest, group in named.items() if not rest or len({name for name, _ in group}) > 1
    ]
    groups = [group for group in groups if {"train", "test"} & {name for name, _ in group}]
    nested = [[(n, f) for n, f in group if reader.entries(f)[0]] for group in groups]
    if not any({"train", "test"} & {name for name, _ in group} for group in nested):
        flat = [f for group in groups for _, f in group if reader.entries(f)[1]]
        if len(flat) > 1 and len(flat) == len(folders):
            raise InvalidInput(
                f"{root} has images in {' and '.join(readable(f.name) for f in flat)} without "
                "folders of classes; put them into folders such as train/cat"
            )
        return {}
    group = max(nested, key=len)
    flat = [f for _, f in groups[nested.index(group)] if _has_only_images(reader, f)]
    if flat:
        names = " and ".join(readable(f.name) for f in flat)
        reader.note(f"the images in {names} are not read, as they are not in folders of classes")
    split_folders: dict[str, Path] = {}
    for name, folder in sorted(group, key=lambda item: SPLIT_NAMES.index(item[0])):
        if name in split_folders:
            raise InvalidInput(
                f"{root} has the folders {split_folders[name].name} and {folder.name}, which both "
                f"mean {name}; rename or move one"
            )
        inner = reader.entries(folder)[0]
        # Some archives have the same name twice, as seg_train/seg_train.
        split_folders[name] = inner[0] if [f.name for f in inner] == [folder.name] else folder
    members = {*flat, *(folder for _, folder in group)}
    others = [f for f in folders if f not in members and _has_images(reader, f)]
    if others:
        names = ", ".join(readable(f.name) for f in others)
        if len(split_folders) == 1:
            raise InvalidInput(
                f"{root} has a folder {group[0][1].name} with folders in it, as a part for "
                f"training or testing, beside {names}; move one of them elsewhere"
            )
        reader.note(f"the images in {names} are not read, as they belong to no part")
    return split_folders


def _has_only_images(reader: FolderReader, folder: Path) -> bool:
    folders, images = reader.entries(folder)
    return bool(images) and not folders


def _has_images(reader: FolderReader, folder: Path) -> bool:
    """Return whether a folder or one of its subfolders has images."""
    folders, images = reader.entries(folder)
    return bool(images) or any(reader.entries(inner)[1] for inner in folders)
