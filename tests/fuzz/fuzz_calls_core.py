"""Valid calls of recordings, tables, sweeps, pictures and widgets."""

from __future__ import annotations

from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import xarray
from bar_data import BarPicture, bar_source, picture_data, work
from fuzz_judge import Call
from fuzz_values import CONSTANTS

from explore import build, record
from explore.core.resources import shipped
from explore.distill import lab
from explore.plotting import PrintLayout
from explore.plotting.file_metadata import FileMetadata
from explore.widgets import Choice, Explorer, Job, MultiChoice, Prediction, Slider

DIGITS = {"name": "digits", "options": {"size": 8, "margin": 0}}
RANDOM: dict[str, Any] = {"method": "random", "data": DIGITS}
COUNTER = count()
COMPLEXITY = str(shipped("data/complexity-imagenette.zarr.zip"))
SHIPPED = str(shipped("data/standard-1d-runnalls.zarr.zip"))


def recorded(name: str = "a.zarr") -> str:
    """Return the path of a small recording in the working folder."""
    if not Path(name).exists():
        record(build(RANDOM), name)
    return name


def fresh() -> str:
    """Return the path of a recording that does not exist yet."""
    return f"new-{next(COUNTER)}.zarr"


@cache
def recording() -> xarray.Dataset:
    return lab.recording_of("digits", "dm")


def explorer(**more: Any) -> Explorer:
    return Explorer(bar_source, BarPicture, {"step": Slider("step", [0, 1, 2])}, "bars", **more)


def sweep_file() -> str:
    Path("sweep.toml").write_text('[[sweep]]\nmethod = "random"\nseed = 1\n')
    return "sweep.toml"


NAMED = {"name": "name|method|figure|topic|module"}
FILE = {"path": "recording|file", "recording": "recording|folder"}
PAIR = {"a": "values|number", "b": "values|number"}
RECORDINGS = {"recordings": "recording", "names": "name"}
ANY_TEXT = "any text"
ITEMS = {
    f"{name}: {kind}": "a list"
    for name in ("values", "value")
    for kind in ("generator", "text array", "seven dimensions")
}

