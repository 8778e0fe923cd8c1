"""The check of sets with several labels for ``explore doctor``."""

from __future__ import annotations


def check() -> str:
    """Load a little of each set; return one line that says which ones can be loaded.

    Raises:
        ExploreError: a set that is always available cannot be loaded.
    """
    from explore.core.registry import datasets
    from explore.data import MULAN_COLLECTION, load_multilabel
    from explore.data.datasets.mulan import present_sets
    from explore.errors import DataMissing, ExploreError

    rows = {
        name: row
        for name, row in datasets("multilabel").items()
        if row.origin != "path" and name != MULAN_COLLECTION
    }
    loaded, missing, problems = [], [], []
    for name in sorted({*rows, *present_sets()}):
        row = rows.get(name)
        try:
            load_multilabel(name, "test", **(row.quick if row else {}))
            loaded.append(name)
        except DataMissing:
            missing.append(name)
        except ExploreError as error:
            if row and row.origin == "included":
                raise
            problems.append(f"{name} cannot be loaded: {error}")
    line = f"found: {', '.join(loaded)}"
    if missing:
        line += f"; not there: {', '.join(missing)}"
    return "; ".join([line, *problems])
