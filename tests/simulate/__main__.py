"""Run seeds: ``python -m tests.simulate --seeds 10000 --from 0``, or one of them: ``--seed 17``.

Prints figures, and each failure with the command that replays it; ends with 1 if there is one.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice

from tests.simulate.plan import FAULTS, Plan, plan_of
from tests.simulate.shrink import Failure, command, failure_of, shrunk
from tests.simulate.world import run_plan

CHUNK = 25
"""Seeds that a process takes at a time."""

MOST_FAILURES = 5
"""Failures after which no more seeds are run."""


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="make simulate")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds to run")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them")
    parser.add_argument("--seconds", type=float, help="stop after so many seconds")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="run this one alone, and show what went wrong")
    parser.add_argument("--files", help="with --seed: only these of its files, by number")
    parser.add_argument("--faults", help="with --seed: only these of its kinds of faults, or none")
    parser.add_argument("--first-failure", action="store_true", help="stop at the first failure, and do not shrink it")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of text have the same order in each process then
        again = [sys.executable, "-m", "tests.simulate", *sys.argv[1:]]
        os.execve(again[0], again, {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606 - this very program
    if options.seed is not None:
        return _one(_part(plan_of(options.seed), options.files, options.faults))
    return _many(options)


def _part(plan: Plan, files: str | None, faults: str | None) -> Plan:
    if files is not None:
        wanted = set(map(int, files.split(",")))
        for file in plan.files:
            if file.number not in wanted:
                plan = plan.without_file(file.number)
    if faults is not None:
        named = faults.split(",")
        plan = plan.without(*(kind for kind in FAULTS if kind.replace(" ", "-") not in named))
    return plan


def _one(plan: Plan) -> int:
    _describe(plan)
    failure = failure_of(plan)
    if failure is None:
        print(_line(run_plan(plan)))
        return 0
    print(failure.trace)
    return 1


def _describe(plan: Plan) -> None:
    print(f"seed {plan.seed}: schema {plan.schema}")
    for file in plan.files:
        rows = f"{len(file.reading.rows)} rows and {len(file.reading.bad)} bad ones"
        deleted = "" if file.deleted_after is None else f", deleted after {file.deleted_after} s"
        print(f"  file {file.number}: {file.key} at {file.at} s, {len(file.body):,} bytes, {rows}{deleted}")
    print(f"  {plan.settings}")
    print(f"  faults: {', '.join(f'{kind} {rate:g}' for kind, rate in plan.faults.items()) or 'none'}")


def _run(chunk: range) -> tuple[int, Mapping[str, float], list[int]]:
    """Run some seeds; return how many, their figures, and those that failed."""
    figures: Counter[str] = Counter()
    failed = []
    for seed in chunk:
        try:
            figures.update(run_plan(plan_of(seed)))
        except KeyboardInterrupt:
            raise
        except BaseException:  # it is run again to see what is wrong
            failed.append(seed)
    gc.collect()  # failures leave cycles, and the engine's settings leave them for long
    return len(chunk), figures, failed


def _many(options: argparse.Namespace) -> int:
    began, figures, failed, done = time.monotonic(), Counter[str](), list[int](), 0
    last = options.first + options.seeds
    chunks = (range(start, min(last, start + CHUNK)) for start in range(options.first, last, CHUNK))
    with multiprocessing.Pool(options.processes) as pool:
        for count, found, wrong in _results(pool, chunks, options):
            done += count
            figures.update(found)
            failed += wrong
            if len(failed) >= (1 if options.first_failure else MOST_FAILURES):
                break
            if not options.json and done % 5_000 == 0:
                print(f"{done:,} seeds, {len(failed)} failed", flush=True)
        pool.terminate()
    for seed in () if options.first_failure else failed[:MOST_FAILURES]:
        _show(seed)
    seconds = time.monotonic() - began
    if options.json:
        print(json.dumps({"seeds": done, "failed": failed, "realSeconds": round(seconds, 1), **figures}))
    else:
        print(f"{done:,} seeds in {seconds:.0f} s, {len(failed)} failed")
        print(_line(figures))
    return 1 if failed else 0


def _results(
    pool: multiprocessing.pool.Pool, chunks: Iterator[range], options: argparse.Namespace
) -> Iterator[tuple[int, Mapping[str, float], list[int]]]:
    """Yield what comes of the chunks, in their order, until the time is up."""
    end = float("inf") if options.seconds is None else time.monotonic() + options.seconds
    while time.monotonic() < end and (some := list(islice(chunks, 4 * options.processes))):
        yield from pool.imap(_run, some)


def _show(seed: int) -> None:
    """Print a failure, as small as it gets."""
    failure: Failure | None = failure_of(plan_of(seed))
    if failure is None:
        print(f"seed {seed} failed, but not again: make simulate ARGS='--seed {seed}'")
        return
    small = shrunk(failure)
    print(f"\nseed {seed} fails: {small.kind}: {small.text[:500]}")
    _describe(small.plan)
    print(f"  {command(small.plan)}")
    print(f"  the whole of it: make simulate ARGS='--seed {seed}'")


def _line(figures: Mapping[str, float]) -> str:
    hours = figures.get("seconds", 0.0) / 3600
    rest = ", ".join(f"{name} {count:,.0f}" for name, count in sorted(figures.items()) if name != "seconds")
    return f"simulated hours {hours:,.1f}, {rest}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="simulate-") as folder:
        # The pool's processes are stopped without cleaning up: what they write goes with this folder.
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        sys.exit(main())
