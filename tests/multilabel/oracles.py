"""Plain references of the multi-label losses and metrics: loops over anchors, NumPy in float64, formulas as written."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.special import expit, logsumexp

Array = np.ndarray

OVERLAPS: dict[str, Callable[[int, int, int], float]] = {
    "jaccard": lambda both, first, second: both / (first + second - both),
    "dice": lambda both, first, second: 2 * both / (first + second),
    "overlap": lambda both, first, second: both / min(first, second),
    "recall": lambda both, first, second: both / first,
    "cosine": lambda both, first, second: both / math.sqrt(first * second),
}
"""Overlap of two label sets from the size of the intersection and of the first and second set, none of them empty."""


def array(values: torch.Tensor) -> Array:
    """Return a tensor as float64."""
    return values.detach().double().numpy()


def random_labels(
    seed: int, count: int, classes: int, share: float = 0.4, empty: int = 0
) -> torch.Tensor:
    """Return a table of 0 and 1 whose first ``empty`` rows have no label and whose other rows have at least one."""
    generator = np.random.default_rng(seed)
    labels = (generator.random((count, classes)) < share).astype(np.float32)
    labels[np.arange(count), generator.integers(classes, size=count)] = 1
    labels[:empty] = 0
    return torch.from_numpy(labels)


def scored(
    seed: int, count: int = 40, classes: int = 6, ties: bool = False, without: int = 0
) -> tuple[Array, Array]:
    """Return scores that follow the labels, in steps of a quarter with ties, and labels; the last ``without`` have no positive."""
    generator = np.random.default_rng(seed)
    labels = random_labels(seed, count, classes).numpy()
    scores = np.clip(0.3 * labels + 0.7 * generator.random(labels.shape), 0, 1)
    if ties:
        scores = np.round(4 * scores) / 4
    labels[:, classes - without :] = 0
    return scores, labels


def overlap(first: Array, second: Array, kind: str = "jaccard", empty_match: bool = False) -> float:
    """Return the overlap of two label sets, as Python sets."""
    first_set, second_set = set(np.flatnonzero(first)), set(np.flatnonzero(second))
    if not first_set and not second_set:
        return float(empty_match)
    if not first_set or not second_set:
        return 0.0
    return OVERLAPS[kind](len(first_set & second_set), len(first_set), len(second_set))


def overlap_table(labels: Array, kind: str = "jaccard", empty_match: bool = False) -> Array:
    """Return the overlap of all pairs of rows."""
    return np.array([[overlap(a, b, kind, empty_match) for b in labels] for a in labels])


def asymmetric_entries(
    logits: Array, labels: Array, gamma_neg: float, gamma_pos: float, clip: float
) -> Array:
    """Return the asymmetric loss of each entry (section 3.4), without a smallest value inside the logarithm."""
    entries = np.zeros(logits.shape)
    for place in np.ndindex(*logits.shape):
        p = expit(logits[place])
        if labels[place] == 1:
            entries[place] = -((1 - p) ** gamma_pos) * -np.logaddexp(0, -logits[place])
        else:
            shifted = max(p - clip, 0.0)
            log_rest = -np.logaddexp(0, logits[place]) if clip == 0 else math.log(1 - shifted)
            entries[place] = -(shifted**gamma_neg) * log_rest
    return entries


def contrast(
    logits: Array, positives: Array, weights: Array | None = None
) -> tuple[float, int, int]:
    """Return the SupCon loss with the sum outside, and how many anchors it has and leaves out."""
    count = len(logits)
    losses = []
    for i in range(count):
        others = [k for k in range(count) if k != i]
        mine = [j for j in others if positives[i, j]]
        if not mine:
            continue
        normaliser = logsumexp([logits[i, k] for k in others])
        terms = [
            (1.0 if weights is None else weights[i, j]) * (normaliser - logits[i, j]) for j in mine
        ]
        losses.append(sum(terms) / len(mine))
    return (float(np.mean(losses)) if losses else 0.0), len(losses), count - len(losses)


def cosine_logits(features: Array, temperature: float) -> Array:
    """Return cosines of all pairs divided by the temperature."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    return unit @ unit.T / temperature


