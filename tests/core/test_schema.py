"""Declared kinds of recordings: frames made by them, and recordings checked by them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray

from explore.core.schema import RecordingKind, Variable
from explore.errors import InvalidInput

KIND = RecordingKind(
    "a test",
    {
        "loss": Variable((), "loss of the last step", "nat"),
        "image": Variable(("label", "y", "x", "rgb"), "synthetic image"),
        "map_{block}": Variable(("label", "y_{block}"), "map of block {block}"),
    },
    {"label": Variable(("label",), "", "")},
)


def test_a_frame_has_the_declared_dimensions_units_and_names() -> None:
    values = {"loss": np.float32(2), "image": np.zeros((2, 3, 3)), "map_12": np.ones((2, 4))}
    frame = KIND.frame(values, {"label": np.array(["a", "b"], object)})
    assert frame["image"].dims == ("label", "y", "x"), "one channel: no dimension rgb"
    assert frame["map_12"].dims == ("label", "y_12")
    assert frame["map_12"].attrs == {"long_name": "map of block 12", "units": "1"}
    assert frame["loss"].attrs["units"] == "nat"
    assert frame["label"].attrs == {}


def test_a_variable_that_is_not_declared_is_refused() -> None:
    with pytest.raises(InvalidInput, match="speed is not declared; the declared names are loss"):
        KIND.frame({"speed": 1.0})


def test_a_recording_of_another_kind_is_refused() -> None:
    recording = xarray.Dataset({"loss": ("step", [1.0])}, attrs={"name": "dm"})
    assert KIND.check(recording) == [recording]
    with pytest.raises(InvalidInput, match="expected a recording of a test; this one, of 'dm'"):
        KIND.check([recording, recording.drop_vars("loss")])
