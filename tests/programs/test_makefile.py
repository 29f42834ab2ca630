"""Targets of the Makefile, by what `make --dry-run` prints."""

from __future__ import annotations

import re
import subprocess

from engine.deployment.checkout import CHECKOUT


def commands(*targets: str) -> list[str]:
    """The commands of targets, as if nothing had been made yet."""
    make = ["make", "--dry-run", "--always-make", "--no-print-directory", *targets]
    done = subprocess.run(make, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_setup_announces_each_slow_step() -> None:
    lines = commands("setup")
    slow = [place for place, line in enumerate(lines) if re.search(r"-m (venv|pip install) ", line)]
    assert len(slow) == 5  # two environments, what is installed into each, and the project
    for place in slow:
        assert re.match(r'echo "\.venv\S*: (creating|installing) .*(seconds|minutes)"', lines[place - 1])


def test_base_image_target_moves_the_pin() -> None:
    assert commands("base-image")[-1].strip() == ".venv/bin/millpond base-image"
