"""The long run, made short: it ends by itself, and says what it did."""

import subprocess
import sys

import pytest


def test_run_ends_without_a_failure(pytestconfig: pytest.Config) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--target", "patterns", "--seconds", "1"]
    done = subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "nothing found"
    assert "patterns: 1 s with " in done.stderr
