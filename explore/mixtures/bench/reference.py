"""A reference in plain NumPy, written from the formulas, for tests and benchmarks of the greedy
reduction."""

from __future__ import annotations

import numpy as np

from explore.mixtures._gaussian import log_gaussian
from explore.mixtures.mixture import GaussianMixture

BLOCK = 2_000


def densities(offsets: np.ndarray, covariances: np.ndarray, closed: bool) -> np.ndarray:
    """Return ``N(offset; 0, C)``: ``[..., d]`` and ``[..., d, d]`` to ``[...]``.

    They are computed by LAPACK or, with ``closed``, by closed forms for all matrices at once.
    """
    if closed:
        return np.exp(
            log_gaussian(np.moveaxis(offsets, -1, 0), np.moveaxis(covariances, (-2, -1), (0, 1)))
        )
    square = (offsets * np.linalg.solve(covariances, offsets[..., None])[..., 0]).sum(-1)
    return np.exp(-0.5 * square) / np.sqrt(np.linalg.det(2 * np.pi * covariances))


def plain_greedy(
    f: GaussianMixture, components: int, criterion: str = "angle", closed: bool = False
) -> tuple[GaussianMixture, list[tuple[int, int, float]]]:
    """Merge the best pair until ``components`` remain; running sums give scores in O(1).

    Args:
        f: the mixture.
        components: number of components that remain.
        criterion: "angle" or "ise".
        closed: see ``densities``.

    Returns:
        The mixture, and the steps: slots i < j, and the angle or the ISE after the merge.
    """
    n = len(f)

    def products(
        means: np.ndarray, covariances: np.ndarray, others: np.ndarray, spreads: np.ndarray
    ) -> np.ndarray:
        return densities(means[:, None] - others, covariances[:, None] + spreads, closed)

    w, m, s = (np.array(parameter) for parameter in (f.weights, f.means, f.covariances))
    alive = np.ones(n, bool)
    with_f = products(m, s, f.means, f.covariances) @ f.weights  # <f, N_k>
    with_g = with_f.copy()
    gram = products(m, s, m, s)
    ff = fg = gg = float(w @ with_f)
    i, j = np.triu_indices(n, 1)
    pairs = _pair_columns(f, w, m, s, i, j, alive, closed)
    path = []
    while alive.sum() > components:
        mw, mm, ms, kap, p_f, p_g, p_i, p_j = pairs
        wi, wj = w[i], w[j]
        fg_ = fg - wi * with_f[i] - wj * with_f[j] + mw * p_f
        loss = (
            mw**2 * kap
            + wi**2 * gram[i, i]
            + wj**2 * gram[j, j]
            + 2 * wi * wj * gram[i, j]
            - 2 * mw * (wi * p_i + wj * p_j)
        )
        gg_ = gg + loss + 2 * (mw * p_g - wi * with_g[i] - wj * with_g[j])
        score = np.log(fg_) - 0.5 * np.log(gg_) if criterion == "angle" else 2 * fg_ - gg_
        q = int(np.argmax(score))
        a, b = int(i[q]), int(j[q])
        fg, gg = float(fg_[q]), float(gg_[q])
        cosine = min(1.0, fg / np.sqrt(ff * gg))
        path.append(
            (a, b, float(np.arccos(cosine)) if criterion == "angle" else float(ff - 2 * fg + gg))
        )
        merged = [(w[k], m[k].copy(), s[k].copy()) for k in (a, b)]
        w[a], m[a], s[a], w[b], alive[b] = mw[q], mm[q], ms[q], 0.0, False
        keep = (i != a) & (i != b) & (j != a) & (j != b)
        i, j, pairs = i[keep], j[keep], [column[keep] for column in pairs]
        changes = [
            (w[a], m[a], s[a], 1.0),
            *((weight, mean, spread, -1.0) for weight, mean, spread in merged),
        ]
        for weight, mean, spread, sign in changes:
            with_g += sign * weight * products(m, s, mean[None], spread[None])[:, 0]
            change = products(pairs[1], pairs[2], mean[None], spread[None])[:, 0]
            pairs[5] = pairs[5] + sign * weight * change
        gram[a] = gram[:, a] = products(m[a][None], s[a][None], m, s)[0]
        with_f[a] = inner_products(f, m[a][None], s[a][None], closed)[0]
        with_g[a] = gram[a] @ w
        others = np.flatnonzero(alive & (np.arange(n) != a))
        low, high = np.minimum(others, a), np.maximum(others, a)
        new = _pair_columns(f, w, m, s, low, high, alive, closed)
        i, j = np.concatenate([i, low]), np.concatenate([j, high])
        pairs = [np.concatenate(columns) for columns in zip(pairs, new, strict=True)]
    weights = w[alive]
    return GaussianMixture._unchecked(weights / weights.sum(), m[alive], s[alive]), path


def inner_products(
    f: GaussianMixture, means: np.ndarray, covariances: np.ndarray, closed: bool
) -> np.ndarray:
    """Return ``<f, N_p>``, ``[p]``, computed in blocks that fit into memory."""
    products = np.empty(len(means))
    for start in range(0, len(means), BLOCK):
        block = slice(start, start + BLOCK)
        offsets = means[block, None] - f.means
        sums = covariances[block, None] + f.covariances
        products[block] = densities(offsets, sums, closed) @ f.weights
    return products


def _pair_columns(
    f: GaussianMixture,
    w: np.ndarray,
    m: np.ndarray,
    s: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
    alive: np.ndarray,
    closed: bool,
) -> list[np.ndarray]:
    """Return for each pair the weight, mean and covariance of its merge, and the merge's products
    with itself, f, g, i, j."""
    total = w[i] + w[j]
    share = (w[i] / total)[:, None]
    offset = m[i] - m[j]
    mean = share * m[i] + (1 - share) * m[j]
    square = (share * (1 - share))[:, :, None] * offset[:, :, None] * offset[:, None, :]
    spread = share[:, :, None] * s[i] + (1 - share)[:, :, None] * s[j] + square
    g = GaussianMixture._unchecked(w[alive], m[alive], s[alive])
    with_f = inner_products(f, mean, spread, closed)
    with_g = with_f.copy() if alive.all() else inner_products(g, mean, spread, closed)
    with_merge, with_i, with_j = (
        densities(mean - other_mean, spread + other_spread, closed)
        for other_mean, other_spread in ((mean, spread), (m[i], s[i]), (m[j], s[j]))
    )
    return [total, mean, spread, with_merge, with_f, with_g, with_i, with_j]
