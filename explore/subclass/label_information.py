"""Label bits: the information of subclass labels beyond the class, by four definitions."""

from __future__ import annotations

from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explore.core.array_validation import as_array, check_array
from explore.core.label_hierarchy import check_subclasses, check_superclasses
from explore.core.validation import check_choice, check_number
from explore.errors import InvalidInput

Kind = Literal["soft", "hard", "mutual", "argmax"]
BIT_KINDS = get_args(Kind)
Floats = NDArray[np.float64]


def label_bits(
    subclass_logits: Any, parents: Any, temperature: float = 1.0, kind: Kind = "soft"
) -> float:
    """Return the bits per sample that subclass labels carry beyond class labels.

    There are four definitions:

    - ``"soft"``: E_x[H(q) − H(c)], the spread of the soft label *within* its class. It rises with
      the temperature to the entropy of a uniform label, so at high T it says little about the
      sample.
    - ``"mutual"``: [H(E q) − E H(q)] − [H(E c) − E H(c)], the information of the soft label about
      *the sample*. It falls to 0 as T → ∞.
    - ``"hard"``: H(S) − H(Y) of hard labels, such as those of annotators. Needs no teacher.
    - ``"argmax"``: the same for the most likely subclass of the teacher, without its soft labels.

    Here q is the softmax over subclasses at the temperature, c are its sums over classes, and H is
    the entropy.

    Args:
        subclass_logits: ``[N, S]``, an array or a tensor. For ``kind="hard"`` the subclass of each
            sample, integers ``[N]``.
        parents: class of each subclass, ``[S]``.
        temperature: T > 0, for soft and mutual.
        kind: "soft", "mutual", "hard" or "argmax".

    Returns:
        Bits (not nats) per sample.

    Raises:
        UnknownName: an unknown ``kind``.
        InvalidInput: logits that do not fit ``parents``, a masked array, NaN, +Inf, a sample
            without a finite logit, no samples, or T ≤ 0.

    Source: arXiv 2109.05587 and 2207.08063 report 0.4656 bits without a legible definition. The
    four definitions are our readings. ``explore.subclass.count_bits`` computes "hard" from counts.

    Example:
        >>> label_bits([[0.0, 0.0, 9.0]], [0, 0, 1], temperature=1e6)
        0.666...
        >>> label_bits([0, 1, 2, 3], [0, 0, 1, 1], kind="hard")
        1.0
    """
    kind = cast(Kind, check_choice("kind of label bits", kind, BIT_KINDS))
    check_number("temperature", temperature, above=0)
    if kind == "hard":
        parents = check_superclasses(parents)
        subclasses = as_array("subclass_logits", subclass_logits)
        if (
            subclasses.ndim != 1
            or not len(subclasses)
            or not np.issubdtype(subclasses.dtype, np.integer)
        ):
            raise InvalidInput(
                'kind="hard" takes the subclass of each sample, integers [N] with N ≥ 1, in place '
                f"of logits; got {subclasses.dtype} {list(subclasses.shape)}"
            )
        subclasses = check_subclasses(subclasses, len(parents))
        return count_bits(np.bincount(subclasses, minlength=len(parents)), parents)
    z = check_logits(subclass_logits)
    parents = check_superclasses(parents, z.shape[-1])
    if kind == "argmax":
        return count_bits(np.bincount(z.argmax(-1), minlength=len(parents)), parents)
    q = softmax(z, temperature)
    c = class_sums(q, parents)
    if kind == "soft":
        return float((entropy(q) - entropy(c)).mean())
    return information(q) - information(c)


def count_bits(counts: ArrayLike, parents: Any) -> float:
    """Return H(S | Y) in bits from the number of samples of each subclass.

    It equals ``label_bits(kind="hard")`` of the samples.

    Args:
        counts: samples of each subclass, ``[S]``, 0 or more, not all 0.
        parents: class of each subclass, ``[S]``.

    Example:
        >>> round(count_bits([6, 2, 4, 4], [0, 0, 1, 1]), 4)
        0.9056
    """
    n = check_array("counts", counts, (...,), finite=False, empty=True)
    parents = check_superclasses(parents, n.shape[0] if n.ndim == 1 else None)
    if n.ndim != 1 or not np.isfinite(n).all() or (n < 0).any() or not n.any():
        raise InvalidInput(
            f"counts must be one number ≥ 0 for each subclass, not all 0; got {n.tolist()}"
        )
    with np.errstate(over="ignore"):
        if not np.isfinite(n.sum()):
            n = n / n.max()
    p = n / n.sum()
    return float(entropy(p) - entropy(class_sums(p, parents)))


def softmax(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """Return exp(z / T), normalised over the last axis. −Inf logits get the probability 0.

    Raises:
        InvalidInput: T is not above 0.
    """
    temperature = check_number("temperature", temperature, above=0)
    z = np.asarray(logits, np.float64)
    # A very small temperature leaves only the largest logit, whatever NumPy is set to raise.
    with np.errstate(over="ignore", under="ignore"):
        e = np.exp((z - z.max(-1, keepdims=True)) / temperature)
        return np.asarray(e / e.sum(-1, keepdims=True))


def class_sums(probabilities: ArrayLike, parents: Any) -> Floats:
    """Return the sums over the subclasses of each class, ``[..., S]`` to ``[..., C]``."""
    parents = check_superclasses(parents, np.shape(probabilities)[-1])
    return np.asarray(probabilities, np.float64) @ np.eye(parents.max() + 1)[parents]


def entropy(probabilities: ArrayLike) -> Floats:
    """Return −Σ p log₂ p over the last axis, in bits, with 0 log 0 = 0."""
    p = np.asarray(probabilities, np.float64)
    return -(p * np.log2(np.where(p > 0, p, 1))).sum(-1)


def information(probabilities: ArrayLike) -> float:
    """Return H(E p) − E H(p) in bits, the information of labels ``[N, K]`` about the sample."""
    p = np.asarray(probabilities, np.float64)
    return float(entropy(p.mean(0)) - entropy(p).mean())


def check_logits(logits: Any) -> Floats:
    """Return logits ``[N, S]`` as float64. −Inf is a mask.

    Raises:
        InvalidInput: NaN or +Inf, or a sample with no other logits than −Inf.
    """
    z = as_array("logits", logits)
    if z.ndim != 2 or not z.size or z.dtype.kind not in "iuf":
        raise InvalidInput(
            f"logits must be numbers [N, S] with N ≥ 1, got {z.dtype} {list(z.shape)}"
        )
    z = z.astype(np.float64)
    bad = np.flatnonzero(np.isnan(z).any(1) | (z == np.inf).any(1) | np.isneginf(z).all(1))
    if len(bad):
        raise InvalidInput(
            f"logits of {len(bad)} samples hold NaN or +Inf, or only −Inf; "
            f"the first is number {int(bad[0])}"
        )
    return z
