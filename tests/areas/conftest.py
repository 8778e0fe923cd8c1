"""A folder of synthetic scenes."""

from __future__ import annotations

from pathlib import Path

import pytest
from scene_folders import publish


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return publish(tmp_path / "scenes")
