"""The contract of runs: every method of every topic builds, records, resumes and repeats its run, and refuses bad input.

Methods come from the catalogs of the topics. ``tests/TOPIC/cases.py`` says what is special about
some of them; ``EXPLORE_CASES`` names such files of other packages.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from contract_cases import CASES
from toys import bits, digest, record_and_kill, run_python, run_to_end, states_equal

from explore import open_recording, record
from explore.core import registry
from explore.core.checkpoint import load_checkpoint, save_checkpoint
from explore.core.registry import build, make_config, resolve
from explore.core.runs import BaseRun, Run
from explore.errors import ConfigMismatch, InvalidInput, UnknownName

pytestmark = pytest.mark.usefixtures("_one_thread")

METHODS = registry.methods()
KINDS = [*METHODS, *CASES.runs]
"""All methods, and the runs that belong to no method."""


def option_names(method: str) -> set[str]:
    """Return the names of all options of a method."""
    return {field.name for field in fields(resolve(METHODS[method].config))}


def first_of_each_builder() -> set[str]:
    """Return one method of each builder, for a quick run of the tests."""
    first: dict[str, str] = {}
    for name, row in METHODS.items():
        first.setdefault(row.builder, name)
    return {*first.values(), *CASES.runs}


def parametrize(argument: str, names: list[str]) -> pytest.MarkDecorator:
    """Parametrize over methods; those with the builder of another one are marked slow."""
    quick = first_of_each_builder()
    marked = [pytest.param(n, marks=[] if n in quick else [pytest.mark.slow]) for n in names]
    return pytest.mark.parametrize(argument, marked)


every_kind = parametrize("kind", KINDS)
every_method = parametrize("name", [*METHODS])


def make(kind: str, **options: Any) -> Any:
    """Return a tiny run of this kind at step 0."""
    if kind in CASES.runs:
        return CASES.runs[kind](**options)
    return build({**METHODS[kind].tiny, "method": kind, **options})


def length_option(kind: str) -> str:
    """Return the option that says how long a run is."""
    return METHODS[kind].length if kind in METHODS else "epochs"


@dataclass(frozen=True)
class Recorded:
    """A run recorded at every step, with its path and its frames."""

    run: Any
    path: Path
    recording: xarray.Dataset


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Recorded]:
    recordings: dict[str, Recorded] = {}
    folder = tmp_path_factory.mktemp("recorded")

    def record_once(kind: str) -> Recorded:
        if kind not in recordings:
            run, path = make(kind), folder / f"{kind}.zarr"
            recordings[kind] = Recorded(run, path, record(run, path, every=1).load())
        return recordings[kind]

    return record_once


# ---- runs of every kind


@every_kind
def test_a_tiny_run_is_a_run_at_step_0(kind: str) -> None:
    run = make(kind)
    assert isinstance(run, Run)
    assert isinstance(run, BaseRun)
    assert (run.step, run.name) == (0, kind)
    assert run.steps >= 2
    assert isinstance(run.message, str)
    assert 0 < len(run.message) < 60


@every_kind
def test_every_step_is_recorded_with_names_and_units(
    kind: str, recorded: Callable[[str], Recorded]
) -> None:
    recording = recorded(kind).recording
    assert recording.step.values.tolist() == list(range(recorded(kind).run.steps + 1))
    lacking = [
        str(name)
        for name, v in recording.data_vars.items()
        if not {"long_name", "units"} <= set(v.attrs)
    ]
    assert lacking == []
    for name, variable in recording.data_vars.items():
        values = variable.values.astype(float)
        if np.isfinite(values).any():
            finite = values[np.isfinite(values)]
            assert variable.attrs["actual_range"] == [finite.min(), finite.max()], name


@every_kind
def test_snapshots_do_not_change_the_run_and_equal_seeds_give_equal_bits(
    kind: str, recorded: Callable[[str], Recorded]
) -> None:
    never_looked_at = run_to_end(make(kind))
    assert bits(never_looked_at.result()) == bits(recorded(kind).run.result())
    assert states_equal(never_looked_at.state(), recorded(kind).run.state())


@every_kind
def test_two_snapshots_of_a_step_are_equal(kind: str) -> None:
    run = run_to_end(make(kind), 1)
    before = run.state()
    first, second = run.snapshot(), run.snapshot()
    assert bits(first) == bits(second)
    assert states_equal(run.state(), before)
    assert run.step == 1


@every_kind
def test_a_snapshot_does_not_change_when_the_run_advances(kind: str) -> None:
    run = make(kind)
    frame, state, result = run.snapshot(), run.state(), run.result()
    before = bits(frame), {name: np.array(value) for name, value in state.items()}, bits(result)
    run.advance()
    assert bits(frame) == before[0]
    assert states_equal({name: np.array(value) for name, value in state.items()}, before[1])
    assert bits(result) == before[2]


@every_kind
def test_another_seed_gives_another_result(kind: str, recorded: Callable[[str], Recorded]) -> None:
    other, first = (
        run_to_end(make(kind, seed=1)),
        recorded(kind).run,
    )  # some methods draw only what they measure with
    if kind in CASES.seedless:
        assert bits(other.result()) == bits(first.result())
        return
    assert (bits(other.result()), bits(other.snapshot())) != (
        bits(first.result()),
        bits(first.snapshot()),
    )


@every_kind
def test_global_random_state_and_defaults_do_not_change(kind: str) -> None:
    def globals_now() -> list[Any]:
        numpy_state = np.random.get_state()  # noqa: NPY002
        settings = (
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
        )
        return [
            torch.get_num_threads(),
            torch.get_rng_state().tolist(),
            str(numpy_state),
            random.getstate(),
            settings,
        ]

    before = globals_now()
    run = make(kind)
    run.snapshot()
    run.advance()
    run.result()
    assert globals_now() == before


THREADS = """
import torch
from test_contract import KINDS, make
torch.set_num_threads(1)
for kind in KINDS:
    run = make(kind)
    run.snapshot()
    run.advance()
    print(kind, torch.get_num_threads())
