"""The tasks of a sweep: one name for each configuration, and the outcome of each task."""

from __future__ import annotations

import re
import shutil
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import DATA, DM

from explore import build, record
from explore.core import registry
from explore.core.recording import open_recording, product_path
from explore.data import DistilledSet, load
from explore.data.distilled_set import save_beside
from explore.errors import DataMissing, InvalidInput
from explore.sweep.plan import Task, absolute_target, config_label, outcome, plan, read, read_toml
from explore.sweep.worker import record_task

TINY = {"method": "random", "data": DATA}
SCORE = {"epochs": 1, "networks": 1, "width": 4}


def names(*configs: dict[str, Any], evaluate: dict[str, Any] | None = None) -> list[str]:
    return [task.name for task in plan(configs, evaluate)]


# ---- the plan


def test_equal_configurations_are_run_once_in_their_order() -> None:
    a, b = {"method": "random", "seed": 1}, {"method": "random"}
    tasks = plan([a, b, dict(a), {**b, "seed": 0}])
    assert [task.config["method"] for task in tasks] == ["random", "random"]
    assert [task.config.get("seed", 0) for task in tasks] == [1, 0]


def test_the_order_of_keys_does_not_matter_at_any_depth() -> None:
    data = [
        {"name": "digits", "options": dict(order)}
        for order in permutations([("size", 8), ("margin", 0)])
    ]
    configs = [
        dict(order)
        for d in data
        for order in permutations({"method": "dm", "data": d, "seed": 2}.items())
    ]
    assert len(set(names(*configs))) == 1
    evaluate = [{"epochs": 1, "networks": 2}, {"networks": 2, "epochs": 1}]
    assert len({plan([TINY], e)[0].evaluation_name for e in evaluate}) == 1


def test_an_option_with_its_default_value_does_not_change_the_name() -> None:
    assert (
        len(
            names(
                {"method": "dm", "depth": None},
                {"method": "dm"},
                {"method": "dm", "spatial": None, "mmd": 1.0},
            )
        )
        == 1
    )
    assert len(names({"method": "dm", "device": "cuda"}, {"method": "dm"})) == 1
    study = {"method": "subclass-study", "data": DATA}
    assert len(names({**study, "widths": (2, 4)}, {**study, "widths": [2, 4]})) == 1


def test_the_name_depends_on_every_option_that_changes_the_result() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"seed": 1},
        {"mmd": 0.5},
        {"depth": 2},
        {"zca": True},
        {"preset": "lesson"},
    ]
    changes += [{"data": "scenes"}, {"data": DATA}, {"method": "datadam"}]
    task_names = names(*({"method": "dm", **change} for change in changes))
    assert len(set(task_names)) == len(changes)


@pytest.mark.parametrize("steps", [(5, 9), (9, 5)])
def test_of_equal_runs_the_one_with_the_most_steps_is_planned(steps: tuple[int, int]) -> None:
    (task,) = plan([{"method": "dm", "steps": count} for count in steps])
    assert task.config["steps"] == 9


@pytest.mark.parametrize("steps", [(None, 10), (10, None)])
def test_default_steps_count_as_many_as_they_are(
    steps: tuple[int | None, int | None],
) -> None:
    (task,) = plan(
        [{"method": "dm"} if count is None else {"method": "dm", "steps": count} for count in steps]
    )
    run_for = registry.make_config(registry.method("dm"), task.config).steps
    assert run_for == 8000


def test_names_are_safe_as_file_names() -> None:
    odd = [
        {"name": "folder", "options": {"path": "/a b/ü:*?"}},
        "../../etc/passwd",
        'a "b"\n$HOME;`x`|<>&',
        "数字",
        "x" * 20,
        "",
    ]
    for data in odd:
        (task,) = plan([{"method": "random", "data": data}])
        assert re.fullmatch(r"random-[A-Za-z0-9_.-]+-[0-9a-f]{8}", task.name) or data == ""
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", task.evaluation_name)
        assert Path(task.name).name == task.name
    assert names({"method": "evaluate", "distilled": "runs/a b.safetensors"})[0].startswith(
        "evaluate-"
    )
    very_long = names({"method": "random", "data": "x" * 400})[0]
    assert len(f"{very_long}-evaluated-00000000.zarr.checkpoint.npz.part") < 255


def test_the_evaluation_has_its_own_name_and_the_seed_of_its_run() -> None:
    first, second = plan([{**TINY, "seed": 0}, {**TINY, "seed": 1}], SCORE)
    assert (first.evaluate, second.evaluate) == ({"seed": 0, **SCORE}, {"seed": 1, **SCORE})
    assert plan([{**TINY, "seed": 1}], {**SCORE, "seed": 7})[0].evaluate == {**SCORE, "seed": 7}
    assert (
        len(
            {
                plan([TINY], {**SCORE, **more})[0].evaluation_name
                for more in ({}, {"epochs": 2}, {"split": "val"})
            }
        )
        == 3
    )
    assert first.evaluation_name.startswith(f"{first.name}-evaluated-")
    assert plan([TINY])[0].evaluate is None


