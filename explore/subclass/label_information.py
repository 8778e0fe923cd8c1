"""Label bits: how much a teacher's label says beyond the class, by four definitions; plain NumPy, float64, log base 2."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explore.core.label_hierarchy import as_array, check_parents, check_subclasses
from explore.core.validation import check_number
from explore.errors import InvalidInput, UnknownName

Kind = Literal["soft", "hard", "mutual", "argmax"]
KINDS = get_args(Kind)
Floats = NDArray[np.float64]


def label_bits(
    subclass_logits: Any, parents: ArrayLike, temperature: float = 1.0, kind: Kind = "soft"
) -> float:
    """Bits per sample that subclass labels carry beyond class labels. "More bits" depends on the definition:

    - ``"soft"``: E_x[H(q) − H(c)], the spread of the soft label *within* its class. Rises with the temperature,
      to the entropy of the uniform label within a class: at high T it is mostly blank uniformity.
    - ``"mutual"``: [H(E q) − E H(q)] − [H(E c) − E H(c)], what the soft label says *about the sample*.
      Falls to 0 as T → ∞.
    - ``"hard"``: H(S) − H(Y) of given labels: what labels from a person can say. No model, no temperature.
    - ``"argmax"``: the same of the teacher's most likely subclass: what a teacher without soft labels can say.

    Here q is the softmax over subclasses at the temperature, c its sums over classes, H the entropy.

    Args:
        subclass_logits: ``[N, S]``, an array or a tensor; for ``kind="hard"`` the subclass of each sample, integers ``[N]``.
        parents: class of each subclass, ``[S]``.
        temperature: T > 0, for soft and mutual.
        kind: one of the four.

    Returns:
        Bits (not nats) per sample.

    Raises:
        UnknownName: another kind.
        InvalidInput: logits of another width than ``parents``, NaN, +Inf, a sample without a finite logit, no samples, T ≤ 0.

    Source: the 0.4656 bits of arXiv 2109.05587 and 2207.08063 are reported there without a readable definition. The four
    are our reading of what such a number may mean; see ``explore.subclass.count_bits`` for the first from counts alone.

    Example:
        >>> label_bits([[0.0, 0.0, 9.0]], [0, 0, 1], temperature=1e6)   # 2/3 of the label in a class of two
        0.666...
        >>> label_bits([0, 1, 2, 3], [0, 0, 1, 1], kind="hard")
        1.0
    """
    if kind not in KINDS:
        raise UnknownName("kind of label bits", kind, KINDS)
    if kind == "hard":
        known = check_parents(parents)
        given = as_array(subclass_logits)
        if given.ndim != 1 or not len(given) or not np.issubdtype(given.dtype, np.integer):
            wanted = 'kind="hard" takes the subclass of each sample, integers [N] with N ≥ 1, in place of logits'
            raise InvalidInput(f"{wanted}; got {given.dtype} {list(given.shape)}")
        found = check_subclasses(given, len(known))
        return count_bits(np.bincount(found, minlength=len(known)), known)
    z = check_logits(subclass_logits)
    known = check_parents(parents, z.shape[-1])
    if kind == "argmax":
        return count_bits(np.bincount(z.argmax(-1), minlength=len(known)), known)
    q = softmax(z, temperature)
    c = class_sums(q, known)
    if kind == "soft":
        return float((entropy(q) - entropy(c)).mean())
    return information(q) - information(c)


def count_bits(counts: ArrayLike, parents: ArrayLike) -> float:
    """H(S | Y) in bits from how many samples each subclass has: ``label_bits(kind="hard")`` without the samples.

    Args:
        counts: samples of each subclass, ``[S]``, 0 or more, not all 0.
        parents: class of each subclass, ``[S]``.

    Example:
        >>> round(count_bits([6, 2, 4, 4], [0, 0, 1, 1]), 4)
        0.9056
    """
    n = as_array(counts)
    if not (np.issubdtype(n.dtype, np.integer) or np.issubdtype(n.dtype, np.floating)):
        raise InvalidInput(f"counts must be numbers, got {n.dtype}")
    n = n.astype(np.float64)
    known = check_parents(parents, n.shape[0] if n.ndim == 1 else None)
    if n.ndim != 1 or not np.isfinite(n).all() or (n < 0).any() or not n.sum():
        raise InvalidInput(f"counts must be one number ≥ 0 a subclass, not all 0; got {n.tolist()}")
    p = n / n.sum()
    return float(entropy(p) - entropy(class_sums(p, known)))


def softmax(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """exp(z / T) over the last axis, normalised; −Inf logits get 0.

    Raises:
        InvalidInput: T is not above 0.
    """
    check_number("temperature", temperature, above=0)
    z = np.asarray(logits, np.float64)
    with np.errstate(over="ignore"):  # of a temperature so small that only the largest is left
        e = np.exp((z - z.max(-1, keepdims=True)) / temperature)
    return e / e.sum(-1, keepdims=True)


def class_sums(probabilities: ArrayLike, parents: ArrayLike) -> Floats:
    """Sums over the subclasses of each class: ``[..., S]`` to ``[..., C]``."""
    known = check_parents(parents, np.shape(probabilities)[-1])
    return np.asarray(probabilities, np.float64) @ np.eye(known.max() + 1)[known]


def entropy(probabilities: ArrayLike) -> Floats:
    """−Σ p log₂ p over the last axis, in bits; 0 log 0 = 0."""
    p = np.asarray(probabilities, np.float64)
    return -(p * np.log2(np.where(p > 0, p, 1))).sum(-1)


def information(probabilities: ArrayLike) -> float:
    """H(E p) − E H(p) in bits: what a soft label ``[N, K]`` says about which of the N samples it is of."""
    p = np.asarray(probabilities, np.float64)
    return float(entropy(p.mean(0)) - entropy(p).mean())


def check_logits(logits: Any) -> Floats:
    """Logits ``[N, S]`` as float64; −Inf is a mask, NaN and +Inf are refused, and so is a sample that has nothing else."""
    z = as_array(logits)
    if (
        z.ndim != 2
        or not z.size
        or not (np.issubdtype(z.dtype, np.integer) or np.issubdtype(z.dtype, np.floating))
    ):
        raise InvalidInput(
            f"logits must be numbers [N, S] with N ≥ 1, got {z.dtype} {list(z.shape)}"
        )
    z = z.astype(np.float64)
    bad = np.flatnonzero(np.isnan(z).any(1) | (z == np.inf).any(1) | np.isneginf(z).all(1))
    if len(bad):
        raise InvalidInput(
            f"logits of {len(bad)} samples hold NaN or +Inf, or nothing but −Inf; the first is number {int(bad[0])}"
        )
    return z
