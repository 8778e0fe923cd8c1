"""The greedy reduction by the angle in plain NumPy, written from the formulas: what ours is tested and timed against."""

from __future__ import annotations

import numpy as np

from explore.mixtures.distances import log_gaussian
from explore.mixtures.mixture import GaussianMixture


def densities(away: np.ndarray, covariances: np.ndarray, closed: bool) -> np.ndarray:
    """``N(away; 0, C)``: ``[..., d]``, ``[..., d, d]`` to ``[...]``; by LAPACK or, ``closed``, by closed forms at once."""
    if closed:
        return np.exp(
            log_gaussian(np.moveaxis(away, -1, 0), np.moveaxis(covariances, (-2, -1), (0, 1)))
        )
    square = (away * np.linalg.solve(covariances, away[..., None])[..., 0]).sum(-1)
    return np.exp(-0.5 * square) / np.sqrt(np.linalg.det(2 * np.pi * covariances))


def plain_greedy(
    f: GaussianMixture, components: int, criterion: str = "angle", closed: bool = False
) -> tuple[GaussianMixture, list[tuple[int, int, float]]]:
    """Merge the best pair until ``components`` are left; every pair in O(1) from sums that are kept up to date.

    Args:
        f: the mixture.
        components: how many are left.
        criterion: "angle" or "ise".
        closed: see ``densities``.

    Returns:
        The mixture, and the steps (slots i < j, and the angle or the ISE after the merge).
    """
    n = len(f)

    def products(
        means: np.ndarray, covariances: np.ndarray, others: np.ndarray, spreads: np.ndarray
    ) -> np.ndarray:
        return densities(means[:, None] - others, covariances[:, None] + spreads, closed)

    w, m, s = (np.array(given) for given in (f.weights, f.means, f.covariances))
    alive = np.ones(n, bool)
    with_f = products(m, s, f.means, f.covariances) @ f.weights  # <f, N_k>
    with_g = with_f.copy()
    gram = products(m, s, m, s)
    ff = fg = gg = float(w @ with_f)
    i, j = np.triu_indices(n, 1)
    pairs = _pairs(f, w, m, s, i, j, alive, closed)
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
        old = [(w[k], m[k].copy(), s[k].copy()) for k in (a, b)]
        w[a], m[a], s[a], w[b], alive[b] = mw[q], mm[q], ms[q], 0.0, False
        keep = (i != a) & (i != b) & (j != a) & (j != b)
        i, j, pairs = i[keep], j[keep], [part[keep] for part in pairs]
        changes = [
            (w[a], m[a], s[a], 1.0),
            *((weight, mean, spread, -1.0) for weight, mean, spread in old),
        ]
        for weight, mean, spread, sign in changes:
            with_g += sign * weight * products(m, s, mean[None], spread[None])[:, 0]
            pairs[5] = (
                pairs[5]
                + sign * weight * products(pairs[1], pairs[2], mean[None], spread[None])[:, 0]
            )
        gram[a] = gram[:, a] = products(m[a][None], s[a][None], m, s)[0]
        with_f[a] = against(f, m[a][None], s[a][None], closed)[0]
        with_g[a] = gram[a] @ w
        others = np.flatnonzero(alive & (np.arange(n) != a))
        low, high = np.minimum(others, a), np.maximum(others, a)
        new = _pairs(f, w, m, s, low, high, alive, closed)
        i, j = np.concatenate([i, low]), np.concatenate([j, high])
        pairs = [
            np.concatenate([old_part, new_part])
            for old_part, new_part in zip(pairs, new, strict=True)
        ]
    weights = w[alive]
    return GaussianMixture.trusted(weights / weights.sum(), m[alive], s[alive]), path


def against(
    f: GaussianMixture, means: np.ndarray, covariances: np.ndarray, closed: bool
) -> np.ndarray:
    """``<f, N_p>``, ``[p]``, in blocks that fit into memory."""
    found = np.empty(len(means))
    for start in range(0, len(means), 2_000):
        part = slice(start, start + 2_000)
        each = densities(
            means[part, None] - f.means, covariances[part, None] + f.covariances, closed
        )
        found[part] = each @ f.weights
    return found


def _pairs(
    f: GaussianMixture,
    w: np.ndarray,
    m: np.ndarray,
    s: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
    alive: np.ndarray,
    closed: bool,
) -> list[np.ndarray]:
    """What is kept of each pair: weight, mean and covariance of its merge, and the merge's products with itself, f, g, i, j."""
    total = w[i] + w[j]
    share = (w[i] / total)[:, None]
    away = m[i] - m[j]
    mean = share * m[i] + (1 - share) * m[j]
    square = (share * (1 - share))[:, :, None] * away[:, :, None] * away[:, None, :]
    spread = share[:, :, None] * s[i] + (1 - share)[:, :, None] * s[j] + square
    g = GaussianMixture.trusted(w[alive], m[alive], s[alive])
    with_f = against(f, mean, spread, closed)
    with_g = with_f.copy() if alive.all() else against(g, mean, spread, closed)
    others = (mean, spread), (m[i], s[i]), (m[j], s[j])
    inner = [densities(mean - place, spread + around, closed) for place, around in others]
    return [total, mean, spread, inner[0], with_f, with_g, inner[1], inner[2]]
