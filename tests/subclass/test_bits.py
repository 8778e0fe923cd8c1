"""Label bits: the chain rule against SciPy, bounds, limits, counts and a known curve."""

from __future__ import annotations

from itertools import pairwise
from math import log, log2

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy as nats

from explore.errors import InvalidInput, UnknownName
from explore.subclass import count_bits, label_bits
from explore.subclass.label_information import class_sums, entropy, information, softmax

MAPS = [[0, 0, 1, 1], [0, 1, 0, 1, 0], [1, 0, 0, 0], [0, 1, 2], [0, 0, 0], [2, 0, 1, 0, 2, 2]]
maps = pytest.mark.parametrize("parents", MAPS, ids=str)
BIT_KINDS = ("soft", "hard", "mutual", "argmax")
FROM_LOGITS = ("soft", "mutual", "argmax")


def random_logits(parents, n: int = 50, seed: int = 0, scale: float = 2.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, (n, len(parents)))


def plain_softmax(z: np.ndarray, temperature: float) -> np.ndarray:
    e = np.exp((z - z.max(1, keepdims=True)) / temperature)
    return e / e.sum(1, keepdims=True)


def plain_sums(q: np.ndarray, parents) -> np.ndarray:
    return np.stack(
        [
            q[:, [j for j, p in enumerate(parents) if p == k]].sum(1)
            for k in range(max(parents) + 1)
        ],
        1,
    )


def bits_within_classes(q: np.ndarray, parents) -> float:
    """Return the mean of Σ_k c_k H(q | k) in bits, the other side of the chain rule."""
    total = np.zeros(len(q))
    for k in range(max(parents) + 1):
        members = q[:, [j for j, p in enumerate(parents) if p == k]]
        total += members.sum(1) * nats(members / members.sum(1, keepdims=True), base=2, axis=1)
    return float(total.mean())


def max_bits(parents) -> float:
    return log2(np.bincount(parents).max())


# ---- soft


@maps
@pytest.mark.parametrize("temperature", [0.3, 1, 4, 30])
def test_the_chain_rule_holds(parents, temperature):
    z = random_logits(parents)
    q = plain_softmax(z, temperature)
    expected = nats(q, base=2, axis=1).mean() - nats(plain_sums(q, parents), base=2, axis=1).mean()
    assert label_bits(z, parents, temperature) == pytest.approx(expected, abs=1e-9)
    assert label_bits(z, parents, temperature) == pytest.approx(
        bits_within_classes(q, parents), abs=1e-9
    )


@given(
    arrays(float, (7, 4), elements=st.floats(-300, 300)),
    st.sampled_from([[0, 0, 1, 1], [0, 1, 1, 1], [0, 1, 2, 3]]),
    st.floats(0.05, 100),
)
def test_bounds_hold_of_any_logits(z, parents, temperature):
    soft, mutual = (label_bits(z, parents, temperature, kind) for kind in ("soft", "mutual"))
    assert -1e-12 <= soft <= max_bits(parents) + 1e-12
    assert (
        -1e-12 <= mutual <= max_bits(parents) + 1e-12
    )  # ≥ 0, because sums over classes can only lose information
    assert -1e-12 <= label_bits(z, parents, kind="argmax") <= max_bits(parents) + 1e-12


@maps
def test_a_certain_teacher_has_no_soft_bits(parents):
    z = 1e4 * np.eye(len(parents))[np.arange(40) % len(parents)]
    assert label_bits(z, parents) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_a_label_uniform_within_its_class_has_log2_k(k):
    for classes in (1, 2, 3):
        parents = [c for c in range(classes) for _ in range(k)]
        z = np.repeat(random_logits(range(classes)), k, axis=1)
        assert label_bits(z, parents) == pytest.approx(log2(k), abs=1e-12)


def test_with_one_subclass_a_class_nothing_is_added():
    z = random_logits(range(4))
    for kind in FROM_LOGITS:
        assert label_bits(z, [2, 0, 3, 1], 2.0, kind) == pytest.approx(0, abs=1e-12)
    assert label_bits(np.arange(12) % 4, [2, 0, 3, 1], kind="hard") == pytest.approx(0, abs=1e-12)


