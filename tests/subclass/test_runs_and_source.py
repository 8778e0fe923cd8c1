"""What is learnt from, what is held out, and runs as a whole: teachers given and trained, one run beside a study."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from explore.data import ImageSet, load
from explore.errors import ExploreWarning, InvalidInput, UnknownName
from explore.models import MLP, logits_of
from explore.runs import stream_seed
from explore.subclass import StudyRun, class_probabilities, report, study as study_module, train
from explore.subclass.config import LESSONS, StudyConfig, SubclassConfig
from explore.subclass.method import SubclassRun
from explore.subclass.networks import shuffled, students, teacher as untrained_teacher
from explore.subclass.source import Part, Source, as_subclasses

pytestmark = pytest.mark.usefixtures("_one_thread")

PARENTS = [0, 1, 0, 1]


def blobs(n: int = 120, seed: int = 0, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Points around the corners of a square."""
    subclasses = torch.arange(n) % classes
    centres = 3 * torch.stack([(subclasses % 2).float(), (subclasses // 2).float()], 1)
    return centres + torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)), subclasses


def run_of(method: str = "skd", parents=PARENTS, **options) -> SubclassRun:
    usual = {"epochs": 4, "teacher_epochs": 3, "width": 8, "holdout": 20, "learning_rate": 0.02}
    return train(*blobs(classes=len(parents)), parents, method, **{**usual, **options})


def finished(run):
    while run.step < run.steps:
        run.advance()
    return run


def flat(net: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in net.state_dict().values()])


