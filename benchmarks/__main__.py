"""``python -m benchmarks``: ask the questions, write the results; `make bench` and `make bench-quick` call this."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import endpoint, machine, plots, report
from benchmarks.harness import Sinks, ask, sinks
from benchmarks.model import Options
from benchmarks.processes import ROOT, cores
from benchmarks.questions import QUESTIONS

RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "benchmarks" / "README.md"


def say(text: str) -> None:
    """Tell a person how far it is; results go to files."""
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    names = [question.name for question in QUESTIONS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Millpond beside its rivals")
    parser.add_argument("--quick", action="store_true", help="few questions, few rounds, under a minute")
    parser.add_argument("--only", default="", help=f"some of the questions, by commas: {', '.join(names)}")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (5; quick: 2)")
    parser.add_argument("--seconds", type=float, help="how long one run should last (3; quick: 0.6)")
    parser.add_argument("--row-bytes", type=int, default=100, help="bytes of a row (100)")
    parser.add_argument("--endpoint", default="", help="an emulator, or AWS, instead of the stand-in")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    chosen = parser.parse_args()
    if unknown := set(filter(None, chosen.only.split(","))) - set(names):
        parser.error(f"no such question: {', '.join(sorted(unknown))}")
    return chosen


def ceiling(running: Sinks, *, tls: bool, seconds: float) -> dict[str, Any]:
    """Ask what the stand-in itself can take, with the load generator on the contender's core."""
    at = running.at(tls=tls)
    at.control("/_config", {})
    command = [sys.executable, "-m", "benchmarks.sink.load", at.url, "--seconds", str(seconds)]
    command += ["--authority", at.authority] if at.authority else []
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, preexec_fn=lambda: os.sched_setaffinity(0, cores()[1])
    )
    output, _ = process.communicate(timeout=120)
    answer: dict[str, Any] = json.loads(output)
    if violations := at.control("/_stats")["violations"]:
        raise RuntimeError(f"{violations} violations by the load generator")
    return answer


def main() -> None:
    """Ask, and write what came out."""
    chosen = arguments()
    quick = chosen.quick
    options = Options(
        rounds=chosen.rounds or (2 if quick else 5),
        seconds=chosen.seconds or (0.6 if quick else 3.0),
        quick=quick,
        row_bytes=chosen.row_bytes,
    )
    if chosen.endpoint:
        endpoint.main(chosen.endpoint, options, chosen.out, say)
        return
    only = set(filter(None, chosen.only.split(",")))
    questions = [q for q in QUESTIONS if (q.name in only if only else q.quick or not quick)]
    about = machine.describe(options)
    began = time.monotonic()
    answers = []
    with sinks() as running:
        say("the stand-in's own ceiling")
        ceilings = {"HTTP": ceiling(running, tls=False, seconds=1.0 if quick else 3.0)}
        if any(question.name == "work-tls" for question in questions):
            ceilings["HTTPS"] = ceiling(running, tls=True, seconds=3.0)
        for question in questions:
            say(f"{question.name}: {question.title}")
            answers.append((question, ask(question, options, running, say)))
    name = "quick" if quick else "full" if not only else "some"
    chosen.out.mkdir(parents=True, exist_ok=True)
    document = report.as_json(answers, about, ceilings)
    (chosen.out / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    markdown = report.as_markdown(answers, about, ceilings)
    (chosen.out / f"{name}.md").write_text(markdown, encoding="utf-8")
    if not plots.draw(answers, chosen.out, name):
        say("no plot: matplotlib is not installed (the extra `bench`)")
    if name == "full" and chosen.out == RESULTS:
        README.write_text(report.between_markers(README.read_text(encoding="utf-8"), markdown), encoding="utf-8")
    print(markdown)
    say(f"{time.monotonic() - began:.0f} s; written to {chosen.out}/{name}.json, .md, .png and .svg")
    if any(line.void for _, lines in answers for line in lines):
        sys.exit("some runs were void, see above")


if __name__ == "__main__":
    main()
