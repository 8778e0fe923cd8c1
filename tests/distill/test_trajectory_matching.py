"""Experts and the runs of MTT, DATM and EDF: files, starts, windows, updates, maps, bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import bits

from explore import build, record
from explore.core.recording import open_recording
from explore.data import load
from explore.data.distilled_set import DistilledSet
from explore.data.training_data import TrainingData
from explore.distill import ExpertTrajectories, distill
from explore.distill.catalog import SMALL_DIGITS
from explore.distill.evaluation.table import table
from explore.distill.trajectories.config import PUBLISHED, ExpertsConfig, TrajectoryConfig
from explore.distill.trajectories.discriminative_areas import DiscriminativeAreas
from explore.distill.trajectories.gradient import FlatNetwork, flatten_parameters
from explore.distill.trajectories.loss import common_pattern_dropout, gradient_multiplier
from explore.errors import (
    ConfigMismatch,
    DataMissing,
    ExploreWarning,
    InvalidInput,
    RecordingDamaged,
    RunDiverged,
    UnknownName,
)

pytestmark = pytest.mark.usefixtures("_one_thread")

EXPERTS: dict[str, Any] = {
    "method": "experts",
    "data": SMALL_DIGITS,
    "preset": "lesson",
    "count": 2,
    "epochs": 4,
    "width": 8,
    "depth": 2,
    "learning_rate": 0.2,
    "batch": 32,
}
QUICK: dict[str, Any] = {
    "data": SMALL_DIGITS,
    "preset": "lesson",
    "steps": 4,
    "student_steps": 3,
    "window_stop": 2,
    "window_last": 3,
    "window_steps": 2,
    "refresh": 2,
    "cam_epochs": 1,
    "cam_width": 4,
}


@pytest.fixture(scope="module")
def experts_run() -> Any:
    return build(EXPERTS).run()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def experts(experts_run: Any) -> ExpertTrajectories:
    return ExpertTrajectories.of(experts_run)


def make(method: str, experts: Any, **options: Any) -> Any:
    return build({**QUICK, "method": method, "experts": experts, **options})


# ---- experts


def test_consecutive_checkpoints_differ_and_experts_learn(experts_run: Any) -> None:
    parameters = experts_run.parameters
    assert parameters.shape[:2] == (2, 5)
    moved = (parameters[:, 1:] != parameters[:, :-1]).float().mean(2)
    assert (moved > 0.9).all()
    frame = experts_run.snapshot()
    assert (np.diff(frame.loss.values, axis=1) < 0).all()
    expected = (parameters[1, 3] - parameters[1, 2]).norm()
    assert float(frame.movement[1, 2]) == pytest.approx(float(expected), rel=1e-5)


def test_live_weights_in_place_of_copies_are_refused(experts: ExpertTrajectories) -> None:
    network = experts.network()
    vector = torch.nn.utils.parameters_to_vector(network.parameters()).detach()
    with pytest.raises(InvalidInput, match="expert 0 has the same parameters after epochs 0 and 1"):
        ExpertTrajectories(
            torch.stack([vector, vector])[None], experts.class_names, experts.provenance
        )


def test_an_epoch_of_an_expert_equals_a_loop_of_plain_sgd(experts_run: Any) -> None:
    options, source = experts_run.options, experts_run.source
    parameters = experts_run.parameters[0]
    network = ExpertTrajectories.of(experts_run).network()
    torch.nn.utils.vector_to_parameters(parameters[0].clone(), network.parameters())
    from explore.core.runs import stream_seed

    seed = stream_seed(options.seed, "experts", 0)
    generator = torch.Generator().manual_seed(stream_seed(seed, "batches", 0))
    optimizer = torch.optim.SGD(network.parameters(), lr=options.learning_rate)
    for rows in torch.randperm(len(source), generator=generator).split(options.batch):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(source.batch(rows)), source.labels[rows])
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(flatten_parameters(network), parameters[1])


def test_a_file_of_experts_is_read_as_it_was_written(
    experts: ExpertTrajectories, tmp_path: Path
) -> None:
    path = experts.save(tmp_path / "a.safetensors")
    loaded = ExpertTrajectories.load(path)
    assert torch.equal(loaded.parameters, experts.parameters)
    assert (loaded.sha256, dict(loaded.config)) == (experts.sha256, dict(experts.config))
    with pytest.raises(DataMissing, match=r"b\.safetensors does not exist"):
        make("mtt", str(tmp_path / "b.safetensors"))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_file_is_damaged(
    experts: ExpertTrajectories, tmp_path: Path, share: float
) -> None:
    path = experts.save(tmp_path / "a.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RecordingDamaged, match=r"a\.safetensors cannot be read"):
        make("mtt", path)


def test_a_changed_parameter_is_damage(experts: ExpertTrajectories, tmp_path: Path) -> None:
    path = experts.save(tmp_path / "a.safetensors")
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(RecordingDamaged, match="not those that were saved"):
        make("mtt", path)


def test_a_distilled_set_is_no_file_of_experts(experts: ExpertTrajectories, tmp_path: Path) -> None:
    path = tmp_path / "set.safetensors"
    DistilledSet.of(build({"method": "random", "data": SMALL_DIGITS}).run()).save(path)  # type: ignore[attr-defined]
    with pytest.raises(InvalidInput, match="holds images, labels, no experts"):
        make("mtt", path)
    experts.save(path)
    with pytest.raises(InvalidInput, match="holds parameters, no distilled set"):
        DistilledSet.load(path)


def test_the_recording_stands_for_the_file_beside_it(tmp_path: Path) -> None:
    record(build({**EXPERTS, "epochs": 3}), tmp_path / "e.zarr")
    run = make("mtt", tmp_path / "e.zarr", window_last=2)
    assert len(run.experts) == 2
    assert run.config["experts"]["config"]["method"] == "experts"


def test_the_experts_name_the_data_of_a_run(experts: ExpertTrajectories) -> None:
    run = make("mtt", experts, data=None)
    assert run.config["data"] == experts.config["data"]
    with pytest.raises(InvalidInput, match="it lacks data, depth, epochs, norm, width, zca"):
        ExpertTrajectories(experts.parameters, experts.class_names)


def test_experts_of_several_files_are_used_together(
    experts: ExpertTrajectories, tmp_path: Path
) -> None:
    other = ExpertTrajectories.of(build({**EXPERTS, "seed": 1}).run())  # type: ignore[attr-defined]
    paths = [str(e.save(tmp_path / f"{n}.safetensors")) for n, e in enumerate((experts, other))]
    run = make("mtt", paths)
    assert torch.equal(run.experts.parameters, torch.cat([experts.parameters, other.parameters]))
    assert [d["sha256"] for d in run.config["experts"]] == [experts.sha256, other.sha256]
    wide = ExpertTrajectories.of(build({**EXPERTS, "width": 5}).run())  # type: ignore[attr-defined]
    with pytest.raises(InvalidInput, match="must agree in width, got 8 and 5"):
        make("mtt", [experts, wide])


def test_a_run_of_other_experts_does_not_continue_a_recording(
    experts: ExpertTrajectories, tmp_path: Path
) -> None:
    path = tmp_path / "a.zarr"
    record(make("mtt", experts), path, stop=lambda: True)
    with pytest.raises(ConfigMismatch, match="experts: recorded"):
        record(make("mtt", experts.first(1)), path)


def test_experts_that_are_trained_again_with_another_result_are_announced(
    experts: ExpertTrajectories,
) -> None:
    description = make("mtt", experts).config["experts"]
    assert make("mtt", description).config["experts"] == description
    with pytest.warns(ExploreWarning, match="computed again and has the hash"):
        make("mtt", {**description, "sha256": "0" * 64})


# ---- bad input


def test_no_experts_and_too_few_are_named(experts: ExpertTrajectories) -> None:
    with pytest.raises(InvalidInput, match=r"mtt needs experts: the .safetensors file"):
        make("mtt", "")
    with pytest.raises(InvalidInput, match=r"3 experts are asked for .*but there are 2"):
        make("mtt", experts, expert_count=3)
    assert len(make("mtt", experts, expert_count=1).experts) == 1


def test_experts_of_other_data_or_another_architecture_are_refused(
    experts: ExpertTrajectories,
) -> None:
    with pytest.raises(InvalidInput, match="the experts were trained on digits"):
        make("mtt", experts, data={"name": "digits", "options": {"size": 16}})
    config = {**experts.config, "width": 6}
    with pytest.raises(InvalidInput, match="experts of another architecture"):
        ExpertTrajectories(experts.parameters, experts.class_names, {"config": config, "step": 8})


def test_a_window_beyond_the_trajectories_is_refused(experts: ExpertTrajectories) -> None:
    with pytest.raises(InvalidInput, match="needs epoch 5, but the experts end at epoch 4"):
        make("mtt", experts, window_last=4, expert_epochs=2)
    make("mtt", experts, window_last=3, expert_epochs=2)
    with pytest.raises(InvalidInput, match="no epoch lies in the window"):
        make("mtt", experts, window_start=2, window_stop=2)
    with pytest.raises(InvalidInput, match="must be at least window_stop"):
        make("mtt", experts, window_stop=3, window_last=2)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("drop_ratio", 1, "drop_ratio must be a number of at least 0 and below 1"),
        ("beta", -0.1, "beta must be a number of at least 0"),
        ("student_steps", 0, "student_steps must be a whole number of at least 1"),
        ("area_threshold", "median", "area_threshold must be a number"),
        ("gradient", "adjiont", "unknown gradient"),
        ("cam_target", "offical", "unknown cam_target"),
        ("init", "reall", "unknown init"),
    ],
)
def test_options_out_of_range_are_named(
    experts: ExpertTrajectories, option: str, value: Any, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        make("edf", experts, **{option: value})


def test_a_rate_that_would_not_be_positive_stops_the_run(experts: ExpertTrajectories) -> None:
    run = make("mtt", experts, rate_rate=1e6)
    with pytest.raises(RunDiverged, match="choose a smaller rate_rate"):
        run.run()
    assert float(run.learning_rate) > 0
    assert torch.isfinite(run.images).all()
    assert run.step < run.steps


# ---- windows and presets


def test_the_window_begins_small_grows_and_stays() -> None:
    config = TrajectoryConfig(window_start=1, window_stop=5, window_last=12, window_steps=100)
    stops = [config.window(step).stop for step in range(300)]
    assert stops[0] == 5
    assert stops[100:] == [12] * 200
    assert stops == sorted(stops)
    assert config.window(50) == range(1, 5 + int(7 * 0.5))


@pytest.mark.parametrize("method", PUBLISHED)
def test_presets_depend_on_the_images_per_class(method: str) -> None:
    for count, row in PUBLISHED[method].items():
        for images in (count, count + 1):
            config = TrajectoryConfig.make(method=method, images_per_class=images)
            assert {name: getattr(config, name) for name in row} == row
        config = TrajectoryConfig.make(method=method, images_per_class=count, learning_rate=7)
        assert config.learning_rate == 7
    assert TrajectoryConfig.make(method=method).enhance == (method == "edf")


def test_published_dropout_of_edf() -> None:
    ratios = {
        count: TrajectoryConfig.make(method="edf", images_per_class=count).drop_ratio
        for count in (1, 10, 50)
    }
    assert ratios == {1: 0.0, 10: 0.25, 50: 0.375}


def test_experts_of_the_paper_and_of_the_lesson() -> None:
    assert (ExpertsConfig.make().count, ExpertsConfig.make().epochs) == (100, 50)
    assert ExpertsConfig.make(preset="lesson", epochs=7).epochs == 7


# ---- steps


def test_a_step_is_the_gradient_of_the_loss(experts: ExpertTrajectories) -> None:
    """One step of MTT against PyTorch's own graph through a student that is written out."""
    from explore.core.runs import stream_seed

    run = make("mtt", experts, momentum=0.0, learning_rate=3.0, rate_rate=1e-3)
    images = run.images.clone().requires_grad_()
    rate = torch.tensor(run.options.student_rate, requires_grad=True)
    generator = np.random.default_rng(stream_seed(0, "experts", 1))
    expert, epoch = int(generator.integers(2)), int(generator.choice([0, 1]))
    start, target = experts.parameters[expert, [epoch, epoch + 2]]
    flat, labels = FlatNetwork(experts.network()), torch.arange(10)
    student = start.clone().requires_grad_()
    for _ in range(3):
        entropy = torch.nn.functional.cross_entropy(flat.logits(student, images), labels)
        (gradient,) = torch.autograd.grad(entropy, student, create_graph=True)
        student = student - rate * gradient
    loss = ((student - target) ** 2).sum() / ((start - target) ** 2).sum()
    loss.backward()
    assert images.grad is not None
    assert rate.grad is not None
    run.advance()
    assert run.loss == pytest.approx(float(loss.detach()), rel=1e-5)
    torch.testing.assert_close(
        run.images, images.detach() - 3.0 * images.grad, rtol=1e-4, atol=1e-6
    )
    torch.testing.assert_close(run.learning_rate, rate.detach() - 1e-3 * rate.grad)


