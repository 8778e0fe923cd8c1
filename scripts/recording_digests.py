"""Print a digest of the recording and the result of every method's tiny run, to compare two commits.

The digests of two commits are equal if a change of the code changed no bit of what methods compute
and record, on the same machine:

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python scripts/recording_digests.py > after.txt
    diff before.txt after.txt
"""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
import torch
import xarray

from explore import build, record
from explore.core import registry


def digest(dataset: xarray.Dataset) -> str:
    """Return a hash of names, dimensions, attributes and bytes of all variables."""
    total = hashlib.sha256()
    for name in sorted(map(str, dataset.variables)):
        variable = dataset[name]
        attributes = sorted((key, repr(value)) for key, value in variable.attrs.items())
        header = (name, variable.dims, str(variable.dtype), variable.shape, attributes)
        values = np.ascontiguousarray(variable.values)
        text = values.dtype.kind in "OUT"
        total.update(repr(header).encode())
        total.update(repr(values.tolist()).encode() if text else values.tobytes())
    return total.hexdigest()[:16]


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, row in sorted(registry.methods().items()):
        run = build({**row.tiny, "method": name})
        recording = record(run, every=1).load()
        config = json.dumps(run.config, sort_keys=True, default=list)
        identity = hashlib.sha256(config.encode()).hexdigest()[:16]
        sys.stdout.write(f"{name} {digest(recording)} {digest(run.result())} {identity}\n")
