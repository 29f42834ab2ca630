"""The bounded form of the simulation, the seeds that have found something, and what a failure shows."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulate.files import make_file
from tests.simulate.mutate import mutated
from tests.simulate.mutations import MUTATIONS
from tests.simulate.plan import Plan, plan_of
from tests.simulate.shrink import Failure, command, shrunk

ROOT = Path(__file__).parents[2]
SEEDS, SECONDS = 300, 40

FOUND = {
    "a proxy's page counted as the reply to PutItem": 542,
}
"""Seeds by what they have found in the engine."""


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the simulation as people do: in processes of its own."""
    command = [sys.executable, "-m", "tests.simulate", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)


@pytest.mark.timeout(600)
def test_many_seeds_keep_every_promise() -> None:
    done = simulate("--seeds", str(SEEDS), "--seconds", str(SECONDS))
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]


@pytest.mark.parametrize("seed", FOUND.values(), ids=FOUND)
def test_seeds_that_have_found_something(seed: int) -> None:
    done = simulate("--seed", str(seed))
    assert done.returncode == 0, done.stdout[-4_000:]


def test_seed_is_the_same_in_each_process_and_after_other_seeds() -> None:
    alone = json.loads(simulate("--seeds", "1", "--from", "7", "--json", "--processes", "1").stdout)
    runs = [json.loads(simulate("--seeds", "8", "--json", "--processes", "1").stdout) for _ in range(2)]
    others = json.loads(simulate("--seeds", "7", "--json", "--processes", "1").stdout)
    for run in (*runs, alone, others):
        del run["realSeconds"], run["seeds"], run["failed"]
    assert runs[0] == runs[1]
    last = {name: count - others.get(name, 0) for name, count in runs[0].items()}
    assert {name: count for name, count in last.items() if count} == pytest.approx(
        {name: count for name, count in alone.items() if count}
    )


def test_failure_is_shrunk_and_names_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails here is each plan with file 1 and the fault `reset`."""
    draw = plan_of(3).stream("files")
    files = tuple(make_file(draw, number, "history", "comma", "uploads/a", refused=False) for number in range(3))
    plan = replace(plan_of(3), files=files, faults={"killed": 0.1, "reset": 0.1, "slow": 0.1})

    def fails(plan: Plan) -> Failure | None:
        is_bad = "reset" in plan.faults and any(file.number == 1 for file in plan.files)
        return Failure(plan, "AssertionError at checks.py:1", "", "") if is_bad else None

    monkeypatch.setattr("tests.simulate.shrink.failure_of", fails)
    failure = fails(plan)
    assert failure
    assert command(shrunk(failure).plan) == "make simulate ARGS='--seed 3 --files 1 --faults reset'"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_mutation_fits_the_source(mutation: object, tmp_path: Path) -> None:
    for module, _, _ in mutation.edits:  # type: ignore[attr-defined]
        path = tmp_path / module
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((ROOT / "engine" / module).read_bytes())
    mutated(mutation, tmp_path)  # type: ignore[arg-type]
