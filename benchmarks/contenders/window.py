"""A window of steady work inside a process: warm-up first, then what is measured, then one line of JSON.

A specification (JSON) has ``task``, ``warmup`` and ``repeat`` (calls), or ``seconds`` instead of ``repeat``, and what
the task needs. ``start_at`` (CLOCK_MONOTONIC, which processes of one machine share) lets several begin together.
"""

from __future__ import annotations

import gc
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STARTED = time.monotonic()
"""When this module was imported: before anything of the contender was, since it is the first import of each."""

Spec = dict[str, Any]


class Context:
    """Lambda's context object: always 15 minutes left, as time is no matter here."""

    aws_request_id = "00000000-0000-4000-8000-000000000000"
    function_name = "bench"
    memory_limit_in_mb = 1769
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:bench"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would stop the function."""
        return 900_000


@dataclass(slots=True)
class Inside:
    """Seconds spent in the functions alone, for tasks that also do what Lambda does by itself."""

    wall: float = 0.0
    cpu: float = 0.0

    def time(self, call: Callable[[], Any]) -> Any:
        """Call and add what it took."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            return call()
        finally:
            self.wall += time.perf_counter() - wall
            self.cpu += time.process_time() - cpu


def read_spec() -> Spec:
    """Return the specification that the command line names."""
    spec: Spec = json.loads(Path(sys.argv[1]).read_bytes())
    return spec


def read_json(path: str) -> Any:
    """Return the content of a JSON file, such as an event."""
    return json.loads(Path(path).read_bytes())


def peak_kb() -> int:
    """Return the most memory that this process has had, in KiB; 0 where the system does not say."""
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    except OSError:
        return 0
    return int(found[1]) if found else 0


def settle_collector() -> None:
    """Set Python's collector as the engine sets it for itself, so that no contender loses by its default."""
    gc.freeze()
    gc.set_threshold(50_000)


def measure(
    spec: Spec, once: Callable[[], int], inside: Inside | None = None, more: dict[str, float] | None = None
) -> None:
    """Call `once` for warm-up and then for the record; it returns how many records it has done. Print the result.

    `more` has further figures of the contender's own, as they are in the end.
    """
    imported = time.monotonic()
    total = sum(once() for _ in range(spec["warmup"]))
    answered = time.monotonic()
    if start_at := spec.get("start_at"):
        time.sleep(max(0.0, start_at - time.monotonic()))
    if inside is not None:
        inside.wall = inside.cpu = 0.0
    wall, cpu = time.perf_counter(), time.process_time()
    records = 0
    durations = []
    if "seconds" in spec:
        while time.perf_counter() - wall < spec["seconds"]:
            records += once()
    elif spec.get("each"):
        for _ in range(spec["repeat"]):
            began = time.perf_counter()
            records += once()
            durations.append(time.perf_counter() - began)
    else:
        for _ in range(spec["repeat"]):
            records += once()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    result = {
        "records": records,
        "total_records": total + records,
        "wall": inside.wall if inside else wall,
        "cpu": inside.cpu if inside else cpu,
        "peak_kb": peak_kb(),
        "started_at": STARTED,
        "imported_at": imported,
        "first_answer_at": answered,
        "durations": durations,
        **(more or {}),
    }
    print(json.dumps(result), flush=True)