def test_edf_without_its_parts_is_datm(experts: ExpertTrajectories) -> None:
    datm = make("datm", experts).run()
    plain = make("edf", experts, enhance=False, drop_ratio=0.0).run()
    assert torch.equal(datm.images, plain.images)
    for part in ({"drop_ratio": 0.0}, {"enhance": False}):
        assert not torch.equal(datm.images, make("edf", experts, **part).run().images)


def test_the_gradient_is_multiplied_inside_the_areas(experts: ExpertTrajectories) -> None:
    plain, enhanced = (
        make("edf", experts, drop_ratio=0.0, enhance=enhance) for enhance in (False, True)
    )
    for run in (plain, enhanced):
        run.advance()
    frames = [run.snapshot() for run in (plain, enhanced)]
    maps = DiscriminativeAreas(enhanced.options, enhanced.source).maps(
        make("edf", experts).images, torch.arange(10)
    )
    factor = gradient_multiplier(maps).numpy()[:, None, None]
    np.testing.assert_allclose(
        frames[1].gradient.values, frames[0].gradient.values * factor, rtol=1e-2, atol=1e-9
    )
    assert factor.max() > 1.5
    assert torch.equal(plain.labels, enhanced.labels)  # only images are enhanced
    assert torch.equal(plain.learning_rate, enhanced.learning_rate)