def multisupcon(
    features: Array, labels: Array, temperature: float, alpha: float, kind: str
) -> tuple[float, int, int]:
    """Return MultiSupCon: pairs with an overlap of at least alpha, weighted by it."""
    table = overlap_table(labels, kind)
    return contrast(cosine_logits(features, temperature), table >= alpha - 1e-9, table)


def mulsupcon(features: Array, labels: Array, temperature: float) -> tuple[float, int]:
    """Return MulSupCon, one positive set per label of each anchor, and how many anchors have a set."""
    logits, count, sets, anchors = cosine_logits(features, temperature), len(labels), [], set()
    for i in range(count):
        others = [k for k in range(count) if k != i]
        normaliser = logsumexp(logits[i, others])
        for label in np.flatnonzero(labels[i]):
            mine = [j for j in others if labels[j, label]]
            if mine:
                sets.append(sum(normaliser - logits[i, j] for j in mine) / len(mine))
                anchors.add(i)
    return (float(np.mean(sets)) if sets else 0.0), len(anchors)


def bhattacharyya_distance(m1: float, v1: float, m2: float, v2: float) -> float:
    """Return the Bhattacharyya distance of two normal distributions in one dimension."""
    logs = math.log(v1 + v2) - math.log(2) - 0.5 * math.log(v1) - 0.5 * math.log(v2)
    return 0.25 * (m1 - m2) ** 2 / (v1 + v2) + 0.5 * logs


def component_table(means: Array, variances: Array, axes: int = 1) -> Array:
    """Return rho [B, B, K] by loops; [B, K] has one mean for all ``axes``, [B, D, K] one per axis."""
    if means.ndim == 2:
        means = np.repeat(means[:, None], axes, axis=1)
        variances = np.repeat(variances[:, None], axes, axis=1)
    count, width, classes = means.shape
    rho = np.zeros((count, count, classes))
    for i, j, k in np.ndindex(count, count, classes):
        rho[i, j, k] = math.exp(
            -sum(
                bhattacharyya_distance(
                    means[i, d, k], variances[i, d, k], means[j, d, k], variances[j, d, k]
                )
                for d in range(width)
            )
        )
    return rho


def exponents(features: Array, means: Array, variances: Array) -> Array:
    """Return log g_k(f) [B, K]."""
    table = np.zeros((len(features), means.shape[-1]))
    for n, k in np.ndindex(*table.shape):
        mean, variance = means[n, ..., k], variances[n, ..., k]
        table[n, k] = -0.5 * np.sum((features[n] - mean) ** 2 / variance)
    return table


def posterior_loss(log_joint: Array, labels: Array) -> float:
    """Return the mean of -log(share of the true classes) over rows with a label; ``log_joint`` holds log(pi g)."""
    losses = [
        logsumexp(row) - logsumexp(row[own == 1])
        for row, own in zip(log_joint, labels, strict=True)
        if own.any()
    ]
    return float(np.mean(losses)) if losses else 0.0


def kernel_contrast(
    rho: Array, labels: Array, temperature: float, correlation: str
) -> tuple[float, int, int]:
    """Return the contrast of KMCL by a loop over anchors, positives and shared classes (section 3.4)."""
    count, losses = len(labels), []
    for n in range(count):
        others = [i for i in range(count) if i != n]
        positives = [j for j in others if (labels[n] * labels[j]).any()]
        if not positives:
            continue
        total = 0.0
        for j in positives:
            weight = overlap(labels[n], labels[j])
            for k in np.flatnonzero(labels[n] * labels[j]):
                log_p = rho[n, j, k] / temperature - logsumexp(rho[n, others, k] / temperature)
                if correlation == "outside":
                    total -= weight * log_p
                elif correlation == "inside":
                    total -= math.log(weight * math.exp(log_p) + 1e-7)
                else:
                    total -= log_p
        losses.append(total / len(positives))
    return (float(np.mean(losses)) if losses else 0.0), len(losses), count - len(losses)


