"""The benchmark measures the same loss in every form, and prints what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from explore.distill.bench import main, our_loss, plain_loss
from explore.distill.matching import attention_matching_loss
from explore.models.convnet import ConvNet


def test_plain_form_ours_and_the_public_loss_agree() -> None:
    network = ConvNet(3, 3, 16, width=8).requires_grad_(False)
    real, synthetic = torch.randn(12, 3, 16, 16), torch.randn(3, 3, 16, 16)
    plain, ours = (float(form(network, real, synthetic, 3)) for form in (plain_loss, our_loss))
    assert ours == pytest.approx(plain, rel=1e-5)
    public = 0.0
    for k in range(3):
        taps = [network.taps_and_embed(x) for x in (real[4 * k : 4 * k + 4], synthetic[k : k + 1])]
        public += float(attention_matching_loss(*([*maps[:-1], embedding] for maps, embedding in taps)).detach())
    assert public == pytest.approx(plain, rel=1e-5)


def test_it_prints_seconds_ratio_and_limit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    main(["--rounds", "1", "--size", "16", "--width", "8", "--batch", "2", "--json", str(tmp_path / "b.json")])
    said = capsys.readouterr().out
    assert "plain / explore:" in said
    assert "convolutions alone" in said
    found = json.loads((tmp_path / "b.json").read_text())
    assert found["relative_difference"] < 1e-5
    assert found["speedup"] > 0