def test_runs_that_distil_nothing_are_not_evaluated() -> None:
    other: list[dict[str, Any]] = [
        {"method": "untrained", "steps": 1},
        {"method": "evaluate", "distilled": "a.safetensors"},
    ]
    mixed = plan([TINY, *other], SCORE)
    assert [task.evaluate is not None for task in mixed] == [True, False, False]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "has no 'method', only no options"),
        ({"seed": 1}, "it has no 'method', only seed"),
        ({"method": "datadm"}, "unknown method 'datadm'.*Did you mean 'datadam'"),
        ({"method": "dm", "widht": 3}, "dm has no option 'widht'"),
        ({"method": "dm", "steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"method": "dm", "steps": "ten"}, "steps"),
        ({"method": "random", "seed": "one"}, "seed"),
    ],
)
def test_an_invalid_configuration_is_named_by_its_number(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=f"(?s)configuration 2 of 3 .*{words}"):
        plan([TINY, wrong, TINY])


def test_an_invalid_evaluation_is_refused_before_anything_runs() -> None:
    with pytest.raises(InvalidInput, match="evaluate has no option 'epoch'"):
        plan([TINY], {"epoch": 1})
    with pytest.raises(InvalidInput, match="epochs must be a whole number"):
        plan([TINY], {"epochs": 0})


def test_an_empty_list_of_configurations_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no configuration was given"):
        plan([])


def test_an_image_set_instead_of_its_name_is_refused() -> None:
    with pytest.raises(
        InvalidInput, match=r"configuration 1 of 1 .*: data is ImageSet, .* give a name"
    ):
        plan([{"method": "random", "data": load("digits", size=8, margin=0)}])


def test_the_label_of_a_task_names_method_data_and_options() -> None:
    assert config_label({"method": "dm", "data": DATA, "seed": 3}) == "dm digits seed=3"


# ---- the file


def write_file(folder: Path, text: str) -> Path:
    path = folder / "sweep.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_combination_of_a_grid_is_run_block_by_block(tmp_path: Path) -> None:
    configs, evaluate, to = read(
        write_file(
            tmp_path,
            """
            to = "s3://bucket/a"
            evaluate = {epochs = 3, architectures = ["convnet"]}
            [[sweep]]
            data = {name = "digits", options = {size = 8}}
            grid.method = ["dm", "datadam"]
            grid.images_per_class = [1, 10, 50]
            [[sweep]]
            method = "random"
            [[sweep]]
            method = "herding"
            seed = 3
            grid.seed = [7]
            """,
        )
    )
    data = {"name": "digits", "options": {"size": 8}}
    assert configs == [
        *(
            {"data": data, "method": m, "images_per_class": n}
            for m in ("dm", "datadam")
            for n in (1, 10, 50)
        ),
        {"method": "random"},
        {"method": "herding", "seed": 7},
    ]
    assert (evaluate, to) == ({"epochs": 3, "architectures": ["convnet"]}, "s3://bucket/a")
    assert len(plan(configs)) == 8


def test_keys_that_a_file_leaves_out_are_none(tmp_path: Path) -> None:
    assert read(write_file(tmp_path, '[[sweep]]\nmethod = "dm"')) == (
        [{"method": "dm"}],
        None,
        None,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"has no \[\[sweep\]\]"),
        ("sweep = 3", r"has no \[\[sweep\]\]"),
        ("sweep = []", r"has no \[\[sweep\]\]"),
        ("[sweep]\nmethod = 'dm'", r"has no \[\[sweep\]\]"),
        (
            "method = 'dm'\n[[sweep]]\nseed = 1",
            "has the unknown key 'method'; a sweep's file may have evaluate, sweep, to",
        ),
        ("[[sweep]]\ngrid.seed = 3", "grid.seed must be a list of one or more values, got 3"),
        ("[[sweep]]\ngrid.seed = []", "grid.seed must be a list"),
        ("[[sweep]]\ngrid = [1, 2]", "grid must be a table"),
        ("[[sweep]]\ngrid = 'seed'", "grid must be a table"),
        ("evaluate = 3\n[[sweep]]\nmethod = 'dm'", "evaluate must be a table"),
        ("to = 3\n[[sweep]]\nmethod = 'dm'", "to must be a folder or a URL"),
        ("[[sweep]\n", "is not a TOML file"),
        ("a = 1\na = 2", "is not a TOML file"),
    ],
)
def test_an_invalid_file_is_refused_with_a_reason(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=words):
        read(write_file(tmp_path, text))


