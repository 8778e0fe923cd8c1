"""Random networks compute the same after their conversion, whatever they are built from."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from random_networks import RandomNetwork, networks, relative_difference, select_convolutions, state

from explore.sparseconv import convert

QUIET = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


pytestmark = pytest.mark.usefixtures("_one_thread")

WAYS = [("bitmap", False), ("torch", True), ("torch", False)]


def check_conversions(network: RandomNetwork, x: torch.Tensor, other: tuple[str, bool]) -> None:
    """Convert a network in the usual way and in another one; compare all outputs with its own."""
    before = state(network)
    for method, fold in (("bitmap", True), other):
        converted = convert(network, select_convolutions(network, method), fold)
        difference = relative_difference(network, converted, x)
        assert difference < 1e-4, (method, fold)
        # Running statistics of norms in training mode change by the comparison itself.
        network.load_state_dict(before)


@settings(max_examples=100, suppress_health_check=QUIET)
@given(networks(), st.sampled_from(WAYS))
def test_conversions_do_not_change_random_networks(case, other) -> None:
    check_conversions(*case, other)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=2000, suppress_health_check=QUIET)
@given(networks(), st.sampled_from(WAYS))
def test_conversions_do_not_change_two_thousand_random_networks(case, other) -> None:
    check_conversions(*case, other)
