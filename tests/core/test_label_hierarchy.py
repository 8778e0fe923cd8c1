"""Superclasses of subclasses: valid ones are returned, invalid ones refused with a number."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from explore.core.label_hierarchy import check_labels, check_superclasses
from explore.data import ImageSet, load
from explore.errors import InvalidInput


def small(labels: list[int] | None = None, **more) -> ImageSet:
    """Return six black images of three classes."""
    labels = [0, 1, 2, 2, 1, 0] if labels is None else labels
    images = torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8)
    return ImageSet("small", images, torch.tensor(labels), ("a", "b", "c"), (0.5,), (0.5,), **more)


# ---- check_superclasses


@pytest.mark.parametrize(
    "parents", [[0, 1, 0], (0, 1, 0), np.array([0, 1, 0], np.int16), np.array([0, 1, 0], np.uint64)]
)
@pytest.mark.parametrize("as_tensor", [False, True])
def test_lists_arrays_and_tensors_are_accepted(parents, as_tensor):
    checked = check_superclasses(
        torch.tensor(np.asarray(parents, np.int64)) if as_tensor else parents
    )
    assert checked.dtype == np.int64
    assert checked.tolist() == [0, 1, 0]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9))
def test_superclasses_are_accepted_if_their_numbers_have_no_gap(parents):
    if set(parents) == set(range(max(parents) + 1)):
        assert check_superclasses(parents).tolist() == parents
    else:
        gap = min(set(range(max(parents) + 1)) - set(parents))
        with pytest.raises(
            InvalidInput,
            match=rf"leave class {gap} without a subclass; classes must be 0..{max(parents)} ",
        ):
            check_superclasses(parents)


def test_the_result_is_a_copy():
    own = np.array([0, 1])
    check_superclasses(own)[0] = 7
    assert own.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("parents", "words"),
    [
        ([], "parents must be a list of integers, .* shape \\[0\\]"),
        ([[0, 1]], "shape \\[1, 2\\]"),
        (0, "shape \\[\\]"),
        ([0.0, 1.0], "float64"),
        ([True, False], "bool of shape"),
        (None, "got None"),
        (["a"], "must be a list of integers"),
        ([0, 10**30], "must be a list of integers"),
        (torch.tensor([0.0, 1.0]), "float32"),
        ([0, -1, 1], "must be 0 or more; subclass 1 has -1"),
        ([0, 1, -3, -1], "subclass 2 has -3"),
        ([1, 1], "leave class 0 without a subclass; classes must be 0..1"),
        ([0, 0, 3, 1], "leave class 2 without a subclass"),
        ([0] * 25 + [2], "parents of 26 subclasses leave class 1 without"),
    ],
)
def test_invalid_superclasses_are_refused(parents, words):
    with pytest.raises(InvalidInput, match=words):
        check_superclasses(parents)


def test_a_ragged_list_is_refused():
    with pytest.raises(InvalidInput, match="must be a list of integers"):
        check_superclasses([[0], [1, 2]])


def test_the_numbers_of_subclasses_and_classes_must_fit():
    assert check_superclasses([0, 1, 1], 3, 2).tolist() == [0, 1, 1]
    with pytest.raises(
        InvalidInput, match="parents has 3 entries, but there are 4 subclasses; give one for each"
    ):
        check_superclasses([0, 1, 1], 4)
    with pytest.raises(
        InvalidInput, match=r"parents must be 0..1, as there are 2 classes; subclass 2 has 5"
    ):
        check_superclasses([0, 1, 5], classes=2)
    with pytest.raises(
        InvalidInput, match=r"leave class 2 without a subclass; classes must be 0..2"
    ):
        check_superclasses([0, 1, 1], classes=3)


@pytest.mark.parametrize(
    "arguments", [([0, 2**62],), ([0, 10**9],), ([0, 5000],), ([0, 1], None, 10**12)]
)
def test_a_huge_class_number_allocates_no_memory(arguments):
    tracemalloc.start()
    with pytest.raises(InvalidInput, match="without a subclass"):
        check_superclasses(*arguments)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1e6


def test_many_subclasses_are_accepted():
    many = np.arange(3000)
    assert (check_superclasses(many) == many).all()
    assert check_superclasses(np.r_[many, 0]).max() == 2999


# ---- check_labels


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_labels_that_fit_the_superclasses_are_accepted(kind):
    check_labels(kind([0, 1, 0, 0]), kind([0, 1, 2, 0]), [0, 1, 0])


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.data())
def test_the_first_offending_sample_is_named(subclasses, data):
    parents = [0, 1, 1, 0]
    labels = [parents[s] for s in subclasses]
    check_labels(labels, subclasses, parents)
    wrong = sorted(data.draw(st.sets(st.integers(0, len(labels) - 1), min_size=1)))
    for k in wrong:
        labels[k] = 1 - labels[k]
    first = wrong[0]
    words = f"sample {first} has label {labels[first]}, but its subclass {subclasses[first]} belongs to class {1 - labels[first]};"
    with pytest.raises(InvalidInput, match=words):
        check_labels(labels, subclasses, parents)


@pytest.mark.parametrize(
    ("labels", "subclasses", "words"),
    [
        ([0, 1], [0], r"two lists of one length, got \[2\] and \[1\]"),
        ([[0, 1]], [[0, 1]], r"labels must be integers, .* shape \[1, 2\]"),
        (0, 0, r"labels must be integers, .* shape \[\]"),
        (None, [0, 1], "labels must be integers, the class of each sample; got None"),
        (
            [0, 1, 0],
            [0, 3, -1],
            r"sample 1 has subclass 3; there are 0..2, as parents has 3 entries",
        ),
        ([0, 1, 0], [0, -1, 7], "sample 1 has subclass -1"),
        ([0, 5], [0, 1], "sample 1 has label 5, but its subclass 1 belongs to class 1"),
    ],
)
def test_labels_and_subclasses_must_be_of_one_length_and_in_range(labels, subclasses, words):
    with pytest.raises(InvalidInput, match=words):
        check_labels(labels, subclasses, [0, 1, 0])


@pytest.mark.parametrize("subclasses", [[0.0, 1.0], [0, float("nan")], [False, True], ["0", "1"]])
def test_subclasses_that_are_no_integers_are_refused(subclasses):
    with pytest.raises(InvalidInput):
        check_labels([0, 1], subclasses, [0, 1])


def test_invalid_superclasses_are_reported_before_the_labels():
    with pytest.raises(InvalidInput, match="without a subclass"):
        check_labels([0, 2], [0, 1], [0, 2])


# ---- sets


def test_a_grouped_set_has_its_classes_as_subclasses():
    grouped = small().grouped([0, 1, 0])
    assert grouped.labels.tolist() == [0, 1, 0, 0, 1, 0]
    assert grouped.subclasses.tolist() == [0, 1, 2, 2, 1, 0]
    assert list(grouped.class_names) == ["a + c", "b"]
    assert list(grouped.subclass_names) == ["a", "b", "c"]
    assert list(grouped.parents) == [0, 1, 0]
    assert torch.equal(grouped.images, small().images)
    assert list(small().grouped([1, 0, 1], ("B", "AC")).class_names) == ["B", "AC"]


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_any_kind_of_list_groups(kind):
    assert list(small().grouped(kind([0, 0, 1])).parents) == [0, 0, 1]


def test_digits_are_grouped_into_halves():
    digits = load("digits", size=8, margin=0)
    halves = digits.grouped([0] * 5 + [1] * 5, ("low", "high"))
    assert torch.equal(halves.labels, (digits.labels >= 5).long())
    assert torch.equal(halves.subclasses, digits.labels)
    assert torch.equal(halves.batch([3, 5]), digits.batch([3, 5]))
    assert halves.sha256 != digits.sha256
    some = halves.subset([4, 9])
    assert some.subclasses.tolist() == halves.subclasses[[4, 9]].tolist()
    assert list(some.parents) == list(halves.parents)


@pytest.mark.parametrize(
    ("parents", "words"),
    [
        ([0, 1], "parents has 2 entries, but there are 3 subclasses"),
        ([0, 2, 0], "leave class 1 without"),
        ([0, -1, 0], "subclass 1 has -1"),
        ([0, 10**15, 1], "without a subclass"),
    ],
)
def test_a_grouping_that_does_not_fit_the_set_is_refused(parents, words):
    with pytest.raises(InvalidInput, match=words):
        small().grouped(parents)


def test_too_few_or_too_many_names_are_refused():
    for names in (("one",), ("one", "two", "three")):
        with pytest.raises(InvalidInput):
            small().grouped([0, 1, 0], names)


def test_a_set_with_parents_is_checked_when_it_is_created():
    names = {"subclass_names": ("p", "q", "r"), "parents": (0, 1, 2)}
    assert len(small(subclasses=torch.tensor([0, 1, 2, 2, 1, 0]), **names)) == 6
    with pytest.raises(InvalidInput, match="parents need subclasses"):
        small(**names)
    with pytest.raises(
        InvalidInput, match="sample 3 has label 2, but its subclass 1 belongs to class 1"
    ):
        small(subclasses=torch.tensor([0, 1, 2, 1, 1, 0]), **names)
    with pytest.raises(InvalidInput, match="sample 2 has subclass 3"):
        small(subclasses=torch.tensor([0, 1, 3, 1, 1, 0]), **names)
    with pytest.raises(InvalidInput, match="3 entries, but there are 2 subclasses"):
        small(
            subclasses=torch.tensor([0, 1, 1, 1, 1, 0]),
            subclass_names=("p", "q"),
            parents=(0, 1, 2),
        )
    with pytest.raises(
        InvalidInput, match="leave class 2 without a subclass"
    ):  # the set has three classes
        small(
            [0, 1, 1], subclasses=torch.tensor([0, 1, 1]), subclass_names=("p", "q"), parents=(0, 1)
        )
