"""Options of the runs over areas."""

from __future__ import annotations

from explore.areas import config
from explore.attention import _cam_kinds


def test_the_kinds_of_maps_are_those_of_attention() -> None:
    assert config.CAM_KINDS == _cam_kinds.CAM_KINDS