def test_maps_are_refreshed_at_their_interval(experts: ExpertTrajectories) -> None:
    run = make("edf", experts, refresh=2)
    maps = []
    for _ in range(4):
        run.advance()
        maps.append(run.state()["maps"])
    assert (maps[0] == maps[1]).all()
    assert (maps[2] == maps[3]).all()
    assert not (maps[1] == maps[2]).all()


def test_dropped_parameters_are_those_of_the_loss(experts: ExpertTrajectories) -> None:
    run = make("edf", experts, drop_ratio=0.4)
    run.advance()
    frame = run.snapshot()
    size = experts.parameters.shape[2]
    assert int(frame.dropped.sum()) == int(0.4 * size)
    expected = [
        part.float().mean()
        for part in torch.from_numpy(frame.dropped.values).split(frame["size"].values.tolist())
    ]
    np.testing.assert_allclose(frame.dropped_share.values, expected)


def test_a_step_above_the_gate_changes_nothing_but_is_counted(experts: ExpertTrajectories) -> None:
    run = make("datm", experts, gate=1e-3)
    before = run.images.clone(), run.labels.clone(), float(run.learning_rate)
    run.run()
    assert torch.equal(run.images, before[0])
    assert torch.equal(run.labels, before[1])
    assert float(run.learning_rate) == before[2]
    assert run.skipped == 4
    assert "4 steps above the gate" in run.summary()


