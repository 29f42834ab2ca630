"""A function as Lambda keeps it: one event a line of standard input, and after each one what the process holds."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.contenders.window import Context

HELD = "held "
"""Begins a line with what is held; metrics have lines too."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Answer events until there are no more."""
    module: Any = import_module(f"engine.handlers.{sys.argv[1]}")
    context = Context()
    for line in sys.stdin:
        answer = module.handler(json.loads(line), context)
        if answer.get("batchItemFailures") or answer.get("statusCode", 200) != 200:
            sys.exit(f"not all was done: {answer}")
        print(HELD + json.dumps(_held()), flush=True)


def _held() -> dict[str, int]:
    """Return what the process holds: bytes of memory, open descriptors, threads, tasks of any event loop."""
    status = Path("/proc/self/statm").read_text().split()
    return {
        "memory": int(status[1]) * _PAGE,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "tasks": sum(isinstance(each, asyncio.Task) and not each.done() for each in gc.get_objects()),
    }


if __name__ == "__main__":
    main()