"""


@pytest.mark.slow
def test_the_number_of_threads_does_not_change() -> None:
    assert run_python(THREADS).split() == [word for kind in KINDS for word in (kind, "1")]


@every_kind
def test_a_resumed_run_ends_in_the_same_bits(
    kind: str, recorded: Callable[[str], Recorded], tmp_path: Path
) -> None:
    path = tmp_path / "run.zarr"
    first = make(kind)
    record(first, path, every=1, stop=lambda: first.step >= first.steps // 2)
    resumed = make(kind)
    recording = record(resumed, path, every=1)
    assert 0 < first.step < resumed.step == resumed.steps
    assert bits(resumed.result()) == bits(recorded(kind).run.result())
    assert bits(recording) == bits(recorded(kind).recording)


@every_kind
def test_the_state_is_saved_in_a_checkpoint_in_the_same_bits(kind: str, tmp_path: Path) -> None:
    run, other = run_to_end(make(kind), 1), make(kind)
    save_checkpoint(run, tmp_path / "a.npz")
    state = load_checkpoint(tmp_path / "a.npz")
    assert state["step"] == 1
    assert states_equal(state, run.state())
    other.restore(state)
    assert other.step == 1
    assert states_equal(other.state(), run.state())
    for each in (run, other):
        each.advance()
    assert states_equal(other.state(), run.state())
    assert bits(other.snapshot()) == bits(run.snapshot())


@every_kind
def test_the_config_is_json_with_method_seed_and_data_but_no_device(kind: str) -> None:
    config = make(kind).config
    assert json.loads(json.dumps(config)) == {
        **config,
        "data": json.loads(json.dumps(config["data"])),
    }
    assert (config["method"], config["seed"]) == (kind, 0)
    assert {"name", "shape"} <= set(config["data"])
    assert not {"device", "steps"} & set(config)


@every_kind
def test_a_recording_of_another_seed_is_refused(
    kind: str, recorded: Callable[[str], Recorded]
) -> None:
    with pytest.raises(ConfigMismatch, match="\n  seed: recorded 0, now 1\n"):
        record(make(kind, seed=1), recorded(kind).path)


@every_kind
def test_zero_steps_are_refused(kind: str) -> None:
    name = length_option(kind)
    for steps in (0, -1):
        with pytest.raises(InvalidInput, match=name):
            make(kind, **{name: steps})


@parametrize("kind", [k for k in METHODS if "device" in option_names(k)])
def test_a_device_that_does_not_exist_is_named(kind: str) -> None:
    with pytest.raises(InvalidInput, match="device 'gpu' cannot be used"):
        make(kind, device="gpu")


REPLAY = """
import json, sys
sys.modules["torch"] = sys.modules["numba"] = None
import explore
from toys import digest
print(json.dumps([digest(explore.open_recording(path)) for path in sys.argv[1:]]))
"""


@pytest.mark.slow
def test_figures_are_drawn_without_torch(recorded: Callable[[str], Recorded]) -> None:
    lines = run_python(REPLAY, *(recorded(kind).path for kind in KINDS))
    assert json.loads(lines) == [digest(recorded(kind).recording) for kind in KINDS]


KILLED = """
import os
os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1")
import torch
import explore.distill.attention_matching, explore.data.datasets.digits, sklearn.datasets
from explore import build
torch.set_num_threads(1)
def make():
    return build(OPTIONS)
