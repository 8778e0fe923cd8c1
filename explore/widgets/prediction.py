"""Prediction: a question whose answer the picture shows, and the cover in front of the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import pandas
import traitlets
import xarray

from explore.core.validation import check_callable, check_flag, check_names, check_text, describe
from explore.errors import InvalidInput
from explore.plotting.picture import Picture
from explore.plotting.style import FRAME_GREY
from explore.widgets.controls import FIT_CONTENT, Choice

NO_ANSWER = None
"""The state of a prediction before the reader has committed to an answer."""


class Prediction(Choice):
    """A question that the reader answers before the picture is shown.

    The picture stays covered until then. Afterwards the reader's answer is shown beside the right
    one, also in the saved notebook, and cannot be changed on the page.

    Args:
        question: such as "Which student leads at width 4?".
        answers: two or more, in the order of the list.
        answer: returns the right answer, in words, from the data of the picture; or the answer
            itself.
        hides: whether the explorer's source itself hides what answers the question. It is called
            with ``hidden=True`` until the reader has answered, and its picture has no cover.

    Raises:
        InvalidInput: fewer than two answers, or two that are the same.

    Example:
        >>> prediction = Prediction("Which is higher?", ["left", "right"], "right")
        >>> prediction.note("left", None)
        'Which is higher? You predicted: left. The picture shows: right.'
    """

    is_prediction = True

    def __init__(
        self,
        question: str,
        answers: Sequence[str],
        answer: str | Callable[[xarray.Dataset], str],
        hides: bool = False,
    ) -> None:
        self.question, self.hides = check_text("question", question), check_flag("hides", hides)
        answers = list(check_names("answers", answers))
        if len(answers) < 2 or len(set(answers)) < len(answers):
            raise InvalidInput(f"answers must be two or more texts, got {describe(answers)}")
        if not isinstance(answer, str):
            check_callable("answer", answer, "of the data that returns a text")
        self._answer = answer
        super().__init__("your prediction", [NO_ANSWER, *answers])

    def note(self, guess: Any, data: Any) -> str:
        """Return the line that sets the reader's answer beside the right one."""
        if guess is NO_ANSWER:
            return self.question
        right = self._answer if isinstance(self._answer, str) else self._answer(data)
        return f"{self.question} You predicted: {guess}. The picture shows: {right}."

    def cover(self) -> xarray.Dataset:
        """Return the data of the ``Cover`` that is shown before the answer."""
        answers = [value for value in self.values if value is not NO_ANSWER]
        return xarray.Dataset({"answer": ("n", answers)}, attrs={"question": self.question})

    def link(self, holder: traitlets.HasTraits, name: str) -> ipywidgets.Widget:
        """Create the list of answers, link it to a trait, and close it after the first answer."""
        widget = super().link(holder, name)
        holder.observe(lambda change: setattr(widget, "disabled", change["new"] is not None), name)
        return widget

    def _create_widget(self, value: Any) -> ipywidgets.Widget:
        return ipywidgets.Dropdown(
            options=[("choose …", NO_ANSWER), *((text, text) for text in self.values[1:])],
            value=value,
            description=self.label,
            style={"description_width": "initial"},
            layout=FIT_CONTENT,
        )


def check_prediction(prediction: Any) -> Prediction:
    """Return a prediction.

    Raises:
        InvalidInput: it is none.
    """
    if not isinstance(prediction, Prediction):
        raise InvalidInput(f"prediction must be a Prediction, got {describe(prediction)}")
    return prediction


class Cover(Picture):
    """What is shown in place of a picture until the reader has predicted it."""

    size = (9.0, 1.6)
    title = "Predict first"

    def build(self, data: xarray.Dataset) -> None:
        """Create the two lines of text."""
        self._question = self.moving(
            self.figure.text(0.5, 0.66, "", ha="center", va="center", fontsize=12)
        )
        self._hint = self.moving(
            self.figure.text(0.5, 0.3, "", ha="center", va="center", color=FRAME_GREY)
        )
        self.figure.patch.set(edgecolor=FRAME_GREY, linewidth=2)

    def show(self, data: xarray.Dataset) -> None:
        """Show the question."""
        self._question.set_text(data.attrs["question"])
        self._hint.set_text("The picture appears when you have chosen an answer.")

    def describe(self, data: xarray.Dataset) -> str:
        """Return the question and its answers."""
        answers = ", ".join(map(str, data["answer"].values))
        return (
            f"{data.attrs['question']} The picture is covered until you have predicted one of: "
            f"{answers}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return the answers from which the reader chooses."""
        return pandas.DataFrame({"answer": data["answer"].values})
