"""The attention lab: one function a notebook cell, each returning something that shows itself."""

from __future__ import annotations

import tempfile
import threading
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.core.runs import spare_core
from explore.distill.catalog import METHOD_LABELS
from explore.distill.figures.evolution import Evolution, evolution
from explore.distill.figures.untrained import Accuracies, Untrained, untrained
from explore.errors import InvalidInput, UnknownName
from explore.widgets.controls import Button, Choice, Control, Slider
from explore.widgets.explorer import Explorer
from explore.widgets.job import Job
from explore.widgets.live import Live

if TYPE_CHECKING:
    import xarray

SETS = {"digits": "digits", "fashion-mnist": "fashion"}
"""Data sets of which recordings ship, and how their files begin."""

METHODS = ("datadam", "dm", "channel", "atom")
BY = {"step": "equal steps", "distance": "equal attention distance"}


def recording_of(data: str, method: str) -> xarray.Dataset:
    """The shipped recording of a method on a data set, read whole (it is small).

    Raises:
        InvalidInput: none ships of that set.
    """
    if data not in SETS:
        raise InvalidInput(
            f"recordings ship of {', '.join(SETS)}, not of {data!r}; record one and use explorer_of(recording)"
        )
    return open_recording(shipped(f"data/{SETS[data]}-{method}.zarr.zip")).load()


def untrained_networks(recording: xarray.Dataset | None = None) -> Explorer:
    """Class-mean attention of untrained networks, and how well the nearest map classifies; more networks on demand.

    Args:
        recording: of the method "untrained"; the shipped one (on digits) if left out.
    """
    known = {
        "recording": open_recording(shipped("data/digits-untrained.zarr.zip")).load()
        if recording is None
        else recording.load()
    }
    first = known["recording"]

    def draw_new(explorer: Explorer) -> None:
        survey = known["recording"]
        number = int(survey.step.values[-1]) + 1
        known["recording"] = _with_network(survey, number)
        numbers = known["recording"].step.values.tolist()
        explorer.offer("network", numbers, number)

    controls: dict[str, Control] = {
        "power": Slider("power p", first.power.values.tolist()),
        "network": Slider("network", first.step.values.tolist()),
        "label": Choice(
            "image of class",
            [str(name) for name in first.label.values],
            start=str(first.label.values[min(3, first.sizes["label"] - 1)]),
        ),
        "draw": Button("Draw new weights", draw_new),
    }
    return Explorer(
        lambda **state: untrained(known["recording"], **state), Untrained, controls, "untrained"
    )


def side_by_side(data: str = "fashion-mnist", left: str = "datadam", right: str = "dm") -> Explorer:
    """Two recorded methods beside each other, step by step, class by class; from the shipped recordings, without torch."""
    read = cache(partial(recording_of, data))  # each when it is first chosen
    first = read(left)

    def source(left: str, right: str, **state: Any) -> xarray.Dataset:
        return evolution([read(left), read(right)], **state)

    controls: dict[str, Control] = {
        "step": Slider("step", first.step.values.tolist(), start=int(first.step.values[-1])),
        "label": Choice("class", [str(name) for name in first.label.values]),
        "left": Choice("left", METHODS, left, METHOD_LABELS),
        "right": Choice("right", METHODS, right, METHOD_LABELS),
        "by": Choice("compare at", list(BY), names=BY),
    }
    return Explorer(source, Evolution, controls, f"attention-{data}")


def one_run(data: str = "fashion-mnist", method: str = "datadam") -> Explorer:
    """One recorded run, step by step; from the shipped recording, without torch."""
    return explorer_of(recording_of(data, method))


def explorer_of(recording: xarray.Dataset) -> Explorer:
    """Your own recording of an attention-matching run, step by step, class by class."""
    controls = _step_and_class(recording)
    return Explorer(partial(evolution, recording), Evolution, controls, "attention")


def live(
    data: str = "digits",
    method: str = "datadam",
    steps: int = 200,
    folder: str | Path | None = None,
    **options: Any,
) -> LiveDistillation:
    """Distil now: Start, Stop, scrub; then compare with random, herded and mean images.

    Args:
        data: "digits" or "fashion-mnist" (if it is in the data folder).
        method: "datadam", "dm", "channel" or "atom".
        steps: how many.
        folder: where recordings go; a temporary folder if left out.
        **options: other options of the method, on top of the preset "lesson".

    Raises:
        DataMissing: the data set is not in the data folder.
        UnknownName: no such data set or method.
    """
    if method not in METHODS:
        raise UnknownName("method", method, METHODS)
    if data not in available_sets():
        from explore.data import load

        load(data)  # says what is missing, and where to put it
        raise UnknownName("data set of this lab", data, available_sets())
    return LiveDistillation(data, method, steps, folder, options)