@maps
def test_limits_of_the_temperature(parents):
    z = random_logits(parents)
    sizes = np.bincount(parents)
    blank = (sizes / len(parents) * np.log2(sizes)).sum()  # a uniform label over subclasses
    assert label_bits(z, parents, 1e7) == pytest.approx(blank, abs=1e-6)
    assert label_bits(z, parents, 1e7, "mutual") == pytest.approx(0, abs=1e-6)
    assert label_bits(z, parents, 1e-3) == pytest.approx(0, abs=1e-2)
    assert label_bits(z, parents, 1e-6, "mutual") == pytest.approx(
        label_bits(z, parents, kind="argmax"), abs=1e-9
    )


def test_a_vanishing_temperature_is_the_limit_and_not_nan():
    assert label_bits([[0.0, 1.0, 9.0]], [0, 0, 1], 1e-308) == pytest.approx(0, abs=1e-12)


# ---- the others


@maps
def test_mutual_information_by_its_other_formula(parents):
    """E KL(q ‖ E q) − E KL(c ‖ E c)."""
    q = plain_softmax(random_logits(parents), 1.5)
    c = plain_sums(q, parents)
    expected = sum(
        sign * nats(p, p.mean(0)[None].repeat(len(p), 0), base=2, axis=1).mean()
        for sign, p in ((1, q), (-1, c))
    )
    assert label_bits(random_logits(parents), parents, 1.5, "mutual") == pytest.approx(
        expected, abs=1e-9
    )
    assert information(q) - information(c) == pytest.approx(expected, abs=1e-9)


def test_equal_samples_have_no_mutual_bits():
    z = random_logits(range(4), 1).repeat(9, 0)
    assert label_bits(z, [0, 0, 1, 1], kind="mutual") == pytest.approx(0, abs=1e-12)
    assert label_bits(z, [0, 0, 1, 1], kind="argmax") == pytest.approx(0, abs=1e-12)
    assert label_bits(z, [0, 0, 1, 1]) > 0.1


@maps
def test_hard_and_argmax_are_the_entropies_of_counts(parents):
    z = random_logits(parents, 200)
    subclasses = z.argmax(1)
    counts = np.bincount(subclasses, minlength=len(parents))
    classes = np.bincount(np.array(parents)[subclasses])
    expected = nats(counts, base=2) - nats(classes, base=2)
    assert label_bits(z, parents, kind="argmax") == pytest.approx(expected, abs=1e-9)
    assert label_bits(subclasses, parents, kind="hard") == pytest.approx(expected, abs=1e-9)
    assert label_bits(torch.from_numpy(subclasses), parents, kind="hard") == pytest.approx(
        expected, abs=1e-9
    )
    assert count_bits(counts, parents) == pytest.approx(expected, abs=1e-9)


def test_the_temperature_counts_for_soft_and_mutual_alone():
    z = random_logits(range(4))
    for kind in BIT_KINDS:
        values = z.argmax(1) if kind == "hard" else z
        assert (
            label_bits(values, [0, 0, 1, 1], 1.0, kind)
            == label_bits(values, [0, 0, 1, 1], 9.0, kind)
        ) == (kind in ("hard", "argmax"))


@maps
@pytest.mark.parametrize("kind", FROM_LOGITS)
def test_bits_are_invariant(parents, kind):
    z, order = random_logits(parents), np.random.default_rng(5).permutation(len(parents))
    bits = label_bits(z, parents, 2.0, kind)
    assert label_bits(z[:, order], np.array(parents)[order], 2.0, kind) == pytest.approx(
        bits, abs=1e-9
    )
    shifts = np.random.default_rng(6).normal(0, 50, (len(z), 1))
    assert label_bits(z + shifts, parents, 2.0, kind) == pytest.approx(bits, abs=1e-9)
    assert label_bits(z[::-1], parents, 2.0, kind) == pytest.approx(bits, abs=1e-9)
    if kind != "argmax":
        assert label_bits(z * 3, parents, 6.0, kind) == pytest.approx(bits, abs=1e-9)


def test_bits_are_nats_over_ln_2():
    q = plain_softmax(random_logits(range(5)), 1)
    np.testing.assert_allclose(entropy(q), nats(q, axis=1) / log(2), atol=1e-12)
    assert entropy([0.5, 0.5, 0]) == 1
    assert count_bits([1, 1], [0, 0]) == pytest.approx(nats([1, 1]) / log(2))