CALLS = {
    "explore.build": Call(
        lambda: {"config": {"method": "random", "data": "digits"}, "data": None},
        after=str,
        names={"config": "config|method", "data": "images"},
    ),
    "explore.open_recording": Call(
        lambda: {"path": SHIPPED}, names={"path": "recording|does not exist"}
    ),
    "explore.pack": Call(
        lambda: {"recording": recorded(), "to": "b.zarr.zip"},
        after=str,
        names=FILE,
        accepts={"to": "the name of a file"},
    ),
    "explore.record": Call(
        lambda: {
            "run": build(RANDOM),
            "to": fresh(),
            "every": 1,
            "progress": None,
            "stop": None,
        },
        names={"to": "path|recording|folder"},
        accepts={"to": "the name of a folder"},
    ),
    "explore.core.compare.differences": Call(
        lambda: {"recordings": [recording(), recording()], "names": ["a", "b"], "step": 1},
        names=RECORDINGS,
    ),
    "explore.core.compare.frame_at": Call(lambda: {"recording": recording(), "step": 1}),
    "explore.core.compare.open_with_names": Call(
        lambda: {"paths": [SHIPPED]}, names={"paths": "path|recording"}
    ),
    "explore.core.compare.shared_figure": Call(
        lambda: {"recordings": [recording()]}, after=str, names=RECORDINGS
    ),
    "explore.core.recording.check_frame": Call(
        lambda: {"frame": xarray.Dataset({"value": ((), 1.0)})}, names={"frame": "snapshot"}
    ),
    "explore.core.recording.describe_difference": Call(
        lambda: {"recorded": {"a": 1}, "present": {"a": 2}},
        accepts={"recorded: dict": "a configuration", "present: dict": "a configuration"},
        names={"recorded": "config", "present": "config"},
    ),
    "explore.core.recording.frame_index": Call(lambda: {"recording": recording(), "step": 1}),
    "explore.core.recording.has_ended": Call(lambda: {"recording": recording()}),
    "explore.core.recording.product_path": Call(
        lambda: {"recording": "runs/a.zarr", "suffix": ".safetensors"},
        after=str,
        accepts={"recording": "the name of a folder", "suffix": ANY_TEXT},
    ),
    "explore.core.recording.require_variable": Call(
        lambda: {"recordings": [recording()], "name": "image", "kind": "a distillation"},
        names={**RECORDINGS, "name": "holds no"},
        accepts={"kind": ANY_TEXT},
    ),
    "explore.core.reproduce.compare_frames": Call(
        lambda: {"first": recording(), "second": recording()},
        names={"first": "recording", "second": "recording"},
        accepts={"first": "NaN where shapes differ", "second": "NaN where shapes differ"},
    ),
    "explore.core.reproduce.rerun": Call(
        lambda: {"recording": recorded(), "to": fresh(), "changes": {}, "progress": None},
        after=lambda pair: pair[0],
        names={**FILE, "to": "path|recording|folder", "changes": "option"},
        accepts={"to": "the name of a folder"},
    ),
    "explore.core.runs.stream_seed": Call(
        lambda: {"seed": 1, "name": "batches", "*index": 3}, accepts={"name": ANY_TEXT}
    ),
    "explore.core.runs.torch_threads": Call(
        lambda: {"count": 1}, after=lambda context: context.__enter__(), names={"count": "threads"}
    ),
    "explore.core.statistics.mean_and_std": Call(
        lambda: {"values": [1.0, 2.0]}, accepts={"values": "one value has no spread: NaN"}
    ),
    "explore.core.statistics.mean_ranks": Call(
        lambda: {"values": [1.0, 2.0]},
        accepts={f"values: empty {kind}": "no ranks" for kind in ("list", "array", "tensor")},
    ),
    "explore.core.statistics.paired_difference": Call(
        lambda: {"a": [1.0, 2.0], "b": [1.0, 3.0]}, names=PAIR
    ),
    "explore.core.statistics.rank_correlation": Call(
        lambda: {"a": [1.0, 2.0, 3.0], "b": [1.0, 3.0, 2.0]}, names=PAIR
    ),
    "explore.core.tables.build_table": Call(
        lambda: {"paths": [COMPLEXITY], "against": "", "unlike": False},
        names={"paths": "path|recording"},
        skip={"against": "needs evaluations of two methods"},
    ),
    "explore.core.tables.format_table": Call(
        lambda: {"table": pandas.DataFrame({"method": ["a"], "accuracy": [0.5]}), "form": "md"},
    ),
    "explore.core.tables.write_text": Call(
        lambda: {"text": "a", "out": "a.md"},
        after=str,
        accepts={"text": ANY_TEXT, "out": "the name of a file"},
        names={"out": "could not be written"},
    ),
    **{
        f"explore.core.registry.{name}": Call(
            lambda source=source: {"source": source},
            after=str,
            names={"source": "module|there|must define TOPIC"},
        )
        for name, source in (("add_topic", "bar_topic"), ("load_topic", "bar_topic"))
    },
    "explore.core.registry.datasets": Call(
        lambda: {"content": "images"}, after=sorted, accepts={"content": "a kind without sets"}
    ),
    "explore.core.registry.figure": Call(lambda: {"name": "evolution"}, after=str, names=NAMED),
    "explore.core.registry.method": Call(lambda: {"name": "dm"}, after=str, names=NAMED),
    "explore.core.registry.label_of": Call(
        lambda: {"name": "dm"}, after=str, accepts={"name": "unknown names are their own labels"}
    ),
    "explore.plotting.mosaic": Call(
        lambda: {"tiles": np.ones((3, 4, 4)), "columns": 2, "gap": 1, "fill": 0.0},
        accepts={"fill: None": "NaN in the gaps"},
    ),
    "explore.plotting.where": Call(
        lambda: {"weights": np.ones((4, 4))},
        accepts={
            "weights: bool tensor": "a mask",
            "weights: one NaN": "NaN has no weight",
            "weights: one Inf": "Inf counts as the largest number",
        },
    ),
    "explore.plotting.save": Call(
        lambda: {
            "picture": BarPicture(picture_data()),
            "data": picture_data(),
            "out": "a.svg",
            "metadata": FileMetadata("bars", "Three bars."),
        },
        after=str,
        names={"out": "file format"},
        accepts={"metadata: None": "those of the picture"},
        skip={"data": "see Picture.update"},
    ),
    "explore.plotting.save_figure": Call(
        lambda: {
            "name": "evolution",
            "recordings": [recording()],
            "state": {"step": 1},
            "out": "a.svg",
            "layout": PrintLayout(3.3),
            "command": "explore figure evolution",
        },
        after=str,
        names={**NAMED, **RECORDINGS, "out": "file format"},
        accepts={
            "recordings: None": "what ships",
            "layout: None": "as on the screen",
            "command": ANY_TEXT,
        },
    ),
    "explore.plotting.PrintLayout": Call(
        lambda: {"width": 3.3, "font_size": 8.0, "plain": True, "panel": "curve"},
        accepts={"panel": ANY_TEXT},
    ),
    "explore.plotting.parse_width": Call(lambda: {"text": "84mm"}, names={"text": "width"}),
    "explore.plotting.write_html": Call(
        lambda: {
            "out": "a.html",
            "picture": BarPicture(picture_data()),
            "label": "step",
            "values": [0, 1],
            "data": picture_data,
            "start": 1,
        },
        after=str,
        names={"out": "file format", "values": "position|height|start"},
        accepts={
            "label": ANY_TEXT,
            "start": "the closest position",
            **{f"values: {value.name}": "the function of the caller" for value in CONSTANTS},
        },
    ),
    "explore.sweep.plan": Call(
        lambda: {"configs": [{"method": "random", "seed": 1}], "evaluate": None},
        after=len,
        names={"configs": "configuration|config|method"},
    ),
    "explore.sweep.read": Call(
        lambda: {"path": sweep_file()}, after=lambda read: len(read[0]), names={"path": "file"}
    ),
    "explore.widgets.Slider": Call(
        lambda: {"label": "step", "values": [0, 1, 2], "start": 1},
        after=lambda control: control.start,
        names={"values": "must be one of", "start": "must be one of"},
        accepts={
            "label": ANY_TEXT,
            "names: dict": "texts",
            "start: empty list": "nothing is selected",
            "start: seven dimensions": "a tensor of one number equals it",
            **ITEMS,
        },
    ),
    "explore.widgets.Choice": Call(
        lambda: {"label": "kind", "values": ["a", "b"], "start": "a", "names": {"a": "A"}},
        after=lambda control: control.start,
        names={"values": "must be one of", "start": "must be one of"},
        accepts={
            "label": ANY_TEXT,
            "names: dict": "texts",
            "start: empty list": "nothing is selected",
            "start: seven dimensions": "a tensor of one number equals it",
            **ITEMS,
        },
    ),
    "explore.widgets.MultiChoice": Call(
        lambda: {"label": "kinds", "values": ["a", "b"], "start": ("a",), "names": {"a": "A"}},
        after=lambda control: control.start,
        names={"values": "must be one of", "start": "must be one of"},
        accepts={
            "label": ANY_TEXT,
            "names: dict": "texts",
            "start: empty list": "nothing is selected",
            "start: seven dimensions": "a tensor of one number equals it",
            **ITEMS,
        },
    ),
    "explore.widgets.Button": Call(
        lambda: {"label": "go", "action": print, "tooltip": ""},
        after=lambda button: None,
        accepts={"label": ANY_TEXT, "tooltip": ANY_TEXT, "action": "a function"},
    ),
    "explore.widgets.Explorer": Call(
        lambda: {
            "source": bar_source,
            "picture": BarPicture,
            "controls": {"step": Slider("step", [0, 1, 2])},
            "name": "bars",
        },
        after=str,
        accepts={"name": ANY_TEXT},
    ),
    "explore.widgets.Explorer.save": Call(
        lambda: {"self": explorer(), "path": "a.svg"}, after=str, names={"path": "suffix|file"}
    ),
    "explore.widgets.Explorer.show_numbers": Call(lambda: {"self": explorer(), "show": True}),
    "explore.widgets.Explorer.say": Call(
        lambda: {"self": explorer(), "text": "hello"}, accepts={"text": ANY_TEXT}
    ),
    "explore.widgets.Explorer.offer": Call(
        lambda: {"self": explorer(), "name": "step", "values": [0, 1], "value": 1},
        names={"name": "control", "value": "step", "values": "step"},
        accepts=ITEMS,
    ),
    **{
        f"explore.widgets.{kind.__name__}.nearest": Call(
            lambda kind=kind, values=values: {"self": kind("a", values), "value": values[1]},
            accepts={"value": "any value has a nearest one"},
        )
        for kind, values in ((Slider, [0, 1, 2]), (Choice, ["a", "b"]), (MultiChoice, ["a", "b"]))
    },
    "explore.widgets.Prediction": Call(
        lambda: {"question": "Which?", "answers": ["a", "b"], "answer": "a"},
        after=lambda prediction: prediction.values,
        accepts={"question": ANY_TEXT, "answer": ANY_TEXT, "answers": "a list of names"},
    ),
    "explore.widgets.Prediction.nearest": Call(
        lambda: {"self": Prediction("Which?", ["a", "b"], "a"), "value": "a"},
        accepts={"value": "any value has a nearest one"},
    ),
    "explore.widgets.Job": Call(
        lambda: {"work": work, "label": "work", "on_progress": None, "on_done": None},
        after=lambda job: None,
        accepts={
            "label": ANY_TEXT,
            "unit": ANY_TEXT,
            **{f"work: {kind}": "a function" for kind in ("function", "class", "network")},
        },
    ),
    "explore.widgets.Job.join": Call(lambda: {"self": Job(work), "timeout": 1.0}),
    "explore.widgets.Job.start": Call(lambda: {"self": Job(work), "inline": True}),
    "explore.widgets.Job.wait": Call(lambda: {"self": Job(work), "timeout": 1.0}),
}
