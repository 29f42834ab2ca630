"""Memory stays bounded for any file in the producer and any message in the worker, whatever shape it has."""

import json
import subprocess
import sys

import pytest

from tests.faults.hostile import SHAPES

MOST = 100
"""Megabytes that a shape may take above what the process has before. Most take less than 40, the worst measured 70."""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.timeout(600)  # a minute of processor time
@pytest.mark.parametrize("kind", ["file: ", "message: "])
def test_memory_is_bounded_for_files_of_any_shape(kind: str, pytestconfig: pytest.Config) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.hostile", kind],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        check=False,
    )
    peaks = {name: peak for name, peak, _ in map(json.loads, done.stdout.splitlines())}
    print("; ".join(f"{name} {peak:.0f} MB" for name, peak in sorted(peaks.items(), key=lambda each: -each[1])[:5]))
    assert set(peaks) == {name for name in SHAPES if name.startswith(kind)}, done.stderr
    assert {name: peak for name, peak in peaks.items() if peak > MOST} == {}