@pytest.mark.parametrize("kind", FROM_LOGITS)
def test_arrays_tensors_and_lists_are_accepted(kind):
    z = np.round(random_logits(range(4)) * 8) / 8  # exact in half precision
    expected = label_bits(z, [0, 0, 1, 1], kind=kind)
    tensor = torch.tensor(z, requires_grad=True)
    for same in (z.tolist(), tensor, tensor.float(), tensor.half(), z.astype(np.float16)):
        assert label_bits(same, torch.tensor([0, 0, 1, 1]), kind=kind) == pytest.approx(
            expected, abs=1e-6
        )
    assert isinstance(expected, float)


def test_a_tensor_in_float64_is_no_less_precise_than_an_array():
    z = random_logits(range(4)) + 1e6
    assert label_bits(torch.tensor(z), [0, 0, 1, 1]) == pytest.approx(
        label_bits(z, [0, 0, 1, 1]), abs=1e-9
    )


def test_a_masked_subclass_counts_as_absent():
    z = random_logits(range(4))
    masked = np.c_[z[:, :2], np.full(len(z), -np.inf), z[:, 2:]]
    for kind in FROM_LOGITS:
        expected = label_bits(z, [0, 0, 1, 1], 2.0, kind)
        assert label_bits(masked, [0, 0, 0, 1, 1], 2.0, kind) == pytest.approx(expected, abs=1e-12)
        assert label_bits(torch.tensor(masked), [0, 0, 2, 1, 1], 2.0, kind) == pytest.approx(
            expected, abs=1e-5
        )  # a class of its own
    np.testing.assert_array_equal(softmax([-np.inf, 0, 0]), [0, 0.5, 0.5])


def test_class_sums():
    np.testing.assert_allclose(class_sums([[0.1, 0.2, 0.3, 0.4]], [1, 0, 1, 2]), [[0.2, 0.4, 0.4]])
    np.testing.assert_allclose(class_sums([0.4, 0.3, 0.3], [0, 1, 1]), [0.4, 0.6])


# ---- known numbers


HISTOGRAM = np.array([537, 497, 302, 209, 151, 106, 154, 219])
"""Training images of MHIST by votes for SSA, 0 to 7 (section 11.1 of the specification)."""


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        (((4, 5), (6, 7)), 0.9330),
        (((4, 5, 6), (7,)), 0.9319),
        (((4,), (5, 6, 7)), 0.6363),
        (((4,), (5,), (6,), (7,)), 1.9204),
    ],
)
def test_bands_of_agreement_in_mhist(bands, expected):
    votes = np.arange(8)
    agreement = np.maximum(votes, 7 - votes)
    counts = [
        HISTOGRAM[(votes >= 4) == label][np.isin(agreement[(votes >= 4) == label], band)].sum()
        for label in (0, 1)
        for band in bands
    ]
    parents = [label for label in (0, 1) for _ in bands]
    assert sum(counts) == 2175
    assert count_bits(counts, parents) == pytest.approx(expected, abs=5e-5)
    assert label_bits(
        np.repeat(np.arange(len(counts)), counts), parents, kind="hard"
    ) == pytest.approx(expected, abs=5e-5)


def test_the_class_entropy_of_mhist():
    """H(Y) is H(S | nothing): all subclasses in one class."""
    assert count_bits([HISTOGRAM[:4].sum(), HISTOGRAM[4:].sum()], [0, 0]) == pytest.approx(
        0.8683, abs=5e-5
    )
    assert nats(HISTOGRAM, base=2) == pytest.approx(1.9204 + 0.8683, abs=2e-4)


TEMPERATURES = (0.25, 0.5, 1, 2, 4, 8, 16, 64)
SOFT = (0.213, 0.392, 0.639, 0.851, 0.954, 0.988, 0.997, 1.000)
MUTUAL = (0.787, 0.607, 0.360, 0.149, 0.046, 0.012, 0.003, 0.000)