"""


KILLED_RUNS: dict[str, dict[str, Any]] = {
    "datadam": {"steps": 6, "probes": 1, "probe_images": 4},
    "experts": {},
    "mtt": {"steps": 6},
    "edf": {"steps": 6},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KILLED_RUNS)
def test_a_killed_distillation_resumes_to_the_same_bits(name: str, tmp_path: Path) -> None:
    options = {**METHODS[name].tiny, "method": name, **KILLED_RUNS[name]}
    paths = {step: tmp_path / f"{step}.zarr" for step in ("0", "2", "4")}
    run = build(options)
    expected = record(run, every=1)
    record_and_kill(
        KILLED.replace("OPTIONS", repr(options)),
        *((path, step, 0.01) for step, path in paths.items()),
    )
    for path in paths.values():
        recording = open_recording(path)
        assert bits(recording) == bits(expected.isel(step=slice(recording.sizes["step"])))
        resumed = build(options)
        assert bits(record(resumed, path, every=1)) == bits(expected)
        assert bits(resumed.result()) == bits(run.result())


# ---- what only methods of the registry must do


@every_method
def test_the_config_of_a_recording_repeats_the_run(
    name: str, recorded: Callable[[str], Recorded]
) -> None:
    run = build(open_recording(recorded(name).path).attrs["config"])
    assert run.step == 0
    run_to_end(run, recorded(name).run.steps)
    assert bits(run.result()) == bits(recorded(name).run.result())
    assert run.config == recorded(name).run.config


@every_method
def test_data_may_be_an_image_set_instead_of_a_name(
    name: str, recorded: Callable[[str], Recorded]
) -> None:
    options = {key: value for key, value in METHODS[name].tiny.items() if key != "data"}
    data = CASES.load_data(name, METHODS[name].tiny["data"])
    run = build({**options, "method": name}, data=data)
    assert bits(run_to_end(run).result()) == bits(recorded(name).run.result())
    assert run.config == recorded(name).run.config


@every_method
def test_an_unknown_option_is_refused_with_a_list_of_the_options(name: str) -> None:
    names = [f.name for f in fields(resolve(METHODS[name].config))]
    with pytest.raises(InvalidInput) as caught:
        build({"method": name, "learning_rat": 1})
    message = str(caught.value)
    assert message.startswith(f"{name} has no option 'learning_rat'; it has ")
    assert set(names) <= set(re.findall(r"\w+", message.partition("it has ")[2]))


@every_method
def test_the_error_for_an_invalid_value_names_the_option(name: str) -> None:
    usual = make_config(METHODS[name], {"method": name})
    counts = [f.name for f in fields(usual) if type(getattr(usual, f.name)) is int]
    assert "seed" in counts
    for option, value in [*((count, -1) for count in counts), ("data", 7)]:
        with pytest.raises(InvalidInput, match=option):
            build({**METHODS[name].tiny, "method": name, option: value})
    with pytest.raises(UnknownName, match="'no such set'; known: "):
        build({**METHODS[name].tiny, "method": name, "data": "no such set"})


@every_method
def test_the_functions_that_a_row_names_exist(name: str) -> None:
    row = METHODS[name]
    assert row.name == name
    assert row.summary
    assert row.summary == row.summary.strip(" .")
    assert callable(resolve(row.builder))
    assert callable(resolve(row.config))
    assert set(row.figures) <= set(registry.figures())
    if row.bench:
        assert callable(resolve(row.bench))
    options = {"method": name, **row.tiny}
    assert make_config(row, options).method == name


@every_method
def test_a_tiny_run_is_short(name: str) -> None:
    assert make(name).steps <= 60
