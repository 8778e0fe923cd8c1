"""Products: files that one run writes beside its recording, and that another run is made from.

The configuration of the second run holds the description of the product: the configuration of the
run that made it, its step and a hash. So a recording says exactly what it was made from, a run with
another product is not mistaken for it, and a product that was lost can be made again.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from typing import Any, Protocol, Self, TypeVar

from explore.core import registry
from explore.core.runs import Run
from explore.core.validation import check_path, check_whole_number, describe
from explore.errors import ExploreWarning, InvalidInput

log = logging.getLogger("explore")


class Product(Protocol):
    """What a product offers: a distilled set, or the trajectories of experts, say.

    ``provenance`` has the keys "config" and "step" of the run that made it. ``of`` takes that run,
    ``load`` a file or the recording beside it.
    """

    @property
    def provenance(self) -> Mapping[str, Any]:
        """How the product was made."""

    @property
    def sha256(self) -> str:
        """Hash of its contents."""

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file."""

    @classmethod
    def of(cls, result: Any) -> Self:
        """Take it from a run."""


P = TypeVar("P", bound=Product)


def describe_product(product: Product) -> dict[str, Any]:
    """Return what names a product in the configuration of a run that is made from it."""
    provenance = product.provenance
    return {
        "config": provenance.get("config"),
        "step": provenance.get("step"),
        "sha256": product.sha256,
    }


def resolve_product(value: Any, kind: type[P], expected: str) -> P:
    """Return a product.

    Args:
        value: the product, the run that made it, its file, the recording beside the file, the
            config of a run that makes it, or its description in a recording. A product that is
            given by a config is made again, which may take long.
        kind: the class of the product.
        expected: the start of the message for any other value, such as "experts must be a file".

    Raises:
        InvalidInput: none of these, or a description without the config of a run.
        DataMissing, RecordingDamaged: a file that does not exist or cannot be read.

    Warns:
        ExploreWarning: the product was made again and has another hash than the recorded one.
    """
    if isinstance(value, kind):
        return value
    if isinstance(value, str | bytes | os.PathLike) and value:
        return kind.load(check_path("file", value))
    if isinstance(value, Mapping):
        if value.get("config"):
            config = without_downloads(value["config"])
            product = kind.of(_repeat(config, value.get("step")))
            _check_hash(product, value.get("sha256"))
            return product
        if "config" not in value and "method" in value:
            return kind.of(_repeat(value, None))
    elif isinstance(value, Run):
        return kind.of(value)
    raise InvalidInput(f"{expected}; got {describe(value)}")


def without_downloads(config: Any) -> Any:
    """Return a configuration or the description of a data set without requests for a download.

    What a file of somebody else says must not make this machine fetch anything. A data set that is
    not there is then reported as ``DataMissing``, with what to do.

    Args:
        config: a value from a recording or a product; nested ones are included.

    Example:
        >>> without_downloads({"data": {"name": "mnist", "options": {"download": True, "size": 8}}})
        {'data': {'name': 'mnist', 'options': {'size': 8}}}
    """
    if isinstance(config, Mapping):
        return {key: without_downloads(v) for key, v in config.items() if key != "download"}
    if isinstance(config, list | tuple):
        return [without_downloads(value) for value in config]
    return config


def _repeat(config: Mapping[str, Any], step: int | None) -> Run:
    """Build the run of a product again and advance it to ``step``, or to its end for None."""
    if not isinstance(config, Mapping) or not isinstance(config.get("method"), str):
        raise InvalidInput(
            f"a product is described by the configuration of a run, got {describe(config)}"
        )
    step = None if step is None else check_whole_number("step", step, at_least=0)
    if step is not None:
        fields = registry.resolve(registry.method(config["method"]).config).__dataclass_fields__
        if "steps" in fields:
            config = {**config, "steps": max(1, step)}
    run = registry.build(config)
    log.info("computing again: %r", run)
    while run.step < (run.steps if step is None else step):
        run.advance()
    return run


def _check_hash(product: Product, recorded: str | None) -> None:
    if recorded and product.sha256 != recorded:
        text = (
            f"{type(product).__name__} was computed again and has the hash {product.sha256[:12]}…, "
            f"the recorded one {recorded[:12]}…: results may differ (another machine or version?)"
        )
        warnings.warn(text, ExploreWarning, stacklevel=5)
