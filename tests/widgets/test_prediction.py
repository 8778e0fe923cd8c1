"""Predictions: the picture is covered until the reader has answered, and the answer stays."""

from __future__ import annotations

from typing import Any

import pytest
import traitlets
import xarray
from bar_picture import Bar, source

from explore.errors import InvalidInput
from explore.widgets.controls import Choice, Slider
from explore.widgets.explorer import Explorer
from explore.widgets.prediction import Cover, Prediction

QUESTION = "How high is the bar at the end?"


def higher_than(data: xarray.Dataset) -> str:
    return "above 5" if float(data["height"]) > 5 else "5 or less"


def predicted() -> Explorer:
    controls = {"step": Slider("step", range(9)), "kind": Choice("kind", ["low", "tall"])}
    prediction = Prediction(QUESTION, ["5 or less", "above 5"], higher_than)
    return Explorer(source, Bar, controls, "bars", prediction)


def test_the_picture_is_covered_until_the_answer() -> None:
    explorer = predicted()
    explorer.step = 8
    assert type(explorer.picture) is Cover
    assert explorer.alt.startswith(QUESTION)
    for text in (explorer.alt, explorer.view.note, *explorer._repr_mimebundle_().values()):
        assert "height" not in str(text)
    explorer.prediction = "5 or less"
    assert explorer.alt == "a bar of height 8 <tall>"
    assert explorer.view.png == Bar(source(8, "low")).png()


def test_guess_and_truth_stand_side_by_side_and_are_saved() -> None:
    explorer = predicted().set(step=8, prediction="5 or less")
    note = f"{QUESTION} You predicted: 5 or less. The picture shows: above 5."
    assert explorer.view.note == note
    assert note in explorer._repr_mimebundle_()["text/html"]
    assert note in explorer._repr_mimebundle_()["text/plain"]


def test_the_answer_cannot_be_changed_on_the_page_and_a_reset_leaves_it() -> None:
    explorer = predicted()
    widget = explorer.controls["prediction"].widget
    assert not widget.disabled
    widget.value = "above 5"
    assert widget.disabled
    explorer.step = 3
    explorer.actions.reset()
    assert explorer.state == {"prediction": "above 5", "step": 0, "kind": "low"}


def test_pages_and_files_of_a_covered_picture_do_not_tell(tmp_path: Any) -> None:
    explorer = predicted()
    csv = explorer.save(tmp_path / "bar.csv").read_text()
    assert "height" not in csv
    assert "5 or less" in csv
    with pytest.raises(InvalidInput, match="choose your prediction first"):
        explorer.save(tmp_path / "bar.html")
    explorer.set(prediction="above 5")
    page = explorer.save(tmp_path / "bar.html").read_text()
    assert "a bar of height 8" in page


def test_a_source_can_hide_the_answer_itself(tmp_path: Any) -> None:
    def half_hidden(step: int, hidden: bool = False) -> xarray.Dataset:
        return source(0 if hidden else step, "low")

    prediction = Prediction(QUESTION, ["5 or less", "above 5"], higher_than, hides=True)
    controls = {"step": Slider("step", range(9), 8)}
    explorer = Explorer(half_hidden, Bar, controls, "bars", prediction)
    assert explorer.alt == "a bar of height 0 <tall>"
    assert explorer.view.note == QUESTION
    assert "height 8" not in explorer.save(tmp_path / "bar.html").read_text()
    explorer.prediction = "above 5"
    assert explorer.alt == "a bar of height 8 <tall>"
    assert explorer.view.note.endswith("You predicted: above 5. The picture shows: above 5.")


def test_an_answer_that_is_not_offered_is_refused() -> None:
    with pytest.raises(traitlets.TraitError, match="prediction must be one of"):
        predicted().set(prediction="6")


@pytest.mark.parametrize("answers", [[], ["one"], ["one", "one"], "one"])
def test_answers_are_two_or_more_texts(answers: Any) -> None:
    with pytest.raises(InvalidInput, match="answers"):
        Prediction(QUESTION, answers, "one")


def test_what_is_no_prediction_is_refused() -> None:
    with pytest.raises(InvalidInput, match="prediction must be a Prediction"):
        Explorer(source, Bar, {}, "bars", "above 5")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="answer must be a function"):
        Prediction(QUESTION, ["a", "b"], 3)  # type: ignore[arg-type]
