"""The producer as Lambda keeps it: one event a line of standard input, one answer a line of standard output."""

from __future__ import annotations

import json
import sys
import time

from benchmarks.contenders.window import Context, peak_kb

ANSWER = "answer "
"""Begins a line with an answer; metrics have lines too."""


def main() -> None:
    """Answer events until there are no more."""
    from engine.handlers.producer import handler

    context = Context()
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        answer = handler(json.loads(line), context)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(ANSWER + json.dumps({"answer": answer, "wall": wall, "cpu": cpu, "peak_kb": peak_kb()}), flush=True)


if __name__ == "__main__":
    main()