def log_normal(z: Array, mean: Array, variance: Array) -> float:
    """Return the log density of a normal distribution with a diagonal covariance."""
    return float(-0.5 * np.sum(np.log(2 * np.pi * variance) + (z - mean) ** 2 / variance))


def diagonal(means: Array, variances: Array) -> Array:
    """Return variances [B, C, q], also for a mixture with one variance per component."""
    if variances.ndim == means.ndim:
        return variances
    return np.repeat(variances[..., None], means.shape[-1], axis=-1)


def product_log_kernel(log_weights: Array, means: Array, variances: Array) -> Array:
    """Return log E(i, j), the integral of the product of two mixtures, by loops over their components."""
    variances = diagonal(means, variances)
    count, classes = log_weights.shape
    table = np.zeros((count, count))
    for i, j in np.ndindex(count, count):
        terms = [
            log_weights[i, k]
            + log_weights[j, c]
            + log_normal(means[i, k], means[j, c], variances[i, k] + variances[j, c])
            for k in range(classes)
            for c in range(classes)
        ]
        table[i, j] = logsumexp(terms)
    return table


def mixture_similarity(log_weights: Array, means: Array, variances: Array, kind: str) -> Array:
    """Return the similarity of mixtures: the normalised product kernel, or matched components."""
    if kind == "product":
        table = product_log_kernel(log_weights, means, variances)
        own = np.diag(table)
        return np.exp(table - 0.5 * (own[:, None] + own[None, :]))
    variances = diagonal(means, variances)
    rho = component_table(means.transpose(0, 2, 1), variances.transpose(0, 2, 1))
    weights = np.exp(log_weights)
    return np.sum(np.sqrt(weights[:, None] * weights[None, :]) * rho, axis=-1)


def log_density(z: Array, log_weights: Array, means: Array, variances: Array) -> Array:
    """Return log(pi_k N(z; mu_k, v_k)) [B, C] for one z per row."""
    variances = diagonal(means, variances)
    table = np.zeros(log_weights.shape)
    for n, k in np.ndindex(*table.shape):
        table[n, k] = log_weights[n, k] + log_normal(z[n], means[n, k], variances[n, k])
    return table


def average_precision(scores: Array, labels: Array) -> float:
    """Return the mean, over positives, of the precision among all that score at least as much; NaN without positives."""
    positives = [s for s, y in zip(scores, labels, strict=True) if y == 1]
    if not positives:
        return math.nan
    return float(np.mean([labels[scores >= s].mean(dtype=float) for s in positives]))


def report(predictions: Array, labels: Array, legacy: bool = False) -> dict[str, float]:
    """Return CP, CR, CF1, OP, OR, OF1 and macro-F1 of predictions of 0 and 1, label by label (section 6)."""
    precisions, recalls, f1_scores = [], [], []
    right, predicted, true = 0, 0, 0
    for k in range(labels.shape[1]):
        nc = int((predictions[:, k] * labels[:, k]).sum())
        np_k, ng = int(predictions[:, k].sum()), int(labels[:, k].sum())
        right, true = right + nc, true + ng
        predicted += 1 if legacy and np_k == 0 else np_k
        if ng:
            precisions.append(nc / np_k if np_k else 0.0)
            recalls.append(nc / ng)
            f1_scores.append(2 * nc / (np_k + ng))
    cp, cr = float(np.mean(precisions)), float(np.mean(recalls))
    op, recall = (right / predicted if predicted else 0.0), right / true

    def harmonic(a: float, b: float) -> float:
        return 2 * a * b / (a + b) if a + b else 0.0

    return {
        "CP": cp,
        "CR": cr,
        "CF1": harmonic(cp, cr),
        "OP": op,
        "OR": recall,
        "OF1": harmonic(op, recall),
        "macro_f1": float(np.mean(f1_scores)),
    }
