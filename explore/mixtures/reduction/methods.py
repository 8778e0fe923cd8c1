"""The stages of each reduction method; modules that load slowly are imported when needed."""

from __future__ import annotations

from explore.mixtures.config import ReduceConfig
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.reduction.stages import Stage


def build_stages(options: ReduceConfig, f: GaussianMixture) -> list[Stage]:
    """Return the stages of a method; none where there is nothing to reduce."""
    method, m, criterion = options.method, options.components, options.criterion
    if m == len(f):
        return []
    stages: list[Stage]
    if method in ("oggmr", "williams"):
        from explore.mixtures.reduction.global_merging import GlobalMerging

        stages = [GlobalMerging(f, m, criterion, removals=method == "williams")]
    elif method in ("runnalls", "salmond", "ise-local", "gmrc"):
        from explore.mixtures.reduction.clustering import Clustering
        from explore.mixtures.reduction.local_merging import LocalMerging

        cost = {"gmrc": "runnalls", "ise-local": "ise"}.get(method, method)
        stages = [LocalMerging(f, m, cost), *([Clustering(f)] if method == "gmrc" else [])]
    elif method in ("west", "cowa"):
        from explore.mixtures.reduction.pruning import LightestFirst

        stages = [LightestFirst(f, m, options.order, options.partner, reweigh=method == "cowa")]
    elif method == "prune":
        from explore.mixtures.reduction.pruning import Pruning

        stages = [Pruning(f, m)]
    else:
        from explore.mixtures.reduction.brute import BruteForce

        stages = [BruteForce(f, m, criterion)]
    if options.refine != "none":
        from explore.mixtures.reduction.refine import Refinement

        scopes = ["weights", "full"] if options.refine == "full" else ["weights"]
        stages += [Refinement(f, scope, options) for scope in scopes]
    return stages
