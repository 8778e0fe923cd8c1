"""The images of subclass runs: training images, held-out images, and data that are refused."""

from __future__ import annotations

import pytest
import torch
from subclass_toys import PARENTS, blobs, make_run, run_to_end, small_set

from explore.errors import InvalidInput, UnknownName
from explore.subclass import train
from explore.subclass.config import StudyConfig, SubclassConfig
from explore.subclass.run import SubclassRun
from explore.subclass.training_data import SubclassData, with_subclasses

pytestmark = pytest.mark.usefixtures("_one_thread")


@pytest.mark.parametrize("holdout", [1, 20, 24, 10**6])
def test_held_out_images_are_not_trained_on(holdout):
    run = make_run(holdout=holdout)
    rows = {tuple(row) for row in run.held.images.tolist()}
    assert len(rows) == len(run.held) == min(holdout, 24)  # at most a fifth of 120
    assert not rows & {tuple(row) for row in run.own.images.tolist()}
    assert not rows & {tuple(row) for row in run.teacher_fit.images.tolist()}
    assert len(run.own) == len(run.teacher_fit.images) == 120 - len(rows)
    assert run.snapshot().sizes["image"] == len(rows)


def test_training_sets_are_nested_and_the_teacher_has_the_images_of_the_student():
    sizes = (10, 30, 70)
    own = [{tuple(row) for row in make_run(labels=n).own.images.tolist()} for n in sizes]
    assert [len(rows) for rows in own] == list(sizes)
    assert own[0] < own[1] < own[2]
    teacher = {
        tuple(row) for row in make_run(labels=10, teacher_images=30).teacher_fit.images.tolist()
    }
    assert teacher == own[1]
    assert {tuple(row) for row in make_run(labels=10, seed=1).own.images.tolist()} != own[0]


def test_orders_are_permutations_that_depend_on_the_seed_alone():
    source = SubclassData(blobs(), PARENTS)
    holdout, rest = source.order(3, 20)
    assert sorted(torch.cat([holdout, rest]).tolist()) == list(range(120))
    assert torch.equal(rest, SubclassData(blobs(seed=5), PARENTS).order(3, 20)[1])
    assert torch.equal(torch.cat([holdout, rest]), source.order(3)[1])
    assert not torch.equal(rest, source.order(4, 20)[1])


def test_tensors_become_training_data():
    x, s = blobs()
    source = SubclassData((x.double(), s.to(torch.uint8)), torch.tensor(PARENTS))
    assert source[:].images.dtype == torch.float32
    assert torch.equal(source[:].labels, torch.tensor(PARENTS)[s])
    assert torch.equal(source[:].subclasses, s)
    assert (source.shape, source.parents, len(source)) == ((2,), tuple(PARENTS), 120)
    assert source.describe()["shape"] == [120, 2]
    assert source.describe()["sha256"] != SubclassData((x + 1, s), PARENTS).describe()["sha256"]


def test_sets_have_default_given_or_own_superclasses():
    assert SubclassData("digits").parents == (0,) * 5 + (1,) * 5
    assert SubclassData("digits", [1, 0] * 5).class_names == (
        "1 + 3 + 5 + 7 + 9",
        "0 + 2 + 4 + 6 + 8",
    )
    own = small_set().grouped([0, 0, 1, 1])
    assert with_subclasses(own) is own
    assert SubclassData(own).parents == (0, 0, 1, 1)
    regrouped = with_subclasses(own, [1, 0, 0, 1])
    assert torch.equal(regrouped.subclasses, own.subclasses)
    assert torch.equal(regrouped.labels, torch.tensor([1, 0, 0, 1])[own.subclasses])
    torch.testing.assert_close(SubclassData(own)[:].images, own.batch())
    with pytest.raises(
        InvalidInput,
        match=r"small has no subclasses; pass parents=.*the superclass of each of its 4 classes",
    ):
        SubclassData(small_set())


X, S = blobs()
DAMAGED = X.clone()
DAMAGED[7] = float("nan")
DAMAGED[9, 1] = float("inf")


