"""Measure the memory of the anisotropic loss of KMCL in a process of its own.

python -m explore.multilabel.bench.memory BATCH LABELS LATENT [CHUNK_VALUES]
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from explore.core import benchmark
from explore.errors import InvalidInput
from explore.multilabel import similarity
from explore.multilabel.bench.inputs import generate_kernel_mixture, generate_labels
from explore.multilabel.kmcl import kmcl_loss

WIDTH = 256
"""Features before they are reduced; the loss does not depend on their number."""

ROUNDS = 3


def measure_memory(batch: int, labels: int, latent: int, chunk_values: int = 0) -> dict[str, Any]:
    """Return "seconds" of a forward and backward pass and "bytes" that it needs at most.

    A process of its own imports everything, makes its input and takes a small step. Then its
    resident memory is read. The most that was resident during the passes, less this, is "bytes":
    gradients count, parameters do not. It is None where the system does not tell (Windows).

    Args:
        batch, labels, latent: sizes B, K and D'.
        chunk_values: see ``explore.multilabel.similarity.CHUNK_VALUES``; 0 for the default.

    Raises:
        InvalidInput: the process failed, for example because memory did not suffice.
    """
    sizes = [str(value) for value in (batch, labels, latent, chunk_values)]
    process = subprocess.run(
        [sys.executable, "-m", __name__, *sizes], capture_output=True, text=True, check=False
    )
    if process.returncode:
        lines = process.stderr.strip().splitlines()
        raise InvalidInput(
            f"the measurement of memory ended with {process.returncode}: "
            f"{lines[-1] if lines else 'no message'}"
        )
    result: dict[str, Any] = json.loads(process.stdout)
    return result


def peak_memory() -> int:
    """Return the largest resident memory of this process so far, in bytes.

    Linux passes ``ru_maxrss`` on from the process that started this one, so it is the last resort.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak


def resident_memory() -> int:
    """Return the resident memory of this process in bytes; where unknown, the largest so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak_memory()
    import resource

    return pages * resource.getpagesize()


def _main(batch: int, labels: int, latent: int, chunk_values: int) -> None:
    if chunk_values:
        similarity.CHUNK_VALUES = chunk_values

    def step(batch: int, labels: int) -> None:
        mixture = generate_kernel_mixture(batch, labels, WIDTH, "anisotropic", latent)
        kmcl_loss(mixture, generate_labels(batch, labels))["total"].backward()

    step(4, 2)  # The first call imports more of PyTorch.
    mixture = generate_kernel_mixture(batch, labels, WIDTH, "anisotropic", latent)
    values = generate_labels(batch, labels)
    has_memory = sys.platform != "win32"
    before = resident_memory() if has_memory else 0
    seconds = benchmark.time_rounds(
        {"loss": lambda: kmcl_loss(mixture, values)["total"].backward()}, ROUNDS
    )
    needed = max(0, peak_memory() - before) if has_memory else None
    sys.stdout.write(json.dumps({"seconds": benchmark.medians(seconds)["loss"], "bytes": needed}))


if __name__ == "__main__":
    _main(*map(int, sys.argv[1:]))