def test_the_curve_of_four_blobs():
    """The table of section 11.1. The far axis (±2) gives the class, the near one (±0.8) the subclass."""
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(0)
    subclasses = np.arange(4000) % 4
    x = np.array([[-2, -0.8], [-2, 0.8], [2, -0.8], [2, 0.8]])[subclasses] + generator.normal(
        size=(4000, 2)
    )
    z = LogisticRegression(C=1e6, max_iter=1000).fit(x, subclasses).decision_function(x)
    soft, mutual = (
        [label_bits(z, [0, 0, 1, 1], t, kind) for t in TEMPERATURES] for kind in ("soft", "mutual")
    )
    np.testing.assert_allclose(soft, SOFT, atol=0.02)
    np.testing.assert_allclose(mutual, MUTUAL, atol=0.02)
    assert all(a < b for a, b in pairwise(soft))
    assert all(a > b for a, b in pairwise(mutual))
    assert label_bits(subclasses, [0, 0, 1, 1], kind="hard") == pytest.approx(0.9998, abs=5e-4)
    swapped = [
        label_bits(z, [0, 1, 0, 1], t) for t in TEMPERATURES
    ]  # another curve: the near axis is the class
    assert np.abs(np.array(swapped) - SOFT).max() > 0.3


# ---- bad input


@pytest.mark.parametrize(
    ("z", "words"),
    [
        ([[0.0, 1.0]], "parents has 3 entries, but there are 2 subclasses"),
        ([0.0, 1.0, 2.0], r"logits must be numbers \[N, S\] with N ≥ 1, got float64 \[3\]"),
        (np.zeros((0, 3)), r"\[0, 3\]"),
        (np.zeros((2, 2, 3)), r"\[2, 2, 3\]"),
        ([["a", "b", "c"]], "logits must be an array of numbers"),
        (None, "logits must be an array of numbers, got None"),
        (
            [[0, 0, 0], [0, np.nan, 0], [np.inf, 0, 0]],
            "logits of 2 samples hold NaN .* the first is number 1",
        ),
        (
            [[0, 0, 0], [0, 0, 0], [-np.inf] * 3],
            "logits of 1 samples hold .* the first is number 2",
        ),
        (torch.tensor([[0, np.inf, 0.0]]), "hold NaN or .Inf"),
    ],
)
@pytest.mark.parametrize("kind", FROM_LOGITS)
def test_bad_logits_are_refused(z, words, kind):
    with pytest.raises(InvalidInput, match=words):
        label_bits(z, [0, 0, 1], kind=kind)


@pytest.mark.parametrize(
    ("subclasses", "words"),
    [
        (
            [[0, 1]],
            r'kind="hard" takes the subclass of each sample, integers \[N\] .* got int64 \[1, 2\]',
        ),
        ([0.0, 1.0], "got float64"),
        (torch.tensor([0.0]), "got float32"),
        ([], "N ≥ 1"),
        ([True], "got bool"),
        ([0, 2, 3, -1], r"sample 2 has subclass 3; there are 0..2"),
        ([0, -1, 3], "sample 1 has subclass -1"),
    ],
)
def test_bad_subclasses_are_refused(subclasses, words):
    with pytest.raises(InvalidInput, match=words):
        label_bits(subclasses, [0, 0, 1], kind="hard")


@pytest.mark.parametrize("temperature", [0, -1, np.nan, np.inf, True, "2", None])
def test_a_temperature_must_be_above_0(temperature):
    for kind in ("soft", "mutual"):
        with pytest.raises(InvalidInput, match="temperature must be a number above 0, got"):
            label_bits([[0.0, 1.0]], [0, 1], temperature, kind)


@pytest.mark.parametrize("counts", [[0, 0], [1, -1], [1, np.nan], [np.inf, 1], [[1, 2]], 3, []])
def test_counts_must_be_counts(counts):
    with pytest.raises(InvalidInput):
        count_bits(counts, [0, 1])


def test_counts_must_fit_the_parents_and_the_kind_must_exist():
    with pytest.raises(InvalidInput, match="2 entries, but there are 3"):
        count_bits([1, 2, 3], [0, 1])
    with pytest.raises(InvalidInput, match="without a subclass"):
        label_bits([[0.0, 1.0]], [0, 2])
    with pytest.raises(UnknownName, match="mutual"):
        label_bits([[0.0, 1.0]], [0, 1], kind="mutal")