@pytest.mark.parametrize(
    ("data", "parents", "options", "words"),
    [
        ((X, S), None, {}, r"tensors have no superclasses; pass parents="),
        ((DAMAGED, S), PARENTS, {}, "2 images hold NaN or Inf, the first is number 7"),
        (
            (X, S),
            [0, 1, 0],
            {},
            r"sample 3 has subclass 3; there are 0..2, as parents has 3 entries",
        ),
        ((X, S - 1), PARENTS, {}, "sample 0 has subclass -1"),
        ((X, S), [0, 2, 0, 2], {}, "leave class 1 without a subclass"),
        (
            (X, S),
            [0, 1, 0, 1, 2],
            {},
            "class 'class 2' has no image among the 120 training images; every class needs",
        ),
        ((X, S[:-1]), PARENTS, {}, r"subclasses must be integers \[120\], got torch.int64 \[119\]"),
        ((X, S.float()), PARENTS, {}, "subclasses must be integers"),
        ((X, S[:, None]), PARENTS, {}, "subclasses must be integers"),
        ((X[:0], S[:0]), PARENTS, {}, r"images must be float \[N, ...\] with N ≥ 1"),
        ((S, S), PARENTS, {}, "images must be float"),
        ((X.long(), S), PARENTS, {}, "images must be float .* got torch.int64"),
        (
            (X, S),
            PARENTS,
            {"classes": 1 - S % 2},
            "sample 0 has label 1, but its subclass 0 belongs to class 0",
        ),
        ((X, S), PARENTS, {"classes": S[:5] % 2}, "two lists of one length"),
        (3, PARENTS, {}, "data must be"),
        ("digits", [0, 1], {}, "parents has 2 entries, but there are 10"),
        ("digits", [0, 2] * 5, {}, "leave class 1 without"),
        ({"name": "tensors"}, PARENTS, {}, "this run was made from tensors"),
    ],
)
def test_bad_data_are_refused(data, parents, options, words):
    with pytest.raises(InvalidInput, match=words):
        SubclassData(data, parents, **options)


def test_a_subclass_may_have_no_images():
    assert len(SubclassData((X, S.clamp(max=2)), PARENTS)) == 120


def test_train_accepts_tensors_and_matching_labels():
    run = run_to_end(
        train(
            *blobs(400),
            PARENTS,
            classes=blobs(400)[1] % 2,
            epochs=2,
            teacher_epochs=2,
            width=3,
            seed=4,
        )
    )
    assert (run.name, run.step, len(run.held)) == ("skd", 4, 80)
    assert run.student(run.held.images).shape == (80, 4)
    with pytest.raises(InvalidInput, match="sample 1 has label 0"):
        train(X, S, PARENTS, classes=S * 0)


def test_train_uses_all_of_few_images():
    assert len(train(X, S, PARENTS, holdout=20, labels=0).own) == 100


def test_the_student_of_train_can_be_a_convnet():
    images = torch.randn(400, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    run = train(
        images, torch.arange(400) % 4, PARENTS, "scratch", student="convnet", width=4, epochs=1
    )
    assert "ConvNet" in repr(run.student)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"labels": 101},
            "labels=101, but the training set has 100 images besides 20 that are held out",
        ),
        ({"teacher_images": 101}, "teacher_images=101, but"),
        (
            {"labels": 1},
            "class 'class [01]' has no image among the 1 images of the student",
        ),
        ({"labels": 50, "teacher_images": 1}, "has no image among the 1 images of the teacher"),
        (
            {"curriculum": True},
            "curriculum needs the agreement of annotators, which tensors does not have",
        ),
        ({"width": 0}, "width must be a whole number of at least 1"),
        ({"temperature": 0}, "temperature must be a number of at least 0.001"),
        ({"distill_weight": 2}, "distill_weight must be a number of at least 0 and of at most 1"),
        ({"student": "convnet"}, "a convnet takes square images"),
        ({"wider": 3}, "has no option 'wider'"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(InvalidInput, match=words):
        run_to_end(make_run(**options))


def test_unknown_methods_are_refused():
    with pytest.raises(UnknownName):
        make_run("skid")
    with pytest.raises(UnknownName):
        SubclassConfig.make(method="skid")
    with pytest.raises(UnknownName):
        StudyConfig(methods=["skid"])


def test_a_curriculum_starts_with_full_agreement():
    agreement = torch.tensor([1.0, 0.5, 0.75, 1.0] * 10)
    run = SubclassRun(
        SubclassConfig(labels=0, epochs=6, teacher_epochs=1, curriculum=True),
        small_set(agreement=agreement).grouped(PARENTS),
    )
    indices, own = run.curriculum(), agreement[run.source.order(0, 200)[1]]
    for epoch, least in enumerate([1.0, 1.0, 0.75, 0.75, 0.5, 0.5]):
        assert indices(epoch).tolist() == (own >= least).nonzero().flatten().tolist()
    assert run_to_end(run).step == 7
