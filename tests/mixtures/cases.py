"""What is special about the methods of mixture reduction in the contract tests."""

from explore.mixtures import load_mixture
from explore.mixtures.catalog import TOPIC

LOADERS = dict.fromkeys((method.name for method in TOPIC.methods), load_mixture)
