"""The attention lab: one function for each cell of its notebook."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.core.runs import spare_core
from explore.core.validation import (
    check_choice,
    check_path,
    check_seed,
    check_text,
    check_whole_number,
    describe,
)
from explore.distill.catalog import ATTENTION_METHODS, METHOD_LABELS, RECORDED_SETS
from explore.distill.figures.accuracies import Accuracies
from explore.distill.figures.evolution import Evolution, evolution
from explore.distill.figures.untrained import Untrained, untrained
from explore.distill.recordings import ATTENTION_MATCHING, UNTRAINED
from explore.errors import InvalidInput, UnknownName
from explore.plotting.selection import single_recording
from explore.widgets.cells import disown_cell
from explore.widgets.controls import Button, Choice, Control, Slider
from explore.widgets.explorer import Explorer
from explore.widgets.job import Job
from explore.widgets.live import Live

if TYPE_CHECKING:
    import xarray

METHODS = ("datadam", "dm", "channel", "atom")
"""The methods with shipped recordings, by the name that notebooks use."""

FIRST_STEP = 15
"""The step at which a recorded run opens, or the nearest one."""

BY_LABELS = {"step": "equal steps", "distance": "equal attention distance"}


def recording_of(data: str, method: str) -> xarray.Dataset:
    """Return the shipped recording of a method on a data set, loaded into memory.

    Raises:
        InvalidInput: there is no shipped recording of this data set.
        UnknownName: there is none of this method.
    """
    if not isinstance(data, str) or data not in RECORDED_SETS:
        raise InvalidInput(
            f"there are shipped recordings of {', '.join(RECORDED_SETS)}, but not of "
            f"{describe(data)}; "
            "record a run and use explorer_of(recording)"
        )
    check_choice("method", method, METHODS)
    return open_recording(shipped(f"data/{RECORDED_SETS[data]}-{method}.zarr.zip")).load()


def untrained_networks(recording: xarray.Dataset | None = None) -> Explorer:
    """Explore the attention of untrained networks, and how well the nearest map classifies.

    A button adds another network.

    Args:
        recording: of the method "untrained"; the shipped one (on digits) by default.
    """
    if recording is None:
        recording = open_recording(shipped("data/digits-untrained.zarr.zip"))
    survey = single_recording(UNTRAINED, recording).load()

    def select(**state: Any) -> xarray.Dataset:
        return untrained(survey, **state)

    def add_network(explorer: Explorer) -> None:
        nonlocal survey
        number = int(survey.step.values[-1]) + 1
        button = explorer.controls["draw"].widget
        explorer.say(f"Drawing the weights of network {number} and computing its maps …")
        button.disabled = True  # A second click would wait for the end of the first one.
        try:
            survey = _with_network(survey, number)
        finally:
            button.disabled = False
            explorer.say("")
        explorer.offer("network", survey.step.values.tolist(), number)

    labels = [str(name) for name in survey.label.values]
    controls: dict[str, Control] = {
        "power": Slider("power p", survey.power.values.tolist()),
        "network": Slider("network", survey.step.values.tolist()),
        "label": Choice("image of class", labels, start=labels[min(3, len(labels) - 1)]),
        "draw": Button("Draw new weights", add_network),
    }
    return Explorer(select, Untrained, controls, "untrained")


def side_by_side(data: str = "fashion-mnist", left: str = "datadam", right: str = "dm") -> Explorer:
    """Explore two methods side by side, in their shipped recordings. No torch is imported."""
    for name, method in (("left", left), ("right", right)):
        check_choice(name, method, ATTENTION_METHODS)
    read = cache(partial(recording_of, data))  # A recording is read when it is first shown.

    def select(left: str, right: str, **state: Any) -> xarray.Dataset:
        return evolution([read(left), read(right)], **state)

    controls: dict[str, Control] = {
        **_step_and_class(read(left)),
        "left": Choice("left", ATTENTION_METHODS, left, METHOD_LABELS),
        "right": Choice("right", ATTENTION_METHODS, right, METHOD_LABELS),
        "by": Choice("compare at", list(BY_LABELS), names=BY_LABELS),
    }
    return Explorer(select, Evolution, controls, f"attention-{data}")


def one_run(data: str = "fashion-mnist", method: str = "datadam") -> Explorer:
    """Explore one run in its shipped recording. No torch is imported."""
    return explorer_of(recording_of(data, method))


def explorer_of(recording: xarray.Dataset) -> Explorer:
    """Explore your own recording of an attention-matching run."""
    recording = single_recording(ATTENTION_MATCHING, recording)
    controls = _step_and_class(recording)
    return Explorer(partial(evolution, recording), Evolution, controls, "attention")


def live(
    data: str = "digits",
    method: str = "datadam",
    steps: int = 200,
    folder: str | Path | None = None,
    **options: Any,
) -> LiveDistillation:
    """Distil a data set now, watch it, and compare the accuracy with that of baselines.

    Args:
        data: "digits" or "fashion-mnist" (if it is in the data folder).
        method: "dm", "datadam", "channel" or "atom".
        steps: number of steps.
        folder: where recordings are written; a temporary folder by default.
        **options: other options of the method, in addition to the preset "lesson".

    Raises:
        DataMissing: the data set is not in the data folder.
        UnknownName: an unknown data set or method.
    """
    check_choice("method", method, ATTENTION_METHODS)
    steps = check_whole_number("steps", steps, at_least=1)
    folder = None if folder is None else check_path("folder", folder)
    check_text("data", data)
    if data not in available_sets():
        from explore.data import load

        load(data)  # This error says which file is missing, and where it belongs.
        raise UnknownName("data set of this lab", data, available_sets())
    return LiveDistillation(data, method, steps, folder, options)


class LiveDistillation(Live):
    """A distillation with its recording, and a comparison of accuracies; see ``live``."""

    def __init__(
        self, data: str, method: str, steps: int, folder: str | Path | None, options: dict[str, Any]
    ) -> None:
        self.steps, self.options, self.seed = steps, options, check_seed(options.get("seed", 0))
        self.protocol: dict[str, Any] = {}
        if folder is None:
            folder = tempfile.mkdtemp(prefix="explore-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.folder = Path(folder)
        self.comparison = Job(
            self._compare,
            "Compare accuracy",
            on_done=self._show_comparison,
            can_start=lambda: self.run is not None and self.run.step > 0,
        )
        self._lock = threading.Lock()  # Only one of the two jobs computes at a time.
        self.comparison_box = ipywidgets.VBox()
        self._compared: Explorer | None = None
        controls: dict[str, Control] = {
            "data": Choice("data", available_sets(), data),
            "method": Choice("method", ATTENTION_METHODS, method, METHOD_LABELS),
            "noise": Button("New noise", self._change_noise, "Start again from other noise"),
        }
        super().__init__(
            controls,
            self._distill,
            self._create_run,
            self._refresh,
            unit="steps",
            can_start=lambda: self.run is not None and self.run.step < self.steps,
        )
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

        def select(**state: Any) -> xarray.Dataset:
            return evolution(self._recording, **state)

        controls = _step_and_class(self._recording)
        self.show(Explorer(select, Evolution, controls, f"live-{name}"))
        self._close_comparison()
        self.comparison.update_start()

    def _distill(self, progress: Any, stop: Any) -> Any:
        from explore.core.record import record

        self.comparison.stop()
        with self._lock, spare_core():
            return record(self.run, self.path, progress=progress, stop=stop)

    def _refresh(self) -> None:
        """Show the newest frame, unless the reader is looking at an earlier one."""
        if self.run is None:  # The cell was closed while the job made its last step.
            return
        recording = open_recording(self.path).load()
        steps, last = recording.step.values.tolist(), int(self._recording.step[-1])
        if steps[-1] == last:
            return
        self._recording = recording
        is_at_end = self.explorer.state["step"] == last
        self.explorer.offer("step", steps, steps[-1] if is_at_end else None)
        self.comparison.update_start()

    def _compare(self, progress: Any, stop: Any) -> Any:
        from explore.data import DistilledSet, load
        from explore.distill.evaluation.config import EvaluationProtocol
        from explore.distill.evaluation.fair_comparison import compare, starting_points

        train, test = load(self.settings.data), load(self.settings.data, "test")
        baselines = starting_points(train, self.run.images_per_class, self.seed)
        self.job.stop()
        with self._lock, spare_core():
            name = f"{METHOD_LABELS.get(self.run.name, self.run.name)}, step {self.run.step}"
            sets = {name: DistilledSet.of(self.run), **baselines}
            protocol = EvaluationProtocol(**{"seed": self.seed, **self.protocol})
            return compare(sets, test, protocol, progress, stop)

    def _show_comparison(self, result: Any) -> None:
        self._close_comparison()
        self._compared = Explorer(lambda: result, Accuracies, {}, "accuracy")
        disown_cell(self._compared)
        self._compared.view.belongs_to(self.widget)
        self.comparison_box.children = [self._compared.widget]

    def _close_comparison(self) -> None:
        self.comparison_box.children = []
        if self._compared is not None:
            self._compared.close()
            self._compared = None

    def close(self) -> None:
        """Stop both jobs, close all widgets, and release the run and what shows it."""
        self.comparison.stop()
        self._close_comparison()
        super().close()


def available_sets() -> list[str]:
    """Return the data sets of this lab that can be loaded."""
    from explore.data.datasets.folders import data_folder

    has_fashion = (data_folder() / "FashionMNIST" / "raw").is_dir()
    return ["digits", *(["fashion-mnist"] if has_fashion else [])]


def _step_and_class(recording: xarray.Dataset) -> dict[str, Control]:
    """Return the controls of a run, which opens while its images still are mostly noise."""
    steps = recording.step.values.tolist()
    start = min(steps, key=lambda step: abs(step - FIRST_STEP))
    return {
        "step": Slider("step", steps, start=start),
        "label": Choice("class", [str(name) for name in recording.label.values]),
    }


def _with_network(survey: xarray.Dataset, number: int) -> xarray.Dataset:
    """Return the survey with a frame of one more untrained network."""
    import xarray

    from explore.core.registry import build

    run = build(survey.attrs["config"])
    run.step = number
    frame = run.snapshot()
    names = list(frame.data_vars)
    constants = survey.coords.to_dataset().drop_vars("step").coords
    frames = [survey[names], frame[names].expand_dims(step=[number])]
    extended = xarray.concat(frames, "step", join="override", coords="minimal", compat="override")
    return extended.assign_coords(constants).assign_attrs(survey.attrs)
