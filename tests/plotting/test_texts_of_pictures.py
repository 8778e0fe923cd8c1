"""No text of a picture overlaps another one or is cut off, in any state of any picture."""

from __future__ import annotations

import pytest
from picture_cases import PICTURES, case_of
from text_boxes import problems


@pytest.mark.parametrize("name", PICTURES)
def test_texts_can_be_read_in_every_state(name: str) -> None:
    picture_class, states = case_of(name)
    assert {k: problems(picture_class(data)) for k, data in enumerate(states)} == {
        k: [] for k in range(len(states))
    }
