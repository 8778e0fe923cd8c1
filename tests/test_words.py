"""Names are terms of the field: some words that say nothing about a value are refused."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from toys import ROOT

BANNED = frozenset(
    [
        "apart",
        "asked",
        "at",
        "beside",
        "bent",
        "burn",
        "chosen",
        "deaf",
        "dealt",
        "drawn",
        "ended",
        "followed",
        "found",
        "given",
        "half",
        "heard",
        "here",
        "joined",
        "kept",
        "known",
        "learning",
        "looked",
        "made",
        "mend",
        "named",
        "one",
        "pace",
        "piece",
        "pieces",
        "prepared",
        "room",
        "said",
        "seen",
        "several",
        "shown",
        "stuff",
        "taken",
        "taught",
        "teaching",
        "thing",
        "things",
        "told",
        "wanted",
        "where",
        "whole",
        "wide",
    ]
)
"""Participles, adverbs and words that fit anything; compared without regard to case and underscores."""

BANNED_CONSTANTS = frozenset(
    ["classes", "dense", "kinds", "look", "methods", "names", "rows", "sides"]
)
"""Constants with these names do not say what they list; ``METHOD_LABELS`` does."""

ALLOWED = {
    "explore.models.mlp:Several": "public",
    "explore.plotting.mosaic:where": "public",
    "explore.distill.lab:METHODS": "notebooks use it",
    "explore.sparseconv.lab:kept": "a control of the lab",
    "explore.subclass.lab:taught": "a control of the lab",
    "explore.mixtures.reduction.result:at": "public",
}
"""Names that may stay, with the reason."""

FILES = sorted((ROOT / "explore").rglob("*.py"))


def names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the names of functions, classes, parameters and module constants, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        if isinstance(node, ast.arg):
            yield node.arg, node.lineno
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        targets += [statement.target] if isinstance(statement, ast.AnnAssign) else []
        for target in targets:
            yield from ((n.id, n.lineno) for n in ast.walk(target) if isinstance(n, ast.Name))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_contain_no_banned_word(path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    wrong = [
        f"{module}:{name} (line {line})"
        for name, line in names(tree)
        if (
            name.strip("_").lower() in BANNED
            or (name.isupper() and name.strip("_").lower() in BANNED_CONSTANTS)
        )
        and f"{module}:{name}" not in ALLOWED
    ]
    assert wrong == [], f"{path.name} has names that do not say what the thing is"