class LiveDistillation(Live):
    """A distillation with its recording, and a comparison of accuracies; created by ``live``."""

    def __init__(
        self, data: str, method: str, steps: int, folder: str | Path | None, options: dict[str, Any]
    ) -> None:
        self.steps, self.options, self.seed = steps, options, int(options.get("seed", 0))
        self.protocol: dict[str, Any] = {}
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(
                prefix="explore-", ignore_cleanup_errors=True
            )
            folder = self._temporary.name
        self.folder = Path(folder)
        self.comparison = Job(self._compare, "Compare accuracy", on_done=self._show_comparison)
        self._lock = threading.Lock()  # only one of the two jobs computes at a time
        self.comparison_box = ipywidgets.VBox()
        controls: dict[str, Control] = {
            "data": Choice("data", available_sets(), data),
            "method": Choice("method", METHODS, method, METHOD_LABELS),
            "noise": Button("New noise", self._change_noise, "Start again from other noise"),
        }
        super().__init__(controls, self._distill, self._create_run, self._refresh)
        self.widget.children += (self.comparison.widget, self.comparison_box)
        self._create_run()

    def _change_noise(self, _: Any) -> None:
        self.seed += 1
        self.apply_settings()

    def _create_run(self) -> None:
        """Create a run, record its first frame and show it."""
        from explore.core.record import record
        from explore.core.registry import build

        for job in (self.job, self.comparison):
            job.stop()
            job.wait()
        config = {**self.state, "steps": self.steps, "preset": "lesson", **self.options}
        self.run = build({**config, "seed": self.seed})
        name = f"{self.state['method']}-{self.state['data']}"
        self.path = self.folder / f"{name}-{self.seed}.zarr"
        with spare_core():  # as in the job, because the last bits depend on the number of threads
            self._recording = record(self.run, self.path, stop=lambda: True).load()
        self.show(
            Explorer(
                lambda **state: evolution(self._recording, **state),
                Evolution,
                _step_and_class(self._recording),
                f"live-{name}",
            )
        )
        self.comparison_box.children = []

    def _distill(self, progress: Any, stop: Any) -> Any:
        from explore.core.record import record

        self.comparison.stop()
        with self._lock, spare_core():
            return record(self.run, self.path, progress=progress, stop=stop)

    def _refresh(self) -> None:
        """Show the newest frame, unless the reader has moved away from the last one."""
        recording = open_recording(self.path).load()
        steps, last = recording.step.values.tolist(), int(self._recording.step[-1])
        if steps[-1] == last:
            return
        self._recording = recording
        self.explorer.offer(
            "step", steps, steps[-1] if self.explorer.state["step"] == last else None
        )

    def _compare(self, progress: Any, stop: Any) -> Any:
        from explore.data import DistilledSet, load
        from explore.distill.evaluation.config import EvaluationProtocol
        from explore.distill.evaluation.fair_comparison import compare, starting_points

        train, test = load(self.settings.data), load(self.settings.data, "test")
        rivals = starting_points(train, self.run.options.images_per_class, self.seed)
        self.job.stop()
        with self._lock, spare_core():
            mine = {
                f"{METHOD_LABELS[self.run.name]}, step {self.run.step}": DistilledSet.of(self.run)
            }
            protocol = EvaluationProtocol(**{"seed": self.seed, **self.protocol})
            return compare({**mine, **rivals}, test, protocol, progress, stop)

    def _show_comparison(self, result: Any) -> None:
        self.comparison_box.children = [Explorer(lambda: result, Accuracies, {}, "accuracy").widget]


def available_sets() -> list[str]:
    """Return the data sets of this lab that can be loaded."""
    from explore.data.datasets.folders import data_folder

    return [
        "digits",
        *(["fashion-mnist"] if (data_folder() / "FashionMNIST" / "raw").is_dir() else []),
    ]


def _step_and_class(recording: xarray.Dataset) -> dict[str, Control]:
    steps = recording.step.values.tolist()
    return {
        "step": Slider("step", steps, start=steps[-1]),
        "label": Choice("class", [str(name) for name in recording.label.values]),
    }


def _with_network(survey: xarray.Dataset, number: int) -> xarray.Dataset:
    """The survey with one more untrained network, drawn and looked through now."""
    import xarray

    from explore.core.registry import build

    run: Any = build(survey.attrs["config"])
    run.step = number
    frame = run.snapshot()
    added = frame[list(frame.data_vars)].expand_dims(step=[number])
    joined = xarray.concat(
        [survey[list(frame.data_vars)], added],
        "step",
        join="override",
        coords="minimal",
        compat="override",
    )
    return joined.assign_coords(
        {name: survey[name] for name in survey.coords if name != "step"}
    ).assign_attrs(survey.attrs)