def test_the_unrolled_graph_gives_the_same_run_and_tesla_another(
    experts: ExpertTrajectories,
) -> None:
    adjoint, unroll, tesla = (
        make("datm", experts, gradient=kind).run().images for kind in ("adjoint", "unroll", "tesla")
    )
    torch.testing.assert_close(adjoint, unroll, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(adjoint, tesla, rtol=1e-3, atol=1e-4)


def test_small_batches_use_each_image_once_before_any_twice(experts: ExpertTrajectories) -> None:
    run = make("mtt", experts, batch=4, student_steps=6)
    batches = run._batches(1)  # the rows are in no public result
    assert [len(rows) for rows in batches] == [4, 4, 2, 4, 4, 2]
    assert sorted(torch.cat(batches[:3]).tolist()) == list(range(10))


def test_the_loss_falls_on_digits(experts: ExpertTrajectories) -> None:
    options = {"window_stop": 1, "window_last": 1, "expert_count": 1}
    run = make("mtt", experts, steps=40, student_steps=10, student_rate=0.3, **options)
    losses = []
    while run.step < run.steps:
        run.advance()
        losses.append(run.loss)
    assert np.mean(losses[-5:]) < losses[0] - 0.05


# ---- starts


def test_real_images_of_a_soft_start_are_classified_by_an_expert(
    experts: ExpertTrajectories,
) -> None:
    run = make("datm", experts, images_per_class=2)
    flat = FlatNetwork(experts.network())
    logits = torch.stack([flat.logits(p, run.images) for p in experts.parameters[:, -1]]).detach()
    correct = logits.argmax(2) == torch.arange(10).repeat_interleave(2)
    assert correct.any(0).float().mean() > 0.8
    weights = torch.where(correct.any(0), correct, True)
    mean = (logits * weights[:, :, None]).sum(0) / weights.sum(0)[:, None]
    torch.testing.assert_close(run.labels, mean.softmax(1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["dm", "mtt", "edf"])
def test_a_set_a_file_and_a_tensor_are_starts_of_ones_own(
    method: str, experts: ExpertTrajectories, tmp_path: Path
) -> None:
    source = DistilledSet.of(build({"method": "class-mean", "data": SMALL_DIGITS}).run())  # type: ignore[attr-defined]
    path = source.save(tmp_path / "start.safetensors")

    def start(init: Any) -> Any:
        if method == "dm":
            options = {"data": SMALL_DIGITS, "preset": "lesson", "width": 4, "steps": 2}
            return build({**options, "method": "dm", "init": init})
        return make(method, experts, init=init)

    runs = [start(init) for init in (source, str(path), source.images)]
    for run in runs:
        assert torch.equal(run.images.detach(), source.images)
        json.dumps(run.config["init"])
    assert runs[0].config["init"] == runs[1].config["init"]
    assert runs[0].config["init"]["sha256"] == source.sha256
    assert runs[2].config["init"]["name"] == "tensor"
    again = start(runs[0].config["init"])
    assert torch.equal(again.images.detach(), source.images)
    with pytest.raises(InvalidInput, match="started from a tensor"):
        start(runs[2].config["init"])


def test_unfit_starts_are_named(experts: ExpertTrajectories) -> None:
    source = DistilledSet.of(build({"method": "class-mean", "data": SMALL_DIGITS}).run())  # type: ignore[attr-defined]
    cases: list[tuple[Any, str]] = [
        (source.images[:9], r"init must be float images \[10, 1, 8, 8\]"),
        (source.images.double() * float("nan"), "NaN or Inf"),
        (3, "init must be real, noise, kcenter, a DistilledSet"),
        ("nothing.zarr", "does not exist"),
    ]
    for init, words in cases:
        with pytest.raises((InvalidInput, DataMissing), match=words):
            make("mtt", experts, init=init)
    with pytest.raises(InvalidInput, match="must be float images"):
        make("mtt", experts, init=source, images_per_class=2)
    shifted = DistilledSet(source.images, source.labels, source.class_names, [0.1], [0.9])
    with pytest.raises(InvalidInput, match="init is normalised with mean and std"):
        make("mtt", experts, init=shifted)
    renamed = DistilledSet(source.images, source.labels, [*"abcdefghij"], source.mean, source.std)
    with pytest.raises(InvalidInput, match="init has the classes a, b"):
        make("mtt", experts, init=renamed)
    with pytest.raises(UnknownName, match="unknown init 'noize'"):
        make("mtt", experts, init="noize")


def test_rate_and_soft_labels_travel_in_the_set_and_into_another_run(
    experts: ExpertTrajectories, tmp_path: Path
) -> None:
    run = make("datm", experts, label_rate=50.0, rate_rate=1e-4)
    record(run, tmp_path / "a.zarr")
    distilled = DistilledSet.load(tmp_path / "a.zarr")
    assert distilled.soft
    assert distilled.learning_rate == pytest.approx(float(run.learning_rate))
    torch.testing.assert_close(distilled.labels, run.labels)
    following = make("datm", experts, init=distilled)
    torch.testing.assert_close(following.labels, run.labels, rtol=1e-4, atol=1e-5)
    assert float(following.learning_rate) == pytest.approx(float(run.learning_rate))
    scored: Any = build(
        {
            "method": "evaluate",
            "distilled": str(tmp_path / "a.safetensors"),
            "epochs": 2,
            "networks": 1,
            "width": 4,
            "learned_rate": True,
        }
    )
    assert "saw the whole training set" not in scored.run().summary()


def test_every_result_of_edf_says_what_its_maps_know(
    experts: ExpertTrajectories, tmp_path: Path
) -> None:
    run = make("edf", experts, steps=1).run()
    assert run.summary().endswith("the network of the maps saw the whole training set")
    options = {"method": "evaluate", "epochs": 1, "networks": 1, "width": 4}
    scored: Any = build({**options, "distilled": DistilledSet.of(run)})
    recording = record(scored, tmp_path / "scored.zarr")
    assert "the network of the maps saw the whole training set" in scored.summary()
    assert table([recording]).attrs["notes"][-1].startswith("EDF: the network of the maps")


# ---- maps


def test_the_official_target_takes_the_number_of_the_label(experts: ExpertTrajectories) -> None:
    source = TrainingData(SMALL_DIGITS)
    options = make("edf", experts).options
    label = DiscriminativeAreas(options, source)
    images, labels = source.batch(range(10)), source.labels[:10]
    official = DiscriminativeAreas(
        TrajectoryConfig.make(**{**QUICK, "method": "edf", "cam_target": "official"}), source
    )
    # The small network numbers its classes as the data, so both are the same here.
    assert torch.equal(label.maps(images, labels), official.maps(images, labels))


@pytest.mark.data("imagenette")
@pytest.mark.data("weights")
def test_imagenet_classes_are_found_and_the_official_target_is_another_map() -> None:
    images = load("imagenette", "train", count=2, size=64)
    source, labels = TrainingData(images), images.labels
    areas = {
        target: DiscriminativeAreas(
            TrajectoryConfig.make(method="edf", cam_network="squeezenet", cam_target=target),
            source,
        )
        for target in ("label", "official")
    }
    maps = {name: area.maps(source.batch(), labels) for name, area in areas.items()}
    tench = labels == 0  # class 0 of ImageNet is class 0 of Imagenette
    assert torch.equal(maps["label"][tench], maps["official"][tench])
    others = ~tench
    assert not torch.allclose(maps["label"][others], maps["official"][others], atol=0.05)


def test_whitened_images_are_unwhitened_before_the_map() -> None:
    white = build({**EXPERTS, "count": 1, "zca": True}).run()  # type: ignore[attr-defined]
    run = make("edf", ExpertTrajectories.of(white))
    digits = load("digits", **SMALL_DIGITS["options"])
    labels = torch.arange(10)
    for data in (SMALL_DIGITS, (digits.batch(), digits.labels)):  # a set, and plain tensors
        plain, whitened = TrainingData(data), TrainingData(data, zca=True)
        rows = plain.sample(1, 0)
        expected, maps = (
            DiscriminativeAreas(run.options, source).maps(source.batch(rows), labels)
            for source in (plain, whitened)
        )
        torch.testing.assert_close(maps, expected, rtol=1e-2, atol=1e-2)


# ---- recordings


def test_a_recorded_run_is_shown_and_read_without_its_experts(
    experts: ExpertTrajectories, tmp_path: Path
) -> None:
    from explore.distill.figures.trajectory_matching import TrajectoryMatching, trajectory_matching

    for method in ("edf", "mtt"):
        record(make(method, experts), tmp_path / f"{method}.zarr", every=1)
    recordings = [open_recording(tmp_path / f"{name}.zarr") for name in ("edf", "mtt")]
    data = trajectory_matching(recordings, 2, "3")
    assert list(data.side.values) == ["EDF", "MTT"]
    assert (data.multiplier.values[1] == 1).all()
    assert data.multiplier.values[0].max() > 1
    assert data.dropped_share.values[0].sum() > 0
    assert (data.dropped_share.values[1] == 0).all()
    text = TrajectoryMatching(data).describe(data)
    assert "the network of the maps saw the whole training set" in text
    with pytest.raises(InvalidInput, match="label must be one of"):
        trajectory_matching(recordings, label="ten")
    with pytest.raises(InvalidInput, match="give one recording, or two of the same data"):
        trajectory_matching([*recordings, recordings[0]])


def test_experts_and_runs_resume_to_the_same_bits(
    experts: ExpertTrajectories, tmp_path: Path
) -> None:
    for config in (EXPERTS, {**QUICK, "method": "edf", "experts": experts, "cam_epochs": 1}):
        expected = record(build(config), tmp_path / "whole.zarr", every=1)
        for stop in (1, 3):
            path = tmp_path / f"{config['method']}-{stop}.zarr"
            run = build(config)
            record(run, path, every=1, stop=lambda run=run, stop=stop: run.step >= stop)
            assert bits(record(build(config), path, every=1)) == bits(expected)
        shutil.rmtree(tmp_path / "whole.zarr")


def test_your_own_tensors_are_distilled(experts: ExpertTrajectories) -> None:
    digits = load("digits", **SMALL_DIGITS["options"])
    images, labels = digits.batch(), digits.labels
    options = {key: value for key, value in QUICK.items() if key != "data"}
    options_of_experts = {key: value for key, value in EXPERTS.items() if key != "data"}
    run = distill(images, labels, "edf", experts={**options_of_experts, "count": 1}, **options)
    run.advance()
    assert run.images.shape == (10, 1, 8, 8)
    with pytest.raises(InvalidInput, match="edf creates its own networks"):
        distill(images, labels, "edf", network=lambda seed: torch.nn.Identity(), experts=experts)


def test_the_loss_of_a_run_is_common_pattern_dropout() -> None:
    start, target = torch.zeros(8), torch.arange(8.0)
    student = target * 0.5
    assert float(common_pattern_dropout(student, target, start)) == pytest.approx(0.25)
