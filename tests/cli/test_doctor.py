"""``explore doctor``: no fault is reported on this machine, and simulated faults are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from explore.cli import doctor, main as cli, probes
from explore.cli.doctor import Diagnosis


def by_subject(diagnoses: Any) -> dict[str, Diagnosis]:
    return {diagnosis.subject.strip(): diagnosis for diagnosis in diagnoses}


@pytest.mark.slow
def test_examine_reports_this_machine_without_faults() -> None:
    diagnoses = by_subject(doctor.examine())
    assert diagnoses["torch pair"] == Diagnosis("torch pair", "torch and torchvision match")
    assert diagnoses["numba works"].state.startswith("threading layer ")
    assert diagnoses["sparse conv"].state.startswith("agrees with torch; ")
    assert diagnoses["digits"].state == diagnoses["scenes"].state == "found"
    assert "GiB free" in diagnoses["memory"].state
    assert not {name for name, diagnosis in diagnoses.items() if diagnosis.remedy} - {
        "recordings",
        "notebooks",
    }


def test_a_cpu_quota_below_the_affinity_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {"usable_cpus": 1, "affinity_cpus": 16, "cpu_quota": 0.5}
    for name, number in numbers.items():
        monkeypatch.setattr(doctor, name, lambda number=number: number)
    monkeypatch.setattr(doctor.os, "cpu_count", lambda: 32)
    assert doctor._cpus(8) == (
        "1 of 32 CPUs usable (a quota allows 0.5, the affinity 16), torch computes with 8 threads; "
        "set OMP_NUM_THREADS=1, as more threads than CPUs are slower"
    )
    monkeypatch.setattr(doctor, "cpu_quota", lambda: None)
    monkeypatch.setattr(doctor, "usable_cpus", lambda: 16)
    assert doctor._cpus(8) == "16 of 32 CPUs usable, torch computes with 8 threads"


def test_the_report_is_aligned_and_ends_with_the_remedies() -> None:
    diagnoses = [Diagnosis("python", "3.11"), Diagnosis("data folder", "here")]
    assert doctor.report(diagnoses) == "python       3.11\ndata folder  here\n\nall is well"
    with_fault = [*diagnoses, Diagnosis("  mnist", "torn", "replace it")]
    assert doctor.report(with_fault).splitlines()[2:] == [
        "  mnist      torn",
        "",
        "1 thing to repair",
        "  mnist: replace it",
    ]
    assert "2 things to repair" in doctor.report(
        [*with_fault, Diagnosis("torch", "no", "install it")]
    )


@pytest.mark.parametrize(("remedy", "code"), [("", 0), ("install it", 1)])
def test_the_exit_code_is_1_if_something_is_to_repair(
    remedy: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: [Diagnosis("torch", "found", remedy)])
    outcome = CliRunner().invoke(cli.app, ["doctor"])
    assert outcome.exit_code == code
    assert outcome.output.splitlines()[-1] == ("  torch: install it" if remedy else "all is well")


def test_torchvision_that_does_not_fit_torch_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.ops

    def broken(*_: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist\nmore")

    monkeypatch.setattr(torchvision.ops, "nms", broken)
    probe = probes.probe_torch()
    assert probe["mismatch"] == "RuntimeError: operator torchvision::nms does not exist"
    pair = by_subject(doctor._torch(probe))["torch pair"]
    assert "does not fit" in pair.state
    assert "matching pair" in pair.remedy


def test_probes_that_fail_crash_or_hang_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert probes.run_probe("no_such_probe")["error"].startswith("AttributeError")
    assert probes.run_probe("os.abort")["error"].startswith("it crashed")
    monkeypatch.setattr(probes, "TIMEOUT_S", 0.01)
    assert probes.run_probe("probe_numba") == {"error": "no answer within 0.01 seconds"}
    for diagnoses in (
        doctor._torch({"error": "gone"}),
        [doctor._numba({"error": "gone"})],
        [doctor._topic("sparse conv", {"error": "gone"})],
        doctor._datasets({"error": "gone"}),
    ):
        assert any(diagnosis.remedy and "gone" in diagnosis.state for diagnosis in diagnoses)


def test_diagnoses_of_the_data_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path / "none"))
    diagnoses = by_subject(
        doctor._datasets(
            {
                "digits": "",
                "scenes": "ValueError: x",
                "mnist": "missing",
                "fashion-mnist": "OSError: torn",
                "mhist": "missing",
            }
        )
    )
    assert "(not there yet)" in diagnoses["data folder"].state
    assert diagnoses["digits"] == Diagnosis("  digits", "found")
    assert "download=True" in diagnoses["mnist"].state
    assert not diagnoses["mnist"].remedy
    assert diagnoses["mhist"] == Diagnosis("  mhist", "not there")  # nothing can fetch it
    assert "reinstall" in diagnoses["scenes"].remedy
    assert "complete ones" in diagnoses["fashion-mnist"].remedy


def test_data_sets_without_files_are_reported_as_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    probe = probes.probe_datasets()
    assert probe["digits"] == probe["scenes"] == ""
    assert (
        probe["mnist"]
        == probe["fashion-mnist"]
        == probe["cifar10-jpeg"]
        == probe["mhist"]
        == "missing"
    )
    assert "folder" not in probe


def test_damaged_and_missing_shipped_recordings_are_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from explore.core import registry
    from explore.core.record import record
    from explore.core.recording import pack
    from explore.core.registry import build

    record(
        build({"method": "untrained", "steps": 1, "width": 4, "images": 50}), tmp_path / "run.zarr"
    )
    names = registry.method("dm").recordings
    row = registry.method("dm")
    monkeypatch.setattr(registry, "methods", lambda: {"dm": row})
    monkeypatch.setattr(doctor, "shipped", lambda name: tmp_path / name)
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pack(tmp_path / "run.zarr", tmp_path / name)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "00_start.ipynb").touch()
    complete = by_subject(doctor._shipped_files())
    assert complete["recordings"] == Diagnosis(
        "recordings", f"{len(names)} of the {len(names)} that ship can be read"
    )
    assert complete["notebooks"] == Diagnosis("notebooks", "1 ship")

    (tmp_path / names[0]).write_bytes((tmp_path / names[0]).read_bytes()[:-300])
    (tmp_path / names[1]).unlink()
    damaged = by_subject(doctor._shipped_files())
    assert damaged["recordings"].remedy
    assert "RecordingDamaged" in damaged[Path(names[0]).name].state
    assert damaged[Path(names[1]).name].state == "not there"


def test_a_missing_package_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("no-such-package-there-is",))
    missing = by_subject(doctor._versions())["no-such-package-there-is"]
    assert missing.state == "not installed"
    assert missing.remedy.endswith("-m pip install no-such-package-there-is")


def test_a_probe_uses_the_same_python(monkeypatch: pytest.MonkeyPatch) -> None:
    programs: list[Any] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        programs.append(command[0])
        return subprocess.CompletedProcess(command, 0, 'noise\n{"fine": 1}\n', "")

    monkeypatch.setattr(subprocess, "run", run)
    assert probes.run_probe("probe_torch") == {"fine": 1}
    assert programs == [sys.executable]
