"""The metadata of a picture's file: what it shows, from which data, and how to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from explore import __version__


@dataclass(frozen=True)
class FileMetadata:
    """What a file says about its picture. It holds no date, so that files can be compared.

    Args:
        title: of the picture.
        description: its alternative text.
        origin: data set and seed of each recording.
        command: which makes the file again.
    """

    title: str = ""
    description: str = ""
    origin: str = ""
    command: str = ""

    def fields(self, kind: str) -> Mapping[str, Any]:
        """Return the fields of a format.

        Args:
            kind: "png" (text chunks), "pdf" (the information dictionary) or "svg" (Dublin Core).

        Example:
            >>> FileMetadata("Loss", "The loss falls.").fields("pdf")["Subject"]
            'The loss falls.'
        """
        program = f"explore {__version__}"
        together = "; ".join(filter(None, [self.origin, self.command]))
        fields: dict[str, dict[str, Any]] = {
            "png": {
                "Title": self.title,
                "Description": self.description,
                "Comment": self.origin,
                "Source": self.command,
                "Software": program,
            },
            "pdf": {
                "Title": self.title,
                "Subject": self.description,
                "Keywords": together,
                "Creator": program,
            },
            "svg": {
                "Title": self.title,
                "Description": self.description,
                "Keywords": [self.origin] if self.origin else "",
                "Source": self.command,
                "Creator": program,
            },
        }
        return {key: value for key, value in fields[kind].items() if value}
