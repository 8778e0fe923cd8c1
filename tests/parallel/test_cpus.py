"""Usable CPUs: the smaller of affinity and quota, from made-up files of both versions of cgroups."""

from __future__ import annotations

from pathlib import Path

import pytest

from explore._parallel import cpus
from explore._parallel.cpus import cpu_quota, usable_cpus


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")
    return root


V2 = "sys/fs/cgroup"
V1 = "sys/fs/cgroup/cpu"
CASES = {
    "no files": ({}, None),
    "v2, no limit": ({f"{V2}/cpu.max": "max 100000\n"}, None),
    "v2, half a CPU": ({f"{V2}/cpu.max": "50000 100000\n"}, 0.5),
    "v2, two and a half": ({f"{V2}/cpu.max": "250000 100000\n"}, 2.5),
    "v2, in a group": (
        {
            "proc/self/cgroup": "0::/user.slice/lab\n",
            f"{V2}/user.slice/lab/cpu.max": "300000 100000\n",
            f"{V2}/user.slice/cpu.max": "max 100000\n",
        },
        3.0,
    ),
    "v2, a group above is smaller": (
        {
            "proc/self/cgroup": "0::/user.slice/lab\n",
            f"{V2}/user.slice/lab/cpu.max": "300000 100000\n",
            f"{V2}/user.slice/cpu.max": "100000 100000\n",
        },
        1.0,
    ),
    "v2, another period": ({f"{V2}/cpu.max": "20000 10000\n"}, 2.0),
    "v2, not understood": ({f"{V2}/cpu.max": "much\n"}, None),
    "v1, no limit": (
        {f"{V1}/cpu.cfs_quota_us": "-1\n", f"{V1}/cpu.cfs_period_us": "100000\n"},
        None,
    ),
    "v1, in a container that sees its group as the root": (
        {
            "proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n",
            f"{V1}/cpu.cfs_quota_us": "150000\n",
            f"{V1}/cpu.cfs_period_us": "100000\n",
        },
        1.5,
    ),
    "v1, in a group": (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n",
            f"{V1}/docker/abc/cpu.cfs_quota_us": "100000\n",
            f"{V1}/docker/abc/cpu.cfs_period_us": "50000\n",
        },
        2.0,
    ),
}


@pytest.mark.parametrize(("files", "quota"), CASES.values(), ids=CASES.keys())
def test_quota(files: dict[str, str], quota: float | None, tmp_path: Path) -> None:
    assert cpu_quota(write(tmp_path, files)) == quota


@pytest.mark.parametrize(
    ("quota", "affinity", "usable"),
    [("50000", 8, 1), ("250000", 8, 3), ("900000", 8, 8), ("max", 8, 8)],
)
def test_usable_cpus_is_the_smaller_number(
    quota: str, affinity: int, usable: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpus, "affinity_cpus", lambda: affinity)
    assert usable_cpus(write(tmp_path, {f"{V2}/cpu.max": f"{quota} 100000\n"})) == usable


def test_there_is_at_least_one_cpu() -> None:
    assert 1 <= usable_cpus() <= cpus.affinity_cpus()