def small_set(n: int = 40, **more) -> ImageSet:
    images = torch.randint(256, (n, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return ImageSet("small", images, torch.arange(n) % 4, tuple("abcd"), (0.5,), (0.5,), **more)


# ---- shuffled


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_subclasses_keep_classes_and_sizes(seed):
    parents = torch.tensor([0, 1, 0, 2, 1, 0])
    subclasses = torch.randint(6, (300,), generator=torch.Generator().manual_seed(seed))
    part = Part(torch.zeros(300, 1), parents[subclasses], subclasses)
    dealt = shuffled(part, seed)
    assert torch.equal(parents[dealt], part.labels)
    assert torch.equal(dealt.bincount(minlength=6), subclasses.bincount(minlength=6))
    assert torch.equal(part.subclasses, subclasses)
    assert torch.equal(dealt, shuffled(part, seed))
    assert not torch.equal(dealt, shuffled(part, seed + 1))
    for k in range(2):  # no more hits than chance: Σ share²
        here = part.labels == k
        share = subclasses[here].bincount() / here.sum()
        assert float((dealt == subclasses)[here].float().mean()) == pytest.approx(float(share.square().sum()), abs=0.2)


# ---- source


@pytest.mark.parametrize("holdout", [1, 20, 24, 10**6])
def test_what_is_held_out_is_not_learnt_from(holdout):
    run = run_of(holdout=holdout)
    rows = {tuple(row) for row in run.held.images.tolist()}
    assert len(rows) == len(run.held) == min(holdout, 24)  # at most a fifth of 120
    assert not rows & {tuple(row) for row in run.own.images.tolist()}
    assert not rows & {tuple(row) for row in run._lessons.images.tolist()}
    assert len(run.own) == len(run._lessons.images) == 120 - len(rows)
    assert run.snapshot().sizes["image"] == len(rows)


def test_sets_of_labelled_images_are_nested_and_the_students_are_the_teachers_too():
    sizes = (10, 30, 70)
    seen = [{tuple(row) for row in run_of(labels=n).own.images.tolist()} for n in sizes]
    assert [len(rows) for rows in seen] == list(sizes)
    assert seen[0] < seen[1] < seen[2]
    taught = {tuple(row) for row in run_of(labels=10, teacher_images=30)._lessons.images.tolist()}
    assert taught == seen[1]
    assert {tuple(row) for row in run_of(labels=10, seed=1).own.images.tolist()} != seen[0]


def test_orders_are_permutations_that_depend_on_the_seed_alone():
    source = Source(blobs(), PARENTS)
    held, rest = source.order(3, 20)
    assert sorted(torch.cat([held, rest]).tolist()) == list(range(120))
    assert torch.equal(rest, Source(blobs(seed=5), PARENTS).order(3, 20)[1])
    assert torch.equal(torch.cat([held, rest]), source.order(3)[1])
    assert not torch.equal(rest, source.order(4, 20)[1])


def test_tensors_become_a_source():
    x, s = blobs()
    source = Source((x.double(), s.to(torch.uint8)), torch.tensor(PARENTS))
    assert source[:].images.dtype == torch.float32
    assert torch.equal(source[:].labels, torch.tensor(PARENTS)[s])
    assert torch.equal(source[:].subclasses, s)
    assert (source.shape, source.parents, len(source)) == ((2,), tuple(PARENTS), 120)
    assert source.describe()["shape"] == [120, 2]
    assert source.describe()["sha256"] != Source((x + 1, s), PARENTS).describe()["sha256"]


def test_sets_are_grouped_as_usual_as_said_or_as_they_are():
    assert Source("digits").parents == (0,) * 5 + (1,) * 5
    assert Source("digits", [1, 0] * 5).class_names == ("1 + 3 + 5 + 7 + 9", "0 + 2 + 4 + 6 + 8")
    own = small_set().grouped([0, 0, 1, 1])
    assert as_subclasses(own) is own
    assert Source(own).parents == (0, 0, 1, 1)
    anew = as_subclasses(own, [1, 0, 0, 1])
    assert torch.equal(anew.subclasses, own.subclasses)
    assert torch.equal(anew.labels, torch.tensor([1, 0, 0, 1])[own.subclasses])
    torch.testing.assert_close(Source(own)[:].images, own.batch())
    with pytest.raises(InvalidInput, match="small has no subclasses; say which class each of its 4 becomes"):
        Source(small_set())


X, S = blobs()
HOLED = X.clone()
HOLED[7] = float("nan")
HOLED[9, 1] = float("inf")


@pytest.mark.parametrize(
    ("data", "parents", "more", "words"),
    [
        ((X, S), None, {}, r"tensors come without a parent map; give parents="),
        ((HOLED, S), PARENTS, {}, "2 images hold NaN or Inf, the first is number 7"),
        ((X, S), [0, 1, 0], {}, r"sample 3 has subclass 3; there are 0..2, as parents has 3 entries"),
        ((X, S - 1), PARENTS, {}, "sample 0 has subclass -1"),
        ((X, S), [0, 2, 0, 2], {}, "leave class 1 without a subclass"),
        ((X, S), [0, 1, 0, 1, 2], {}, "class 'class 2' has no image in the training set; every class needs some"),
        ((X, S[:-1]), PARENTS, {}, r"subclasses must be integers \[120\], got torch.int64 \[119\]"),
        ((X, S.float()), PARENTS, {}, "subclasses must be integers"),
        ((X, S[:, None]), PARENTS, {}, "subclasses must be integers"),
        ((X[:0], S[:0]), PARENTS, {}, r"images must be float \[N, ...\] with N ≥ 1"),
        ((S, S), PARENTS, {}, "images must be float"),
        ((X.long(), S), PARENTS, {}, "images must be float .* got torch.int64"),
        ((X.numpy(), S), PARENTS, {}, "images must be a torch tensor, got ndarray"),
        ((X, S.tolist()), PARENTS, {}, "subclasses must be a torch tensor, got list"),
        ((X, S), PARENTS, {"labels": 1 - S % 2}, "sample 0 has label 1, but its subclass 0 belongs to class 0"),
        ((X, S), PARENTS, {"labels": S[:5] % 2}, "two lists of one length"),
        (3, PARENTS, {}, "data must be"),
        ("digits", [0, 1], {}, "parents has 2 entries, but there are 10"),
        ("digits", [0, 2] * 5, {}, "leave class 1 without"),
        ({"name": "tensors"}, PARENTS, {}, "this run was made from tensors"),
    ],
)
def test_bad_data_are_named(data, parents, more, words):
    with pytest.raises(InvalidInput, match=words):
        Source(data, parents, **more)


def test_a_subclass_without_images_is_no_fault():
    assert len(Source((X, S.clamp(max=2)), PARENTS)) == 120


def test_labels_are_taken_along_where_they_agree():
    assert len(Source((X, S), PARENTS, labels=S % 2)) == 120
    with pytest.raises(InvalidInput, match="sample 1 has label 0"):
        train(X, S, PARENTS, labels=S * 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": 101}, "labels=101, but the training set has 100 images besides 20 that are held out"),
        ({"teacher_images": 101}, "teacher_images=101, but"),
        ({"labels": 1}, "no image of class 'class [01]' is among the 1 that the student sees; give it more"),
        ({"labels": 50, "teacher_images": 1}, "is among the 1 that the teacher sees"),
        ({"curriculum": True}, "curriculum needs the agreement of annotators, which tensors does not have"),
        ({"width": 0}, "width must be a whole number ≥ 1"),
        ({"temperature": 0}, "temperature must be above 0"),
        ({"distill_weight": 2}, r"distill_weight must be in \[0, 1\]"),
        ({"student": "convnet"}, "a convnet takes square images"),
        ({"wider": 3}, "has no option 'wider'"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(InvalidInput, match=words):
        finished(run_of(**options))


def test_unknown_methods_are_named():
    with pytest.raises(UnknownName):
        run_of("skid")
    with pytest.raises(UnknownName):
        SubclassConfig.make(method="skid")
    with pytest.raises(UnknownName):
        StudyConfig(methods=["skid"])


def test_a_curriculum_shows_what_all_agree_upon_first():
    agreement = torch.tensor([1.0, 0.5, 0.75, 1.0] * 10)
    run = SubclassRun(
        SubclassConfig(labels=0, epochs=6, teacher_epochs=1, curriculum=True), small_set(agreement=agreement).grouped(PARENTS)
    )
    seen, own = run._stages(), agreement[run._own_at]
    for epoch, least in enumerate([1.0, 1.0, 0.75, 0.75, 0.5, 0.5]):
        assert seen(epoch).tolist() == (own >= least).nonzero().flatten().tolist()
    assert finished(run).step == 7


# ---- teachers and students


@pytest.mark.parametrize("method", [name for name, lesson in LESSONS.items() if lesson.teacher])
def test_a_given_teacher_is_not_trained(method):
    teacher = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4))
    before = flat(teacher).clone()
    run = run_of(method, teacher=teacher)
    assert run.steps == 4
    finished(run)
    run.snapshot()
    assert torch.equal(before, flat(teacher))
    assert all(module.training for module in teacher.modules())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert "sha256" in run.config["teacher"]


def test_a_factory_makes_a_teacher_that_is_trained():
    made = []

    def factory(outputs, seed):
        made.append(MLP(2, 8, outputs, seed))
        return made[-1]

    run = run_of(teacher=factory)
    before = flat(made[0]).clone()
    assert finished(run).steps == 7
    assert run.teacher is made[0]
    assert not torch.equal(before, flat(made[0]))


@pytest.mark.parametrize("outputs", [2, 5])
def test_networks_of_another_width_are_refused(outputs):
    for teacher in (MLP(2, 8, outputs), lambda _, seed: MLP(2, 8, outputs, seed)):
        with pytest.raises(InvalidInput, match=rf"the teacher returns \[2, {outputs}\] for 2 images; expected \[2, 4\]"):
            run_of(teacher=teacher)
    with pytest.raises(InvalidInput, match=rf"the student returns \[2, 1, {outputs}\] for 2 images; expected \[2, 1, 4\]"):
        run_of(student=lambda _, seed: MLP(2, 8, outputs, seed))


def test_with_one_subclass_a_class_skd_is_kd_run_for_run():
    runs = [finished(run_of(method, [0, 1, 2])) for method in ("skd", "kd")]
    assert torch.equal(flat(runs[0].student), flat(runs[1].student))
    with_two = [finished(run_of(method)) for method in ("skd", "kd")]
    assert not torch.allclose(flat(with_two[0].student), flat(with_two[1].student), atol=1e-3)


def test_methods_differ_in_what_they_teach_alone():
    runs = {name: run_of(name) for name in LESSONS}
    starts = [flat(run.student) for run in runs.values()]
    assert all(torch.equal(starts[0], start) for start in starts)
    assert all(torch.equal(runs["skd"].own.images, run.own.images) for run in runs.values())
    assert torch.equal(flat(runs["skd"].teacher), flat(runs["random-subclasses"].teacher))
    kept = {name: flat(finished(run).student) for name, run in runs.items()}
    names = list(kept)
    assert all(not torch.equal(kept[a], kept[b]) for i, a in enumerate(names) for b in names[:i])
    assert torch.equal(flat(runs["skd"].teacher), flat(runs["kd"].teacher))
    none = finished(run_of("skd", distill_weight=0.0))
    torch.testing.assert_close(flat(none.student), kept["scratch"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prior", [True, False])
def test_unequal_groups_start_alike_with_the_prior_only(prior):
    x, s = blobs(400)
    source = Source((0.1 * x, s), [0, 0, 0, 1])
    networks = [students(source, "mlp", 64, range(6), prior), untrained_teacher(source, 0, 3, prior)]
    networks.append(students(source, "mlp", 64, range(6), prior, lambda outputs, seed: MLP(2, 64, outputs, seed)))
    for network, each in zip(networks, (True, False, True), strict=True):
        z = logits_of(network, source[:].images[:, None] if each else source[:].images)
        share = float(class_probabilities(z, source.parents)[..., 0].mean())
        assert share == pytest.approx(0.5 if prior else 0.75, abs=0.08)


def test_a_network_without_a_last_bias_is_warned_of():
    source = Source(blobs(), [0, 0, 0, 1])
    with pytest.warns(ExploreWarning, match="no last linear layer with biases"):
        students(source, "mlp", 4, [0], True, lambda outputs, _: nn.Linear(2, outputs, bias=False))
    students(source, "mlp", 4, [0], False, lambda outputs, _: nn.Linear(2, outputs, bias=False))
    students(Source(blobs(), PARENTS), "mlp", 4, [0], True, lambda outputs, _: nn.Linear(2, outputs, bias=False))


@pytest.mark.parametrize("stop", [2, 3, 5])
def test_a_run_resumes_to_the_same_bits(stop):
    whole, first, second = finished(run_of()), run_of(), run_of()
    for _ in range(stop):
        first.advance()
    second.step = first.step
    second.restore(first.state())
    finished(second)
    assert torch.equal(flat(second.student), flat(whole.student))
    assert torch.equal(flat(second.teacher), flat(whole.teacher))


# ---- a study


def test_one_student_of_a_study_is_a_run_of_its_own(monkeypatch):
    """They share pool and seeds but for the images that a run holds out, so nothing is held out here; batches are run 0's."""
    kept = []
    make = study_module.students
    monkeypatch.setattr(study_module, "students", lambda *given: kept.append(make(*given)) or kept[-1])
    order = Source.order
    monkeypatch.setattr(Source, "order", lambda self, seed, holdout=0: (order(self, seed, 8)[0], order(self, seed)[1]))
    shared = {"teacher_width": 0, "seed": 3, "batch": 16, "learning_rate": 0.02}
    methods = ["scratch", "kd", "skd", "labels-only", "random-subclasses"]
    data = small_set(60).grouped(PARENTS)
    study = finished(
        StudyRun(
            StudyConfig(methods=methods, seeds=2, labels=[32], widths=[6], updates=8, teacher_updates=6, **shared), (data, data)
        )
    )
    images = data.batch()
    found = logits_of(kept[0], images[:, None])
    for k, method in enumerate(methods):
        one = SubclassConfig.make(method=method, labels=32, width=6, epochs=4, teacher_epochs=6, **shared)
        run = finished(SubclassRun(one, data))
        mine = logits_of(run.student, images[:, None])[:, 0]
        torch.testing.assert_close(found[:, 2 * k], mine, rtol=1e-3, atol=1e-3)
        scores = report(class_probabilities(mine.double(), PARENTS), data.labels)
        for name in ("accuracy", "f1", "auc", "brier"):
            kept_score = float(study.snapshot().score.sel(measure=name, lesson=method)[0, 0, 0, 0, 0])
            assert kept_score == pytest.approx(scores[name], abs=5e-3)
        assert stream_seed(3, "student") != stream_seed(4, "student")


def test_subclasses_help_a_wide_student_and_hurt_a_narrow_one():
    """Digits at 8×8, 50 labels, five runs: with 16 hidden units SKD beats scratch, with 2 it does not."""
    options = StudyConfig(methods=["scratch", "skd"], labels=[50], widths=[2, 16], seeds=5)
    score = finished(StudyRun(options, load("digits", size=8, margin=0))).snapshot().score.sel(measure="accuracy")
    gain = (score.sel(lesson="skd") - score.sel(lesson="scratch")).mean("run").squeeze()
    assert float(gain.sel(width=16)) > 0.03
    assert float(gain.sel(width=2)) < 0
    assert not math.isnan(float(score.min()))
    assert np.ptp(score.sel(width=16, lesson="skd").values) > 0