def test_a_binary_or_missing_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfd\x00")
    with pytest.raises(InvalidInput, match=r"binary.toml is not saved as UTF-8"):
        read_toml(tmp_path / "binary.toml")
    with pytest.raises(DataMissing, match=r"none.toml does not exist"):
        read_toml(tmp_path / "none.toml")


# ---- what is there


def record_one(task: Task, folder: Path, stop: int | None = None) -> Any:
    run: Any = build(task.config)
    record(
        run, folder / f"{task.name}.zarr", stop=None if stop is None else lambda: run.step >= stop
    )
    return run


def test_a_task_has_no_outcome_before_it_runs(tmp_path: Path) -> None:
    assert outcome(plan([TINY])[0], absolute_target(tmp_path)) is None
    assert outcome(plan([TINY])[0], absolute_target(tmp_path / "none")) is None


@pytest.mark.slow
def test_a_task_has_an_outcome_when_all_its_files_exist(tmp_path: Path) -> None:
    (task,), (scored,) = plan([TINY]), plan([TINY], SCORE)
    record_one(task, tmp_path, stop=4)
    assert outcome(task, str(tmp_path)) is None
    record_one(task, tmp_path)
    product = product_path(tmp_path / f"{task.name}.zarr", ".safetensors")
    assert product.is_file(), "record() writes what the run was for"
    result = outcome(task, str(tmp_path))
    assert result == {"seconds": open_recording(tmp_path / f"{task.name}.zarr").attrs["seconds"]}
    assert outcome(scored, str(tmp_path)) is None
    run = build({"method": "evaluate", "distilled": str(product), **(scored.evaluate or {})})
    recording = record(run, tmp_path / f"{scored.evaluation_name}.zarr")
    result = outcome(scored, str(tmp_path))
    assert result is not None
    assert result["accuracy"] == pytest.approx(float(recording["accuracy"][-1].mean()))
    assert outcome(plan([TINY], {**SCORE, "epochs": 2})[0], str(tmp_path)) is None
    assert outcome(task, str(tmp_path)) is not None
    product.unlink()
    assert outcome(scored, str(tmp_path)) is None


def test_a_damaged_recording_has_no_outcome(tmp_path: Path) -> None:
    (task,) = plan([TINY])
    save_beside(record_one(task, tmp_path), tmp_path / f"{task.name}.zarr")
    metadata = (tmp_path / f"{task.name}.zarr" / "zarr.json").read_bytes()
    for damage in (metadata[:100], b"", metadata.replace(b"random", b"rendom")):
        (tmp_path / f"{task.name}.zarr" / "zarr.json").write_bytes(damage)
        assert outcome(task, str(tmp_path)) is None
    shutil.rmtree(tmp_path / f"{task.name}.zarr")
    assert outcome(task, str(tmp_path)) is None


def test_a_recording_with_too_few_steps_has_no_outcome(tmp_path: Path) -> None:
    survey = {"method": "untrained", "data": DATA, "width": 4, "images": 100}
    (short_one,), (usual,), (longer,) = (
        plan([{**survey, **more}]) for more in ({"steps": 2}, {}, {"steps": 3})
    )
    assert short_one.name == usual.name == longer.name
    record_one(short_one, tmp_path)
    assert outcome(short_one, str(tmp_path)) is not None
    assert outcome(longer, str(tmp_path)) is None
    assert outcome(usual, str(tmp_path)) is None
    record_one(longer, tmp_path)
    assert outcome(short_one, str(tmp_path)) is not None


@pytest.mark.usefixtures("_one_thread")
def test_a_run_with_more_steps_is_evaluated_again(tmp_path: Path) -> None:
    (first,), (second,) = (plan([{**DM, "steps": steps}], SCORE) for steps in (1, 3))
    assert first.name == second.name
    results = [record_task(task, str(tmp_path)) for task in (first, second)]
    assert [result["state"] for result in results] == ["done", "done"], results
    set_path = tmp_path / f"{second.name}.safetensors"
    by_hand: Any = build(
        {"method": "evaluate", "distilled": str(set_path), **(second.evaluate or {})}
    )
    by_hand.advance()
    assert DistilledSet.load(set_path).provenance["step"] == 3
    assert np.float32(results[1]["accuracy"]) == by_hand.result()["accuracy"].values[0, 0]
    assert outcome(second, str(tmp_path)) == {k: results[1][k] for k in ("seconds", "accuracy")}


def test_a_destination_is_an_absolute_path_or_a_url(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_target("runs") == str(tmp_path / "runs")
    assert absolute_target("s3://bucket/runs/") == "s3://bucket/runs"


def test_the_word_none_in_a_file_is_read_as_none(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        '[[sweep]]\nmethod = "datadam"\nspatial = "none"\nnorm = "none"\n'
    )
    (task,) = plan(read(tmp_path / "a.toml")[0])
    (same,) = plan([{"method": "datadam", "spatial": None, "norm": "none"}])
    assert task.name == same.name
