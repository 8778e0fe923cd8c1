"""Complete runs: teachers, equal initial weights, a run and a study, the gain of students."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from subclass_toys import PARENTS, blobs, flat, make_run, run_to_end, small_set
from torch import nn
from torch.nn.functional import cross_entropy

from explore.data import load
from explore.errors import ExploreWarning, InvalidInput
from explore.models import MLP, logits_of
from explore.subclass import (
    StudyRun,
    class_probabilities,
    report,
    study as study_module,
)
from explore.subclass.config import TEACHING_SIGNALS, StudyConfig, SubclassConfig
from explore.subclass.losses import auxiliary_loss, class_logits
from explore.subclass.networks import (
    DiscoveryLoss,
    create_students,
    create_teacher,
    shuffle_subclasses,
)
from explore.subclass.run import SubclassRun
from explore.subclass.training_data import LabelledImages, SubclassData

pytestmark = pytest.mark.usefixtures("_one_thread")

# ---- shuffle_subclasses


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_subclasses_keep_classes_and_sizes(seed):
    parents = torch.tensor([0, 1, 0, 2, 1, 0])
    subclasses = torch.randint(6, (300,), generator=torch.Generator().manual_seed(seed))
    part = LabelledImages(torch.zeros(300, 1), parents[subclasses], subclasses)
    result = shuffle_subclasses(part, seed)
    assert torch.equal(parents[result], part.labels)
    assert torch.equal(result.bincount(minlength=6), subclasses.bincount(minlength=6))
    assert torch.equal(part.subclasses, subclasses)
    assert torch.equal(result, shuffle_subclasses(part, seed))
    assert not torch.equal(result, shuffle_subclasses(part, seed + 1))
    for k in range(2):  # no more hits than chance: Σ share²
        members = part.labels == k
        share = subclasses[members].bincount() / members.sum()
        assert float((result == subclasses)[members].float().mean()) == pytest.approx(
            float(share.square().sum()), abs=0.2
        )


# ---- teachers and students


def test_each_kind_of_teacher_has_its_own_labels_and_loss():
    fits = {
        kind: make_run(method).teacher_fit
        for kind, method in (("s", "skd"), ("r", "random-subclasses"), ("f", "found-subclasses"))
    }
    own = {kind: fit.labels[0] for kind, fit in fits.items()}
    assert torch.equal(own["f"], own["s"] % 2)
    assert torch.equal(own["r"] % 2, own["s"] % 2)
    rows = make_run("skd").teacher_fit.images
    corner = (rows[:, 0] > 1.5) + 2 * (rows[:, 1] > 1.5)
    assert float((own["s"] == corner).float().mean()) > 0.7
    assert float((own["r"] == corner).float().mean()) < 0.7
    z, y = torch.randn(2, 9, 4)[0], torch.arange(9) % 2
    expected = cross_entropy(class_logits(z, PARENTS), y) + 0.7 * auxiliary_loss(z)
    torch.testing.assert_close(DiscoveryLoss(PARENTS, 0.7)(z, y), expected)


@pytest.mark.parametrize(
    "method",
    [name for name, signal in TEACHING_SIGNALS.items() if signal.teacher not in ("", "subclass")],
)
def test_a_trained_teacher_is_refused_for_other_subclasses(method):
    """A control needs a teacher of random subclasses, not of the true ones."""
    with pytest.raises(InvalidInput, match=f"{method} trains its own teacher"):
        make_run(method, teacher=nn.Linear(2, 4))


@pytest.mark.parametrize(
    "method", [name for name, signal in TEACHING_SIGNALS.items() if signal.teacher == "subclass"]
)
def test_a_trained_teacher_is_not_trained_again(method):
    teacher = nn.Sequential(
        nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4)
    )
    before = flat(teacher).clone()
    run = make_run(method, teacher=teacher)
    assert run.steps == 4
    run_to_end(run)
    run.snapshot()
    assert torch.equal(before, flat(teacher))
    assert all(module.training for module in teacher.modules())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert "sha256" in run.config["teacher"]


def test_the_teacher_of_a_factory_is_trained():
    networks = []

    def factory(outputs, seed):
        networks.append(MLP(2, 8, outputs, seed))
        return networks[-1]

    run = make_run(teacher=factory)
    before = flat(networks[0]).clone()
    assert run_to_end(run).steps == 7
    assert run.teacher is networks[0]
    assert not torch.equal(before, flat(networks[0]))


@pytest.mark.parametrize("outputs", [2, 5])
def test_networks_of_another_width_are_refused(outputs):
    for teacher in (MLP(2, 8, outputs), lambda _, seed: MLP(2, 8, outputs, seed)):
        with pytest.raises(
            InvalidInput,
            match=rf"the teacher returns \[2, {outputs}\] for 2 images; expected \[2, 4\]",
        ):
            make_run(teacher=teacher)
    with pytest.raises(
        InvalidInput, match=rf"the student returns \[2, {outputs}\] for 2 images; expected \[2, 4\]"
    ):
        make_run(student_factory=lambda _, seed: MLP(2, 8, outputs, seed))


@pytest.mark.parametrize(
    ("student", "words"),
    [
        (nn.Linear(2, 4), r"student must be factory\(outputs, seed\).*; got Linear"),
        (
            lambda outputs: nn.Linear(2, outputs),
            r"student must be factory\(outputs, seed\).*failed",
        ),
        (lambda outputs, seed: None, "it returned NoneType"),
        (
            lambda outputs, seed: nn.Linear(3, outputs),
            r"the student cannot take images of shape \[2, 2\]",
        ),
        (
            lambda outputs, seed: nn.Linear(2, outputs + 1),
            r"the student returns \[2, 5\] for 2 images",
        ),
    ],
    ids=["a network", "one argument", "nothing", "other images", "other outputs"],
)
def test_invalid_factories_of_students_are_refused(student, words):
    with pytest.raises(InvalidInput, match=words):
        make_run(student_factory=student)


def test_the_student_is_the_network_of_the_factory():
    own = nn.Linear(2, 4)
    run = run_to_end(make_run(student_factory=lambda outputs, seed: own))
    assert run.student is own
    assert run.student(run.held.images).shape == (len(run.held), 4)
    probabilities = run.predict(run.held.images)
    torch.testing.assert_close(
        probabilities, class_probabilities(logits_of(own, run.held.images), run.source.parents)
    )
    for same in (run.held.images.numpy(), run.held.images.tolist(), run.held.images.double()):
        torch.testing.assert_close(run.predict(same), probabilities)
    assert run.predict(run.held.images[:0]).shape == (0, 2)
    nan = run.held.images * float("nan")
    for wrong, words in ((run.held.images[:, :1], r"floats \[N, 2\]"), (nan, "hold NaN or Inf")):
        with pytest.raises(InvalidInput, match=f"images .*{words}"):
            run.predict(wrong)


def test_nothing_happens_after_the_end():
    run = run_to_end(make_run())
    before = flat(run.student).clone()
    run.advance()
    assert run.step == run.steps
    assert torch.equal(flat(run.student), before)


def test_with_one_subclass_a_class_skd_is_kd_run_for_run():
    runs = [run_to_end(make_run(method, [0, 1, 2])) for method in ("skd", "kd")]
    torch.testing.assert_close(flat(runs[0].student), flat(runs[1].student), rtol=1e-5, atol=1e-6)
    with_two = [run_to_end(make_run(method)) for method in ("skd", "kd")]
    assert not torch.allclose(flat(with_two[0].student), flat(with_two[1].student), atol=1e-3)


def test_methods_differ_only_in_their_signals():
    runs = {name: make_run(name) for name in TEACHING_SIGNALS}
    starts = [flat(run.student) for run in runs.values()]
    assert all(torch.equal(starts[0], start) for start in starts)
    assert all(torch.equal(runs["skd"].own.images, run.own.images) for run in runs.values())
    assert torch.equal(flat(runs["skd"].teacher), flat(runs["random-subclasses"].teacher))
    weights = {name: flat(run_to_end(run).student) for name, run in runs.items()}
    names = list(weights)
    assert all(
        not torch.equal(weights[a], weights[b]) for i, a in enumerate(names) for b in names[:i]
    )
    assert torch.equal(flat(runs["skd"].teacher), flat(runs["kd"].teacher))
    no_distillation = run_to_end(make_run("skd", distill_weight=0.0))
    torch.testing.assert_close(
        flat(no_distillation.student), weights["scratch"], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("prior", [True, False])
def test_unequal_classes_start_equal_only_with_the_prior(prior):
    x, s = blobs(400)
    source = SubclassData((0.1 * x, s), [0, 0, 0, 1])
    networks = [
        create_students(source, "mlp", 64, range(6), prior),
        create_teacher(source, 0, 3, prior),
    ]
    networks.append(
        create_students(
            source, "mlp", 64, range(6), prior, lambda outputs, seed: MLP(2, 64, outputs, seed)
        )
    )
    for network, each in zip(networks, (True, False, True), strict=True):
        z = logits_of(network, source[:].images[:, None] if each else source[:].images)
        share = float(class_probabilities(z, source.parents)[..., 0].mean())
        assert share == pytest.approx(0.5 if prior else 0.75, abs=0.08)


def test_a_network_without_a_last_bias_causes_a_warning():
    source = SubclassData(blobs(), [0, 0, 0, 1])
    with pytest.warns(ExploreWarning, match="no last linear layer with biases"):
        create_students(
            source, "mlp", 4, [0], True, lambda outputs, _: nn.Linear(2, outputs, bias=False)
        )
    create_students(
        source, "mlp", 4, [0], False, lambda outputs, _: nn.Linear(2, outputs, bias=False)
    )
    create_students(
        SubclassData(blobs(), PARENTS),
        "mlp",
        4,
        [0],
        True,
        lambda outputs, _: nn.Linear(2, outputs, bias=False),
    )


@pytest.mark.parametrize("stop", [2, 3, 5])
def test_a_run_resumes_to_the_same_bits(stop):
    complete, first, second = run_to_end(make_run()), make_run(), make_run()
    for _ in range(stop):
        first.advance()
    second.step = first.step
    second.restore(first.state())
    run_to_end(second)
    assert torch.equal(flat(second.student), flat(complete.student))
    assert torch.equal(flat(second.teacher), flat(complete.teacher))


# ---- a study


def test_one_student_of_a_study_is_a_run_of_its_own(monkeypatch):
    """A run holds images out and a study does not, so both get the same order here. All students of
    a study have the batches of run 0, so a batch has all images here."""
    networks = []
    create = study_module.create_students
    monkeypatch.setattr(
        study_module,
        "create_students",
        lambda *arguments: networks.append(create(*arguments)) or networks[-1],
    )
    order = SubclassData.order
    monkeypatch.setattr(
        SubclassData,
        "order",
        lambda self, seed, holdout=0: (order(self, seed, 8)[0], order(self, seed)[1]),
    )
    shared = {"teacher_width": 0, "batch": 64, "learning_rate": 0.02}
    methods = ["scratch", "kd", "skd", "labels-only", "random-subclasses"]
    data = small_set(60).grouped(PARENTS)
    study = run_to_end(
        StudyRun(
            StudyConfig(
                methods=methods,
                seeds=2,
                labels=[32],
                widths=[6],
                updates=8,
                teacher_updates=6,
                seed=3,
                **shared,
            ),
            (data, data),
        )
    )
    images = data.batch()
    study_logits = logits_of(networks[0], images[:, None])
    for k, (method, index) in enumerate((m, index) for m in methods for index in range(2)):
        config = SubclassConfig.make(
            method=method, labels=32, width=6, epochs=8, teacher_epochs=6, seed=3 + index, **shared
        )
        run = run_to_end(SubclassRun(config, data))
        logits = logits_of(run.student, images)
        torch.testing.assert_close(study_logits[:, k], logits, rtol=1e-3, atol=1e-3)
        scores = report(class_probabilities(logits.double(), PARENTS), data.labels)
        for name in ("accuracy", "f1", "auc", "brier"):
            score = float(
                study.snapshot().score.sel(measure=name, lesson=method)[0, 0, 0, 0, index]
            )
            assert score == pytest.approx(scores[name], abs=5e-3)


def test_subclasses_help_a_wide_student_and_hurt_a_narrow_one():
    """Digits at 8×8, 50 labels, five runs: SKD is better than scratch with 16 hidden units, not with 2."""
    options = StudyConfig(methods=["scratch", "skd"], labels=[50], widths=[2, 16], seeds=5)
    score = (
        run_to_end(StudyRun(options, load("digits", size=8, margin=0)))
        .snapshot()
        .score.sel(measure="accuracy")
    )
    gain = (score.sel(lesson="skd") - score.sel(lesson="scratch")).mean("run").squeeze()
    assert float(gain.sel(width=16)) > 0.03
    assert float(gain.sel(width=2)) < 0
    assert not math.isnan(float(score.min()))
    assert np.ptp(score.sel(width=16, lesson="skd").values) > 0
