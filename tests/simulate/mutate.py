"""Break one safeguard after the other in a copy of the engine, and run the simulation until it fails: `make mutate`."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.simulate.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Print the table; end with 1 if a mutation is not found."""
    parser = argparse.ArgumentParser(prog="make mutate")
    parser.add_argument("--seeds", type=int, default=10_000, help="seeds to run at most for each mutation")
    parser.add_argument("--seconds", type=float, default=240.0, help="seconds to run at most for each mutation")
    parser.add_argument("--only", default="", help="only mutations whose name matches this pattern")
    options = parser.parse_args()
    missed = 0
    print("| broken safeguard | found by seed | seeds run |\n| --- | --- | --- |", flush=True)
    for mutation in MUTATIONS:
        if re.search(options.only, mutation.name):
            found, run = _find(mutation, options.seeds, options.seconds)
            missed += found is None
            print(f"| {mutation.name} | {'not found' if found is None else found} | {run:,} |", flush=True)
    return 1 if missed else 0


def mutated(mutation: Mutation, engine: Path) -> None:
    """Apply the edits to a copy of the engine. Raises `ValueError` where a text is not there exactly once."""
    for module, old, new in mutation.edits:
        path = engine / module
        text = path.read_text("utf-8")
        if text.count(old) != 1:
            raise ValueError(f"{mutation.name}: {module} has the text {text.count(old)} times, not once: {old!r}")
        path.write_text(text.replace(old, new), "utf-8")


def _find(mutation: Mutation, seeds: int, seconds: float) -> tuple[int | None, int]:
    """Run the simulation with a mutation; return the first seed that fails, if any, and how many were run."""
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        copy = Path(folder)
        for name in ("engine", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        mutated(mutation, copy / "engine")
        command = [sys.executable, "-m", "tests.simulate", "--json", "--first-failure"]
        command += ["--seeds", str(seeds), "--seconds", str(seconds)]
        environment = {**os.environ, "PYTHONPATH": folder}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    try:
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise SystemExit(f"{mutation.name}: the simulation did not run: {done.stderr[-2000:]}") from None
    return min(figures["failed"], default=None), figures["seeds"]


if __name__ == "__main__":
    sys.exit(main())
