"""``python -m benchmarks``: ask the questions, write the results; `make bench` and `make bench-quick` call this."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks import data, endpoint, machine, plots, report
from benchmarks.harness import StandIns, ask, stand_ins
from benchmarks.model import Options
from benchmarks.processes import ROOT, cores
from benchmarks.questions import QUESTIONS
from benchmarks.questions.common import PER_MESSAGE

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
    parser.add_argument("--only", type=_names, help=f"some of the questions, by commas: {', '.join(names)}")
    parser.add_argument("--rounds", type=_count, help="interleaved rounds (5; endpoint: 3; quick: 2)")
    parser.add_argument("--seconds", type=float, help="how long one run should last (3; quick: 0.5)")
    parser.add_argument("--row-bytes", type=_count, default=data.DEFAULT_ROW_BYTES, help="bytes of a row (100)")
    parser.add_argument("--endpoint", type=_url, help="an emulator's URL, or `aws`, instead of the stand-in")
    parser.add_argument("--rows", type=_rows, help="rows of one call to an endpoint (20,000; quick: 5,000)")
    parser.add_argument("--limit", type=_count, help="seconds for one run at an endpoint (120; quick: 30)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    chosen = parser.parse_args()
    if unknown := set(chosen.only or ()) - set(names):
        parser.error(f"no such question: {', '.join(sorted(unknown))}")
    if chosen.row_bytes < data.MIN_ROW_BYTES:
        parser.error(f"a row has at least {data.MIN_ROW_BYTES} bytes")
    if not chosen.endpoint and (chosen.rows or chosen.limit):
        parser.error("--rows and --limit are for an endpoint")
    if chosen.endpoint and set(chosen.only or ()) - set(endpoint.NAMES):
        parser.error(f"an endpoint is asked these questions: {', '.join(endpoint.NAMES)}")
    if chosen.endpoint and (chosen.seconds or chosen.row_bytes != data.DEFAULT_ROW_BYTES):
        parser.error("--seconds and --row-bytes are not for an endpoint")
    try:
        # Now, and not after half an hour.
        chosen.out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=chosen.out).close()
    except OSError as error:
        parser.error(f"the results cannot be written to {chosen.out}: {error.strerror}")
    return chosen


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("it names no question")
    return names


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def _rows(text: str) -> int:
    if (rows := _count(text)) % PER_MESSAGE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a multiple of {PER_MESSAGE}, the rows of one message")
    return rows


def _url(text: str) -> str:
    if text.lower() == "aws":
        return "aws"
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a URL such as http://127.0.0.1:4566 nor aws")
    return text


def ceiling(running: StandIns, *, tls: bool, seconds: float) -> dict[str, Any]:
    """Ask what the stand-in itself can take, with the load generator on the contender's core."""
    at = running.at(tls=tls)
    at.control("/_config", {})
    command = [sys.executable, "-m", "benchmarks.load", at.url, "--seconds", str(seconds)]
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
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell may have told background jobs to ignore the second
        signal.signal(number, _stop)
    quick = chosen.quick
    options = Options(
        rounds=chosen.rounds or (2 if quick else 3 if chosen.endpoint else 5),
        seconds=chosen.seconds or (0.6 if quick else 3.0),
        quick=quick,
        row_bytes=chosen.row_bytes,
    )
    if chosen.endpoint:
        asked = endpoint.Asked(
            chosen.endpoint,
            chosen.only or endpoint.NAMES,
            chosen.rows or (endpoint.QUICK_ROWS if quick else endpoint.ROWS),
            chosen.limit or (endpoint.QUICK_LIMIT if quick else endpoint.LIMIT),
        )
        wrong = endpoint.main(asked, options, chosen.out, say)
    else:
        wrong = measure(options, chosen.only, chosen.out)
    if wrong:
        sys.exit(wrong)


def measure(options: Options, only: list[str] | None, out: Path) -> str:
    """Ask the questions at the stand-in; return what went wrong in one line, or nothing."""
    quick = options.quick
    questions = [q for q in QUESTIONS if (q.name in only if only else q.quick or not quick)]
    about: dict[str, Any] = {**machine.describe(options), "pulse_ms": {}}
    began = time.monotonic()
    answers = []
    with stand_ins() as running:
        say("the stand-in's own ceiling")
        ceilings = {"HTTP": ceiling(running, tls=False, seconds=0.5 if quick else 3.0)}
        if any(question.name == "work-tls" for question in questions):
            ceilings["HTTPS"] = ceiling(running, tls=True, seconds=3.0)
        for question in questions:
            say(f"{question.name}: {question.title}")
            about["pulse_ms"][question.name] = round(machine.pulse(), 2)
            answers.append((question, ask(question, options, running, say)))
    name = "quick" if quick else "some" if only else "full"
    markdown = report.as_markdown(answers, about, ceilings)
    print(markdown)
    document = report.as_json(answers, about, ceilings)
    (out / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (out / f"{name}.md").write_text(markdown, encoding="utf-8")
    if not plots.draw(answers, out, name):
        say("no plot: matplotlib is not installed (the extra `bench`)")
    if name == "full" and out == RESULTS:
        README.write_text(report.between_markers(README.read_text(encoding="utf-8"), markdown), encoding="utf-8")
    say(f"{time.monotonic() - began:.0f} s; written to {out}/{name}.json, .md, .png and .svg")
    return "some runs were void, see above" if any(line.void for _, lines in answers for line in lines) else ""


def _stop(_number: int, _frame: FrameType | None) -> None:
    # As an exit, so that servers, contenders, folders and tables are cleared away on its way up.
    say("interrupted; nothing is written")
    sys.exit(130)


if __name__ == "__main__":
    main()
